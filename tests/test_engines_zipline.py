"""zipline: its table by session (tests/fixtures/engines/make_zipline.py) is kept column by column, row by row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import archiver
from archiver.errors import ConfigError
from tests.engine_runs import same

FILE = Path(__file__).parent / "fixtures/engines/zipline.json"


def written() -> pd.DataFrame:
    """Return the table that zipline gave when the fixture was made; its assets are text."""
    content = json.loads(FILE.read_text())
    table = pd.DataFrame(content["columns"], index=pd.DatetimeIndex(content["index"]))
    return table.assign(period_open=pd.DatetimeIndex(table["period_open"]))


def ran() -> pd.DataFrame:
    """Return the table of a backtest that zipline runs now."""
    pytest.importorskip("zipline", reason="zipline is not installed: pip install zipline-reloaded")
    from tests.fixtures.engines.make_zipline import ran

    return ran()


@pytest.mark.filterwarnings("ignore")  # zipline's own
@pytest.mark.parametrize("table", [written, ran])
def test_no_column_is_lost(table: Any) -> None:
    own = table()
    found = archiver.result(own)
    lost = []
    for key in own:
        if key in ("orders", "transactions", "positions"):
            rows = [(session, row) for session, listed in own[key].items() for row in listed]
            kept = found["tables"][key]
            assert len(rows) == len(kept) > 0
            for (session, row), one in zip(rows, kept, strict=True):
                assert one["session"] == session.isoformat()
                lost += [f"{key}.{name}" for name, value in row.items() if not told(one, name, value)]
        elif key in found["tables"]["sessions"]:
            lost += [] if found["tables"]["sessions"][key].tolist() == own[key].tolist() else [key]
        else:
            curve = found["curves"]["equity" if key == "portfolio_value" else key]
            assert curve.index.equals(own.index)
            values = [float("nan") if value is None else float(value) for value in own[key]]
            lost += [] if all(map(same, curve.tolist(), values)) else [key]
    assert lost == []


def told(kept: dict[str, Any], name: str, value: Any) -> bool:
    """Tell whether a row has a value of the engine's: an asset by its id and symbol, a moment as text."""
    if name == "sid" and not isinstance(value, str):
        return (kept["sid"], kept["symbol"]) == (value.sid, value.symbol)
    if isinstance(value, pd.Timestamp):
        return kept[name] == value.isoformat()
    return same(kept[name], getattr(value, "value", value))


def test_metrics_are_those_of_the_last_session() -> None:
    own = written()
    found, last = archiver.result(own, name="Mine", params={"n": 3}), own.iloc[-1]
    assert (found["strategy_name"], found["params"]) == ("Mine", {"n": 3})
    assert found["sharpe_ratio"] == found["sharpe"] == last["sharpe"]
    assert found["max_drawdown"] == -last["max_drawdown"] > 0
    assert found["initial_equity"] == 100_000.0
    assert found["total_return"] == pytest.approx(found["final_equity"] / found["initial_equity"] - 1)
    assert found["alpha"] is None
    assert found["curves"]["benchmark"].iloc[-1] == 100_000.0 * (1 + last["benchmark_period_return"])
    assert archiver.result(own)["strategy_name"] == "zipline"


def test_it_is_saved_with_one_clock_and_read_back(tmp_path: Path) -> None:
    archive = archiver.open(tmp_path / "archive")
    archive.save(written(), universe="two", code="none")
    curve = archive.load_curve("zipline").to_pandas()
    assert curve["value"].tolist() == written()["portfolio_value"].tolist()
    assert curve["time"].tolist() == written().index.tolist()
    assert len([*(tmp_path / "archive").glob("clocks/*/*")]) == 1
    assert archive.load_table("zipline", "positions").num_rows > 0


def test_a_table_without_sessions_is_a_result() -> None:
    found = archiver.result(written().iloc[:0])
    assert found["n_transactions"] == 0
    assert len(found["curves"]["equity"]) == 0


def test_a_table_whose_values_are_no_numbers_is_refused() -> None:
    with pytest.raises(ConfigError, match="portfolio_value of zipline's table"):
        archiver.result(written().assign(portfolio_value="much"))
