"""jesse: what its `research.backtest()` said (tests/fixtures/engines/make_jesse.py) is kept field by field."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import archiver
from tests.engine_runs import same

FILE = Path(__file__).parent / "fixtures/engines/jesse.json"


@pytest.fixture
def own() -> dict[str, Any]:
    return json.loads(FILE.read_text())


def test_no_field_of_a_result_is_lost(own: dict[str, Any]) -> None:
    found = archiver.result(own)
    renamed = {"max_drawdown": "jesse_max_drawdown"}
    lost = [key for key, value in own["metrics"].items() if not same(found.get(renamed.get(key, key)), value)]
    called = {
        "opened_at": "entry_time", "closed_at": "exit_time", "type": "direction", "qty": "size", "size": "value",
        "PNL": "pnl", "PNL_percentage": "pnl_pct",
    }  # fmt: skip
    orders = iter(found["tables"]["orders"])
    for trade, kept in zip(own["trades"], found["trades"], strict=True):
        lost += [
            f"trade {key}"
            for key in trade
            if key != "orders" and not told(trade, kept, key, called.get(key, key))
        ]
        for order in trade["orders"]:
            row = next(orders)
            lost += [f"order {key}" for key in order if not told(order, row, key, key)]
    assert lost == []
    assert list(orders) == []
    points = own["equity_curve"][0]["data"]
    assert [[time.timestamp(), value] for time, value in found["curves"]["equity"]] == [
        [one["time"], one["value"]] for one in points
    ]
    assert found["params"] == {"every": 50}
    assert found["strategy_name"] == "Clock_every=50"
    assert found["logs"] == own["logs"]


def told(own: dict[str, Any], kept: dict[str, Any], key: str, name: str) -> bool:
    """Tell whether a row has a field of the engine's, moments as the text of their milliseconds."""
    value = own[key]
    if key.endswith("_at") and value is not None:
        value = datetime.fromtimestamp(value / 1000, UTC).isoformat()
    return same(kept[name], value)


def test_percents_are_fractions_under_canonical_names(own: dict[str, Any]) -> None:
    found, metrics = archiver.result(own), own["metrics"]
    assert found["total_return"] == metrics["net_profit_percentage"] / 100
    assert found["total_return"] == pytest.approx(
        metrics["finishing_balance"] / metrics["starting_balance"] - 1
    )
    assert found["max_drawdown"] == -metrics["max_drawdown"] / 100 > 0
    assert found["n_trades"] == len(found["trades"]) == 12
    assert {trade["direction"] for trade in found["trades"]} == {"long", "short"}


def test_it_is_saved_and_read_back(own: dict[str, Any], tmp_path: Path) -> None:
    archive = archiver.open(tmp_path / "archive")
    (tmp_path / "log.txt").write_text("what happened")
    archive.save({**own, "logs": str(tmp_path / "log.txt")}, universe="BTC", name="Clock", code="none")
    assert archive.load_file("Clock", "logs.txt") == b"what happened"
    assert archive.load_table("Clock", "orders").num_rows == sum(len(one["orders"]) for one in own["trades"])
    assert archive.load_curve("Clock")["value"][0].as_py() == 10_000.0


def test_a_backtest_without_trades_is_a_result() -> None:
    empty = {"total": 0, "win_rate": 0, "net_profit_percentage": 0, "annualization": 365}
    found = archiver.result({"metrics": empty, "logs": None})
    assert (found["strategy_name"], found["trades"], found["n_trades"]) == ("jesse", [], 0)
    bare = archiver.result({"metrics": empty, "logs": None, "trades": [{"PNL": 1.0}]})
    assert (bare["trades"], bare["tables"]["orders"]) == ([{"pnl": 1.0}], [])
