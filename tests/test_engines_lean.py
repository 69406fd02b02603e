"""Lean: folders of backtests are imported whole, statistics in texts as numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import archiver
from archiver.engines import lean
from archiver.engines.shared import measured
from archiver.errors import ConfigError
from tests import lean_made
from tests.engine_runs import leaves


@pytest.fixture
def archive(tmp_path: Path) -> archiver.Archive:
    return archiver.open(tmp_path / "archive")


def test_no_field_of_a_backtest_is_lost() -> None:
    own = lean_made.content()
    found = archiver.result(own)
    lost: list[str] = []
    for label, text in own["statistics"].items():
        kept = measured(label, text)
        kept = {"lean_expectancy": 0.4} if label == "Expectancy" else kept
        lost += [label for key, value in kept.items() if found.get(key) != value]
    for name, key in (("tradeStatistics", "trade."), ("portfolioStatistics", "portfolio.")):
        for inner, text in own["totalPerformance"][name].items():
            held = found[key + re.sub("(?=[A-Z])", "_", inner).lower()]
            lost += [inner] * (held != text and held != float(text))
    for label, text in own["runtimeStatistics"].items():
        lost += [label for key, one in measured(label, text).items() if found[f"runtime.{key}"] != one]
    for name, prefix in (
        ("state", "state."),
        ("serverStatistics", "server_statistics."),
        ("algorithmConfiguration", "configuration."),
    ):
        told = {key: one for key, one in own[name].items() if key not in ("name", "parameters")}
        lost += [key for key, one in told.items() if found[prefix + key] != one]
    names = {**lean._TRADE, "direction": "direction"}
    for trade, kept in zip(own["totalPerformance"]["closedTrades"], found["trades"], strict=True):
        flat = leaves({**trade, "direction": ["long", "short"][trade["direction"]]})
        lost += [f"trade {key}" for key, one in flat.items() if kept[names.get(key, key)] != one]
    for order, kept in zip(own["orders"].values(), found["tables"]["orders"], strict=True):
        lost += [f"order {key}" for key, one in leaves(order).items() if one != {} and kept[key] != one]
    drawn = {(row["chart"], row["series"]): row for row in found["tables"]["charts"]}
    for chart, told in own["charts"].items():
        for series, one in told["series"].items():
            said = {key: value for key, value in one.items() if key not in ("values", "name")}
            lost += [f"{chart} {key}" for key, value in said.items() if drawn[chart, series][key] != value]
    window = leaves(own["rollingWindow"]["M1_20240131"])
    held = found["tables"]["rolling_window"][0]
    lost += [f"window {key}" for key, one in window.items() if held[key] != one]
    for name, series in (
        ("equity", ("Strategy Equity", "Equity")),
        ("Strategy Equity.Return", ("Strategy Equity", "Return")),
        ("benchmark", ("Benchmark", "Benchmark")),
    ):
        values = own["charts"][series[0]]["series"][series[1]]["values"]
        lost += (
            []
            if [[int(t.timestamp()), v] for t, v in found["curves"][name]] == [[p[0], p[-1]] for p in values]
            else [name]
        )
    bars = found["tables"]["equity.bars"]
    assert [[row["open"], row["high"], row["low"], row["close"]] for row in bars] == [
        point[1:] for point in own["charts"]["Strategy Equity"]["series"]["Equity"]["values"]
    ]
    assert found["tables"]["profit_loss"] == [{"time": "2024-01-03T15:01:00Z", "value": 12.5}]
    assert found["tables"]["rolling_window"][0]["window"] == "M1_20240131"
    assert lost == []


def test_canonical_metrics_are_fractions() -> None:
    found = archiver.result(lean_made.content())
    assert (found["strategy_name"], found["params"]) == ("Cross", {"fast": 10, "slow": 30})
    assert found["max_drawdown"] == 0.012
    assert found["total_return"] == pytest.approx(0.00012)
    assert (found["win_rate"], found["n_trades"], found["profit_factor"]) == (1.0, 2, 2.5)
    assert (found["total_fees"], found["total_fees_currency"]) == (4.0, "$")
    assert (found["runtime.equity"], found["runtime.unrealized"]) == (100012.5, -3.5)
    assert "expectancy" not in found
    assert [trade["direction"] for trade in found["trades"]] == ["long", "short"]


def test_the_older_spelling_is_the_same_result() -> None:
    now, then = archiver.result(lean_made.content()), archiver.result(lean_made.older(lean_made.content()))
    others = {"trades", "tables", "curves", "params"}
    differ = {key for key in now if now[key] != then.get(key) and not key.startswith("configuration.")}
    assert differ <= others
    assert then["curves"] == now["curves"]
    assert len(then["trades"]) == 2
    assert then["trades"][0]["entry_price"] == 470.5


def test_a_folder_is_one_run(archive: archiver.Archive, tmp_path: Path) -> None:
    lean_made.folder(tmp_path / "backtests" / "2024-02-01_10-00-00")
    report = archive.import_from(tmp_path / "backtests")
    assert [(one.status, one.universe, one.strategies, one.detailed) for one in report.outcomes] == [
        ("skipped", None, 0, 0),
        ("imported", "SPY", 1, 1),
    ]
    (run,) = archive.runs()
    assert run.created.isoformat() == "2024-02-01T10:00:05+00:00"
    assert [file.path for file in archive.code(run.id).files] == ["main.py"]
    assert archive.load_metrics(columns=["params"])["params.fast"].to_pylist() == [10]
    again = archive.import_from(tmp_path / "backtests")
    assert [one.status for one in again.outcomes] == ["skipped", "present"]


@pytest.mark.parametrize(
    "text",
    [
        '{"charts": {',
        '{"charts": {}, "orders": {}}',
        '{"charts": {"a": {"series": {"b": {"values": [["x"]]}}}}, "statistics": {}}',
    ],
)
def test_a_damaged_backtest_is_named(archive: archiver.Archive, tmp_path: Path, text: str) -> None:
    (tmp_path / "1.json").write_text(text)
    assert [one.status for one in archive.import_from(tmp_path / "1.json").outcomes] == ["damaged"]


def test_a_backtest_that_did_nothing() -> None:
    found = archiver.result({"charts": {}, "statistics": {}})
    assert (found["strategy_name"], found["trades"], found["curves"], found["tables"]) == ("Lean", [], {}, {})
    with pytest.raises(ConfigError, match="no engine's result"):
        archiver.result({"a": 1})


def test_content_survives_json() -> None:
    own: Any = json.loads(json.dumps(lean_made.content()))
    assert archiver.result(own) == archiver.result(lean_made.content())
