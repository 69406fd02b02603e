"""Writes results in the old formats, as the programs did that people have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Result = dict[str, Any]
DETAIL = ("trades_detailed", "equity_curve", "drawdown_curve")
STAMP = "2025-01-21T14:03:07.250000"
NAN, INF = float("nan"), float("inf")


def results(prefix: str, count: int, trades: int = 3) -> list[Result]:
    """Make results with what makes JSON hard: NaN, infinities, None, missing keys, ints among floats, any text."""
    made: list[Result] = []
    for at in range(count):
        one: Result = {
            "strategy_name": f"{prefix}_L{at}_T0.5",
            "sharpe_ratio": [1.5 - at / 10, NAN, -0.0, 5e-324][at % 4],
            "n_trades": at,
            "profit_factor": [INF, 0, 1.25, -INF][at % 4],
            "omega": None if at % 3 else 0.1 + 0.2,
            "regime": ["calm", "sturm und drang ü", 'quo"ted\\\n', "\ud800"][at % 4],
            "valid": at % 2 == 0,
            "big": 10**25 if at == 1 else at,
        }
        if at % 5:
            one["composite_score"] = 3.0 - at / 7
        one["trades_detailed"] = [
            {
                "entry_time": f"2025-01-0{1 + n % 9} 09:35:00",
                "pnl_usd": [12.5, NAN, -4][n % 3],
                "market_context": {"hour": n, "tags": ["a", None]},
                **({"note": "x"} if n % 2 else {}),
            }
            for n in range(trades)
        ]
        one["equity_curve"] = [10_000.0, 10_012.5 + at, 10_008]
        one["drawdown_curve"] = [0.0, 0.0, -0.0]
        made.append(one)
    return made


def metrics_of(result: Result, *, with_name: bool = False) -> Result:
    """Return a result's metrics; the old program left the name among them."""
    return {
        key: value
        for key, value in result.items()
        if key not in DETAIL and (with_name or key != "strategy_name")
    }


def detail_of(universe: str, rank: int, result: Result, *, with_name: bool = False) -> Result:
    """Return what a detail file holds."""
    return {
        "strategy_name": result["strategy_name"],
        "universe": universe,
        "rank": rank,
        "metrics": metrics_of(result, with_name=with_name),
        "trades": result["trades_detailed"],
        "equity_curve": result["equity_curve"],
        "drawdown_curve": result["drawdown_curve"],
    }


def dump(path: Path, value: Any) -> None:
    """Write JSON as the old programs did."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        json.dump(value, file, indent=2)


def write_tiered(
    folder: Path,
    universes: Mapping[str, Sequence[Result]],
    top: int = 3,
    *,
    with_name: bool = False,
    updated: str = STAMP,
) -> None:
    """Write all_strategies_metrics.json, and a detail file of the first ones of each universe."""
    rows = [
        {
            "strategy_name": result["strategy_name"],
            "universe": universe,
            "metrics": metrics_of(result, with_name=with_name),
        }
        for universe, listed in universes.items()
        for result in listed
    ]
    dump(
        folder / "all_strategies_metrics.json",
        {"total_strategies": len(rows), "last_updated": updated, "strategies": rows},
    )
    for universe, listed in universes.items():
        for rank, result in enumerate(listed[:top], 1):
            dump(
                folder / f"detailed_trades/{result['strategy_name']}.json",
                detail_of(universe, rank, result, with_name=with_name),
            )


def universe_document(universe: str, listed: Sequence[Result]) -> Result:
    """Return what the older format holds of a universe."""
    return {
        "universe_name": universe,
        "universe_metadata": {"interval": 5, "lookback": 5},
        "backtest_timestamp": STAMP,
        "statistics": {"best_sharpe": NAN, "total": len(listed)},
        "results": list(listed),
    }


def write_universe(folder: Path, universe: str, listed: Sequence[Result]) -> Path:
    """Write `universe_*_backtest.json`."""
    path = folder / f"{universe}_backtest.json"
    dump(path, universe_document(universe, listed))
    return path


def write_parquet(folder: Path, universe: str, rows: Sequence[Result]) -> Path:
    """Write the Parquet variant with its sidecar."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{universe}_backtest.parquet"
    pd.DataFrame(list(rows)).to_parquet(path, compression="snappy", index=False)
    facts = universe_document(universe, rows)
    del facts["results"]
    dump(folder / f"{universe}_backtest_metadata.json", facts)
    return path


def write_run_folder(folder: Path, stamp: str, result: Result) -> Path:
    """Write one run of an optimiser: its results in parts, a copy of the code, facts."""
    home = folder / stamp
    dump(home / "results/metrics.json", metrics_of(result))
    dump(home / "results/trades.json", result["trades_detailed"])
    (home / "results/equity_curve.csv").write_text("bar,equity\n0,10000.0\n1,10012.5\n")
    (home / "results/chart.png").write_bytes(b"\x89PNG")
    (home / "code/pkg").mkdir(parents=True)
    (home / "code/run.py").write_text("print('run')\n")
    (home / "code/pkg/model.py").write_text("LENGTH = 5\n")
    (home / "code/.env").write_text("TOKEN=1\n")
    dump(home / "metadata/run.json", {"strategy_name": result["strategy_name"], "symbol": "EURUSD", "x": NAN})
    (home / "metadata/notes.txt").write_text("first try\n")
    return home
