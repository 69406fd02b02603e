"""What engines share: dispatch by class, plain names, numbers out of texts, parameters, unique names, canonical metrics."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import archiver
from archiver import engines
from archiver.engines import shared
from archiver.engines.metrics import METRICS, add_canonical
from archiver.errors import ConfigError

ROOT = Path(__file__).parent.parent


def dates(count: int, frequency: str = "B") -> pd.DatetimeIndex:
    return pd.date_range("2024-01-01", periods=count, freq=frequency)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0", (0, "")),
        ("-0.5", (-0.5, "")),
        ("+3", (3, "")),
        ("12.345%", (12.345, "%")),
        ("-1.20%", (-1.2, "%")),
        ("$1,234.50", (1234.5, "$")),
        ("$-86.89", (-86.89, "$")),
        ("-$86.89", (-86.89, "$")),
        ("2.20 USD", (2.2, "USD")),
        ("-1_000.00 USDT", (-1000.0, "USDT")),
        ("€3", (3, "€")),
        ("1e-05", (1e-05, "")),
        (".5", (0.5, "")),
        ("inf", (math.inf, "")),
        ("SPY R735QTJ8XC9X", None),
        ("HK$-5", (-5, "HK$")),
        ("Fr1.50", (1.5, "Fr")),
        ("SIM-001", None),
        ("1INCH", None),
        ("2024-01-01", None),
        ("$1 USD", None),
        ("", None),
        ("1.2.3", None),
    ],
)
def test_numbers_come_out_of_texts_with_their_unit(text: str, found: Any) -> None:
    assert shared.number(text) == found


def test_a_labelled_text_is_a_metric_whose_name_has_the_unit() -> None:
    assert shared.measured("Average Win", "0.50%") == {"average_win_pct": 0.5}
    assert shared.measured("Total Fees", "$86.89") == {"total_fees": 86.89, "total_fees_currency": "$"}
    assert shared.measured("Lowest Capacity Asset", "SPY R7") == {"lowest_capacity_asset": "SPY R7"}
    assert shared.measured("Drawdown [%]", 3) == {"drawdown_pct": 3}


def test_params_are_flat_and_plain() -> None:
    class Maker: ...

    given = {"a": 1, "b": {"c": [1, 2], "d": {}}, "f": math.sqrt, "k": Maker, 3: "x", "o": object()}
    found = shared.params_of(given)
    assert found.pop("o") == "<object object>"
    assert found == {"a": 1, "b.c": [1, 2], "b.d": {}, "f": "sqrt", "k": "Maker", "3": "x"}
    numbers = {"n": Decimal("10.0"), "d": Decimal("0.5"), "i": Decimal("Infinity"), "m": np.mean, "a": np.add}
    assert shared.params_of(numbers) == {"n": 10, "d": 0.5, "i": math.inf, "m": "mean", "a": "add"}
    assert shared.made_name("S", {"f": np.mean}) == "S_f=mean"


@pytest.mark.parametrize("name", ["api_key", "apiKey", "exchange.secret", "db_password", "walletAddress"])
def test_a_credential_among_params_is_left_out_and_said(name: str) -> None:
    with pytest.warns(UserWarning, match="looks like a credential"):
        assert shared.params_of({name: "s3cr3t"}) == {}


def test_params_that_are_only_called_alike_stay() -> None:
    given = {"token": "BTC", "secretary_problem": "37", "key": "k", "password_length": 3, "api_key": None}
    assert shared.params_of(given) == given


def test_names_are_made_unique() -> None:
    named = [{"strategy_name": name} for name in ("a", "a", "a #2", "b", "a")]
    found = [one["strategy_name"] for one in shared.unique(named)]
    assert found == ["a", "a #2", "a #2 #2", "b", "a #3"]
    assert len({*found}) == len(found)


def test_rows_keep_every_column_also_those_of_one_name_and_missing_moments() -> None:
    frame = pd.DataFrame(
        [[1.5, pd.Timestamp("2024-01-01", tz="Europe/Berlin"), 7, 8], [2.5, pd.NaT, 9, 10]],
        columns=["PnL", "When", "x", "x"],
    )
    assert shared.rows(frame, {"When": "entry_time"}) == [
        {"entry_time": "2024-01-01T00:00:00+01:00", "PnL": 1.5, "x": 7, "x_2": 8},
        {"entry_time": None, "PnL": 2.5, "x": 9, "x_2": 10},
    ]
    assert shared.rows(frame.iloc[:0], {}) == []


def test_a_canonical_name_of_another_unit_keeps_both() -> None:
    found: dict[str, Any] = {"max_drawdown": -12.5, "sharpe": math.nan, "win_rate": None}
    table = {
        "max_drawdown": ("max_drawdown", -100),
        "sharpe_ratio": ("sharpe", 1),
        "win_rate": ("win_rate", 100),
    }
    add_canonical(found, dict(found), table, "ffn")
    assert found["max_drawdown"] == 0.125
    assert found["ffn_max_drawdown"] == -12.5
    assert math.isnan(found["sharpe_ratio"])
    assert found["win_rate"] is None
    zero: dict[str, Any] = {"max_drawdown_pct": 0.0}
    add_canonical(zero, dict(zero), {"max_drawdown": ("max_drawdown_pct", -100)}, "any")
    assert math.copysign(1.0, zero["max_drawdown"]) == 1.0


def test_every_adapter_maps_to_canonical_names_only() -> None:
    from importlib import import_module

    tables = 0
    for path in (ROOT / "archiver/engines").glob("[a-z]*.py"):
        if path.stem in ("backtrader_analyzer", "ray_callback"):
            continue  # they are imported with their engines
        module = import_module(f"archiver.engines.{path.stem}")
        for name, table in vars(module).items():
            if name.startswith("_CANONICAL"):
                tables += 1
                assert set(table) <= set(METRICS), path.stem
                assert all(divisor in (1, 100, -1, -100, 86_400) for _, divisor in table.values()), path.stem
    assert tables
    assert {metric.best for metric in METRICS.values()} == {"greatest", "least", ""}


def test_an_unknown_object_is_one_line_that_says_what_is_known() -> None:
    with pytest.raises(ConfigError, match=r"does not know a builtins\.int: it takes results of backtesting"):
        archiver.result(3)
    with pytest.raises(ConfigError, match="does not know"):
        list(archiver.result([3]))


def test_attributes_of_an_object_are_never_asked_for() -> None:
    class Trap:
        def __getattribute__(self, name: str) -> Any:
            if not name.startswith("__"):
                raise AssertionError(name)
            return object.__getattribute__(self, name)

    with pytest.raises(ConfigError, match="Trap"):
        archiver.result(Trap())


def test_a_package_that_is_installed_adds_its_engine(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(
        """
class Backtest:
    total = 3
def adapter(obj, name=None, params=None, scale=1):
    return {"strategy_name": name or "theirs", "total": obj.total * scale}
"""
    )
    about = tmp_path / "theirs-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{engines.GROUP}]\ntheirs.Backtest = theirs:adapter\n")
    code = """
import archiver, theirs
archive = archiver.open("archive")
archive.save([theirs.Backtest(), theirs.Backtest()], universe="u", scale=2, code="none")
rows = archive.load_metrics("u").select(["strategy_name", "total"]).to_pylist()
assert rows == [{"strategy_name": "theirs", "total": 6}, {"strategy_name": "theirs #2", "total": 6}], rows
try:
    archiver.result(3)
except archiver.ConfigError as error:
    assert "theirs" in str(error)
"""
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)


def test_engines_are_reachable_and_nothing_is_imported_for_them() -> None:
    code = """
import sys, archiver
assert "archiver.engines" not in sys.modules
archiver.engines.returns
heavy = {"pandas", "numpy", "backtesting", "vectorbt", "optuna", "backtrader", "pyarrow"} & sys.modules.keys()
assert not heavy, heavy
try:
    archiver.engines.nothing
except AttributeError as error:
    assert "nothing" in str(error)
assert "returns" in dir(archiver.engines) or "tables" in dir(archiver.engines)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def returns() -> pd.Series:
    values = [0.01, -0.02, 0.005, 0.0, 0.03, -0.01, 0.002, 0.001]
    return pd.Series(values, index=dates(len(values)), name="mine")


def test_returns_give_metrics_and_dated_curves() -> None:
    series = returns()
    found = archiver.result(series, benchmark=series * 0.5, params={"a": 1})
    assert found["strategy_name"] == "mine_a=1"
    assert found["params"] == {"a": 1}
    assert found["total_return"] == pytest.approx(float((1 + series).prod() - 1))
    assert found["max_drawdown"] == pytest.approx(1 - 0.98)
    assert found["sharpe_ratio"] == pytest.approx(series.mean() / series.std() * 252**0.5)
    assert found["beta"] == pytest.approx(2.0)
    assert found["periods_per_year"] == 252.0
    assert found["start"] == "2024-01-01T00:00:00"
    pd.testing.assert_series_equal(found["curves"]["returns"], series)
    assert found["curves"]["equity"].index.equals(series.index)
    assert {*found["curves"]} == {"equity", "returns", "benchmark", "benchmark_returns"}


@pytest.mark.engines
def test_metrics_of_returns_are_those_of_the_kept_libraries() -> None:
    quantstats = pytest.importorskip("quantstats", reason="quantstats is not installed").stats
    found = archiver.result(returns())
    assert found["sharpe_ratio"] == pytest.approx(quantstats.sharpe(returns()))
    assert found["sortino_ratio"] == pytest.approx(quantstats.sortino(returns()))
    assert found["max_drawdown"] == pytest.approx(-quantstats.max_drawdown(returns()))
    assert found["volatility"] == pytest.approx(quantstats.volatility(returns()))


@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_returns_of_every_day_of_the_week_and_of_minutes_say_their_periods(zone: str | None) -> None:
    for frequency, a_year in (("D", 365.25), ("60min", 24 * 365.25)):
        index = pd.date_range("2024-01-01", periods=100, freq=frequency, tz=zone)
        found = archiver.result(pd.Series([0.001, -0.001] * 50, index=index))
        assert found["periods_per_year"] == pytest.approx(a_year, rel=1e-3)  # a day of summer time is shorter


@pytest.mark.parametrize("values", [[], [0.01], [math.nan, math.nan], [-1.0, 0.0], [0.0, 0.0, 0.0]])
def test_returns_that_say_little_are_taken(values: list[float]) -> None:
    found = archiver.result(pd.Series(values, index=dates(len(values)), dtype=float))
    assert found["strategy_name"] == "returns"
    assert len(found["curves"]["equity"]) == len(values)


def test_a_table_of_returns_is_a_result_a_column() -> None:
    frame = pd.DataFrame({"a": returns(), "b": returns() * 2})
    found = archiver.result(frame)
    assert isinstance(found, Iterator)
    assert [one["strategy_name"] for one in found] == ["a", "b"]
    twice = archiver.result(pd.concat([frame, frame], axis=1))
    assert [one["strategy_name"] for one in twice] == ["a", "b", "a #2", "b #2"]


@pytest.mark.parametrize(
    "given",
    [
        returns().iloc[::-1],
        returns().set_axis([day.date() for day in dates(8)]),
        returns().set_axis([str(day.date()) for day in dates(8)]),
        returns().map(lambda value: Decimal(str(value))),
        pl.DataFrame({"date": list(dates(8)), "mine": returns().tolist()}),
        pa.table({"date": pa.array(dates(8)), "mine": returns().tolist()}),
    ],
    ids=["backwards", "days", "texts", "Decimal", "polars", "Arrow"],
)
def test_returns_of_any_shape_are_the_same_result(given: Any) -> None:
    found, plain = archiver.result(given), archiver.result(returns())
    told = {key: value for key, value in plain.items() if key != "curves"}
    assert {key: value for key, value in found.items() if key != "curves"} == told
    assert found["curves"]["equity"].tolist() == plain["curves"]["equity"].tolist()


def test_returns_by_month_and_with_levels_and_a_table_as_benchmark() -> None:
    months = pd.Series([0.01, 0.02], index=pd.period_range("2024-01", periods=2, freq="M"))
    assert archiver.result(months)["start"] == "2024-01-01T00:00:00"
    levels = pd.MultiIndex.from_tuples([("A", 1), ("A", 2)], names=["symbol", "n"])
    frame = pd.concat([returns(), returns()], axis=1).set_axis(levels, axis=1)
    found = list(archiver.result(frame, benchmark=returns().to_frame()))
    assert [one["params"] for one in found] == [{"symbol": "A", "n": 1}, {"symbol": "A", "n": 2}]
    assert [one["strategy_name"] for one in found] == ["returns_symbol=A_n=1", "returns_symbol=A_n=2"]
    assert found[0]["beta"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("obj", "how", "why"),
    [
        (returns().map(lambda _: "x"), {}, "a Series of returns has something else than numbers"),
        (returns(), {"benchmark": [1.0]}, "a benchmark has no dates"),
        (returns(), {"benchmark": pd.DataFrame({"a": returns(), "b": returns()})}, "a table of 2 columns"),
        (
            returns(),
            {"benchmark": returns().tz_localize("UTC")},
            "one of returns and benchmark has a time zone",
        ),
        (pd.Series([0.1], index=["not a date"]), {}, "a Series by str"),
    ],
)
def test_returns_that_cannot_be_are_one_line(obj: Any, how: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        archiver.result(obj, **how)


def test_a_dict_without_a_name_gets_one_of_its_params() -> None:
    both = [{"params": {"fast": 3}, "sharpe": 1.0}, {"params": {"fast": 3}, "sharpe": 2.0}]
    assert [one["strategy_name"] for one in archiver.result(both)] == [
        "strategy_fast=3",
        "strategy_fast=3 #2",
    ]
    assert archiver.result({"sharpe": 1.0}, name="mine") == {"sharpe": 1.0, "strategy_name": "mine"}
    assert archiver.result({"trades": []}, params={"a": 1})["strategy_name"] == "strategy_a=1"
    with pytest.raises(ConfigError, match="strategy_name: give it one"):
        archiver.result({"sharpe": 1.0})


def test_a_table_of_strategies_is_a_result_a_row(tmp_path: Path) -> None:
    table = pd.DataFrame({"strategy_name": ["a", "b"], "sharpe": [1.0, 2.0]})
    archive = archiver.open(tmp_path / "archive")
    for universe, given in (("pandas", table), ("polars", pl.from_pandas(table))):
        assert archive.save(given, universe, code="none").strategies == 2
        assert archive.load_metrics(universe)["sharpe"].to_pylist() == [1.0, 2.0]
    with pytest.raises(TypeError, match="benchmark= is no option for a builtins dict: it takes none but"):
        list(archiver.result(table, benchmark=1))


def test_returns_without_dates_say_so() -> None:
    with pytest.raises(ConfigError, match="a Series by int64"):
        archiver.result(pd.Series([0.1, 0.2]))


def test_an_engine_that_is_missing_is_one_line_that_names_what_to_install() -> None:
    with pytest.raises(ConfigError, match="nothing_of_this_name is not installed: pip install its-package"):
        shared.engine_module("nothing_of_this_name.part", "its-package")
    if find_spec("backtrader") is None:
        with pytest.raises(ConfigError, match="backtrader is not installed: pip install backtrader"):
            archiver.engines.backtrader.Result  # noqa: B018  # asking for it is what fails
