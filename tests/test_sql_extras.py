"""Curves and further tables in SQL."""

from __future__ import annotations

import pandas as pd
import pytest

import archiver
from tests.test_extras import DAYS, HOURS, save


def test_sql_has_a_row_a_point_with_its_moment_and_a_view_a_table(archive):
    equity = pd.Series([1.0, 3, 2], DAYS)
    save(
        archive,
        curves={"equity": equity, "drawdown": [0.0, 0, 1], "benchmark": (list(range(2)), [5, 6])},
        tables={"orders": pd.DataFrame({"t": DAYS, "q": [1, 2, 3]}), "trades": [{"x": 1}]},
    )
    found = archive.sql("select * from curves where curve = 'equity'")
    assert found.column_names == ["universe", "strategy_name", "run", "curve", "time", "value"]
    assert found["time"].to_pandas().tolist() == list(DAYS)
    assert archive.sql("select point, equity, drawdown from curves order by point").to_pylist() == [
        {"point": at, "equity": e, "drawdown": d}
        for at, (e, d) in enumerate(zip([1, 3, 2], [0, 0, 1], strict=True))
    ]
    assert archive.sql("select max(t) m, sum(q) s from orders").to_pylist() == [{"m": DAYS[2], "s": 6}]
    assert archive.sql("select x from trades_table")["x"].to_pylist() == [1]
    with pytest.raises(archiver.ConfigError, match="nothing_here does not exist"):
        archive.sql("select * from nothing_here")


def test_moments_of_different_clocks_are_one_column(archive):
    save(archive, curves={"a": pd.Series([1.0] * 4, HOURS), "b": pd.Series([2.0], [5]), "c": [3.0]})
    found = archive.sql("select curve, time from curves where time is not null order by time")
    assert [moment.timestamp() for moment in found["time"].to_pylist()] == [
        hour.timestamp() for hour in HOURS
    ]
    found = archive.sql("select time, value, point, equity from curves where curve = 'b'").to_pylist()
    assert found == [{"time": None, "value": 2.0, "point": 0, "equity": None}]


def test_bar_numbers_alone_are_numbers(archive):
    save(archive, curves={"b": pd.Series([2.0], [5])})
    assert archive.sql("select time from curves")["time"].to_pylist() == [5]


def test_tables_of_strategies_whose_types_differ_are_one(archive):
    rows = [
        {"strategy_name": "A", "sharpe": 1.0, "tables": {"fills": pd.DataFrame({"q": [1], "run": ["x"]})}},
        {"strategy_name": "B", "sharpe": 2.0, "tables": {"fills": [{"q": 1.5, "note": "n"}]}},
    ]
    archive.save_universe_results("u", rows, code="none")
    found = archive.sql('select strategy_name s, q, note, "fills.run" r from fills order by s').to_pylist()
    assert found == [
        {"s": "A", "q": 1.0, "note": None, "r": "x"},
        {"s": "B", "q": 1.5, "note": "n", "r": None},
    ]
    with pytest.raises(archiver.ConfigError, match="does not exist"):
        archive.sql("select * from fils")
