"""Tear sheets against QuantStats and empyrical, where they define the same; skipped where they are not installed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pandas as pd
import pytest

from archiver.analysis.moments import Points
from archiver.analysis.returns import TearSheet, tear_sheet


@pytest.fixture(scope="module")
def days() -> tuple[pd.Series, TearSheet]:
    """Four years of week days as returns, and their tear sheet."""
    random, values, moments = Random(11), [100.0], [datetime(2019, 12, 31, tzinfo=UTC)]
    while len(values) < 1_000:
        moments.append(moments[-1] + timedelta(days=1 if moments[-1].weekday() < 4 else 3))
        values.append(values[-1] * (1 + random.gauss(0.0004, 0.012)))
    series = pd.Series(values, pd.DatetimeIndex(moments).tz_localize(None))
    return series, tear_sheet(Points(values, moments))


def test_figures_agree_with_empyrical(days: tuple[pd.Series, TearSheet]) -> None:
    empyrical: Any = pytest.importorskip("empyrical")
    series, sheet = days
    returns = series.pct_change().dropna()
    a_year = {"annualization": sheet.per_year}
    assert sheet.total == pytest.approx(empyrical.cum_returns_final(returns))
    assert sheet.volatility == pytest.approx(empyrical.annual_volatility(returns, **a_year))
    assert sheet.sharpe == pytest.approx(empyrical.sharpe_ratio(returns, **a_year))
    assert sheet.sortino == pytest.approx(empyrical.sortino_ratio(returns, **a_year))
    assert sheet.drawdowns[0].depth == pytest.approx(empyrical.max_drawdown(returns))
    assert sheet.cagr == pytest.approx(empyrical.cagr(returns, **a_year))
    assert sheet.calmar == pytest.approx(empyrical.calmar_ratio(returns, **a_year))
    monthly = empyrical.aggregate_returns(returns, "monthly")
    assert {
        (year, month): value
        for year, row in sheet.months.items()
        for month, value in enumerate(row, 1)
        if value is not None and (year, month) != (2019, 12)  # the day of the first value is no return
    } == pytest.approx(monthly.to_dict())
    yearly = empyrical.aggregate_returns(returns, "yearly").to_dict()
    assert {year: value for year, value in sheet.years.items() if year != 2019} == pytest.approx(yearly)
    rolling = empyrical.roll_sharpe_ratio(returns, sheet.window, **a_year)
    assert [one for one in sheet.rolling_sharpe if one is not None] == pytest.approx(list(rolling))


def test_figures_agree_with_quantstats(days: tuple[pd.Series, TearSheet]) -> None:
    stats: Any = pytest.importorskip("quantstats.stats")
    series, sheet = days
    returns, a_year = series.pct_change().dropna(), {"periods": sheet.per_year}
    assert sheet.total == pytest.approx(stats.comp(returns))
    assert sheet.cagr == pytest.approx(stats.cagr(returns, **a_year))
    assert sheet.calmar == pytest.approx(stats.calmar(returns, **a_year))
    assert sheet.volatility == pytest.approx(stats.volatility(returns, **a_year))
    assert sheet.sharpe == pytest.approx(stats.sharpe(returns, **a_year))
    assert sheet.sortino == pytest.approx(stats.sortino(returns, **a_year))
    assert sheet.drawdowns[0].depth == pytest.approx(stats.max_drawdown(series))
    months = stats.monthly_returns(returns, eoy=False)
    own = {
        year: [value or 0.0 for value in row]  # there a month without returns has 0
        for year, row in sheet.months.items()
        if year != 2019
    }
    assert months.to_numpy().tolist() == [pytest.approx(own[year]) for year in sorted(own)]
    falls = stats.drawdown_details(stats.to_drawdown_series(returns)).sort_values("max drawdown")[:5]
    assert [100 * one.depth for one in sheet.drawdowns] == pytest.approx(falls["max drawdown"].tolist())
    assert [f"{one.lowest:%Y-%m-%d}" for one in sheet.drawdowns] == falls["valley"].astype(str).tolist()
