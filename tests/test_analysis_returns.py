"""Tear sheets: against pandas as an independent computation, by hand, and for curves that say little."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pandas as pd
import pyarrow as pa
import pytest

import archiver
from archiver.analysis.moments import Points, read
from archiver.analysis.reading import excursions
from archiver.analysis.returns import drawdowns, tear_sheet
from archiver.analysis.trades import Excursion, Group, bars, excursion, trades_summary


@pytest.fixture(scope="module")
def points() -> Points:
    random, values, moments = Random(3), [100.0], [datetime(2019, 11, 20, tzinfo=UTC)]
    while len(values) < 900:
        moments.append(moments[-1] + timedelta(days=1 if moments[-1].weekday() < 4 else 3))
        values.append(values[-1] * (1 + random.gauss(0.0004, 0.012)))
    return Points(values, moments)


def test_figures_agree_with_pandas(points: Points) -> None:
    series = pd.Series(points.values, pd.DatetimeIndex(points.times))
    returns, found = series.pct_change().dropna(), tear_sheet(points)
    days = (series.index[-1] - series.index[0]).days
    per_year = len(returns) / (days / 365.2425)
    assert found.per_year == pytest.approx(per_year)
    assert found.volatility == pytest.approx(returns.std() * math.sqrt(per_year))
    assert found.sharpe == pytest.approx(returns.mean() / returns.std() * math.sqrt(per_year))
    downside = math.sqrt((returns.clip(upper=0) ** 2).mean())
    assert found.sortino == pytest.approx(returns.mean() / downside * math.sqrt(per_year))
    assert found.cagr == pytest.approx((series.iloc[-1] / series.iloc[0]) ** (365.2425 / days) - 1)
    worst = (series / series.cummax() - 1).min()
    assert found.drawdowns[0].depth == pytest.approx(worst)
    assert found.calmar == pytest.approx(found.cagr / -worst)  # type: ignore[operator]  # it is there


def test_months_and_years_are_compounded_returns(points: Points) -> None:
    series = pd.Series(points.values, pd.DatetimeIndex(points.times))
    returns, found = series.pct_change().fillna(0), tear_sheet(points)
    months = (1 + returns).groupby([returns.index.year, returns.index.month]).prod() - 1
    got = {(y, at + 1): v for y, row in found.months.items() for at, v in enumerate(row) if v is not None}
    assert got == pytest.approx(months.to_dict())
    years = (1 + returns).groupby(returns.index.year).prod() - 1
    assert found.years == pytest.approx(years.to_dict())


def test_rolling_figures_agree_with_pandas(points: Points) -> None:
    returns, found = pd.Series(points.values).pct_change(), tear_sheet(points)
    rolling = returns.rolling(found.window)
    scale = math.sqrt(found.per_year or 0)
    assert found.window == round((found.per_year or 0) / 2)
    wanted = (rolling.mean() / rolling.std() * scale).dropna().tolist()
    assert found.rolling_sharpe[found.window :] == pytest.approx(wanted)
    assert found.rolling_volatility[found.window :] == pytest.approx(
        (rolling.std() * scale).dropna().tolist()
    )
    assert len(found.rolling_sharpe) == len(points.values)
    assert found.rolling_sharpe[: found.window] == [None] * found.window


def test_drawdowns_by_hand() -> None:
    day = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=at) for at in range(9)]
    found = drawdowns(Points([100, 90, 95, 100, 120, 60, 90, 121, 110], day))
    assert [(one.depth, one.begin, one.valley, one.end) for one in found] == [
        (-0.5, 4, 5, 7),
        (pytest.approx(-0.1), 0, 1, 3),
        (pytest.approx(110 / 121 - 1), 7, 8, None),
    ]
    assert (found[0].since, found[0].lowest, found[0].recovered, found[0].days) == (day[4], day[5], day[7], 3)
    assert found[2].days is None
    assert drawdowns(Points([1.0, 2.0, 3.0])) == []


def test_a_curve_that_reaches_zero_has_amounts_and_no_percentages() -> None:
    found = tear_sheet(Points([0.0, 10.0, -5.0, 20.0]))
    assert found.underwater == [0, 0, -15, 0]
    assert (found.total, found.months, found.sharpe, found.drawdowns[0].depth) == (None, {}, None, -15)


@pytest.mark.parametrize(
    "saved", [None, [], [1.0], [None, float("nan")], "text", [[1, 2, 3]], [{"a": 1}], {"x": 1}]
)
def test_what_is_no_curve_says_nothing(saved: object) -> None:
    found = tear_sheet(read(saved))
    assert (found.total, found.drawdowns, found.months) == (None, [], {})


def test_trades_by_what_they_have_in_common() -> None:
    table = pa.table(
        {
            "direction": ["long", "short", "long", None],
            "entry_time": ["2024-01-01T09:30:00", "2024-01-02T09:00:00", "2024-01-08T15:00:00", "?"],
            "exit_reason": ["stop", "target", "stop", "stop"],
            "pnl": [10.0, -4.0, -1.0, None],
            "commission": [1.0, 1.0, 1.0, 1.5],
        }
    )
    found = trades_summary(table)
    assert (found.count, found.money, found.total, found.profit_factor) == (4, "pnl", 5.0, 2.0)
    assert (found.win_rate, found.best, found.worst, found.costs) == (1 / 3, 10.0, -4.0, {"commission": 4.5})
    splits = found.splits or {}
    assert splits["direction"] == [Group("long", 2, 1, 9.0), Group("short", 1, 0, -4.0)]
    assert [group.label for group in splits["weekday"]] == ["Monday", "Tuesday"]
    assert [(group.label, group.trades) for group in splits["hour"]] == [("09:00", 2), ("15:00", 1)]
    assert [group.label for group in splits["exit reason"]] == ["stop", "target"]
    assert "duration" not in splits  # no exit is told: all ended as they began
    assert trades_summary(pa.table({"x": [1]})).money is None


def test_excursions_are_those_of_the_bars_while_the_trade_was_open() -> None:
    window = {
        "timestamps": [f"2024-01-0{day}" for day in range(1, 6)],
        "high": [999, 110, 120, 105, 999],
        "low": [1, 95, 90, 99, 1],
    }
    trade = {"entry_time": "2024-01-02", "exit_time": "2024-01-04", "entry_price": 100.0, "direction": "long"}
    own = bars(window)
    assert own
    assert excursion(trade, own) == Excursion(pytest.approx(0.1), pytest.approx(0.2))
    assert excursion({**trade, "direction": "short"}, own) == Excursion(
        pytest.approx(0.2), pytest.approx(0.1)
    )
    assert excursion({**trade, "direction": None}, own) is None
    assert bars({"rsi": [1, 2]}) is None


def test_trades_without_windows_are_measured_by_the_only_tape(tmp_path: Path) -> None:
    bars_ = {
        "timestamps": [f"2024-01-0{day}" for day in range(1, 6)],
        "high": [11.0, 12.0, 11.5, 13.0, 10.0],
        "low": [9.0, 9.5, 8.0, 9.0, 9.0],
    }
    times = {"entry_time": "2024-01-02", "exit_time": "2024-01-04", "entry_price": 10.0}
    cut = {name: values[1:4] for name, values in bars_.items()}
    trades = [{**times, "direction": "long", "bars": cut}, {**times, "direction": "short", "bars": None}]
    archive = archiver.open(tmp_path / "a")
    run = archive.save_universe_results(
        "u", [{"strategy_name": "s", "sharpe_ratio": 1.0, "trades": trades}], code="none"
    )
    record = archive.record(run.id)
    rows = archive.load_strategy("s")["trades"]
    assert len(record.tapes) == 1
    assert excursions(archive.reader, record, rows) == [
        Excursion(pytest.approx(0.2), pytest.approx(0.3)),
        Excursion(pytest.approx(0.3), pytest.approx(0.2)),
    ]


def test_the_archive_gives_it_with_the_dates_that_were_saved(points: Points, tmp_path: Path) -> None:
    assert points.times
    dated = [[moment.isoformat(), value] for moment, value in zip(points.times, points.values, strict=True)]
    archive = archiver.open(tmp_path / "a")
    archive.save_universe_results(
        "u", [{"strategy_name": "s", "sharpe_ratio": 1.0, "equity_curve": dated}], code="none"
    )
    assert archive.tear_sheet("s") == tear_sheet(points)


def test_trades_by_how_long_they_were_open() -> None:
    begin = datetime(2024, 1, 1, 9, tzinfo=UTC)
    lasted = [
        timedelta(minutes=4),
        timedelta(minutes=5),
        timedelta(hours=3),
        timedelta(days=40),
        timedelta(minutes=-1),
    ]
    table = pa.table(
        {
            "entry_time": [begin.isoformat()] * 6,
            "exit_time": [(begin + one).isoformat() for one in lasted] + ["2024-01-01"],
            "pnl": [1.0, -2.0, 3.0, 4.0, 5.0, 6.0],
        }
    )
    found = (trades_summary(table).splits or {})["duration"]
    assert found == [
        Group("under 5 minutes", 1, 1, 1.0),
        Group("5 to 30 minutes", 1, 0, -2.0),
        Group("2 to 8 hours", 1, 1, 3.0),
        Group("30 to 100 days", 1, 1, 4.0),
    ]
