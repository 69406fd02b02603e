"""The report on one strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import Any

from archiver.analysis.luck import Luck
from archiver.analysis.moments import Points
from archiver.analysis.returns import TearSheet
from archiver.analysis.trades import Excursion, Group, Trades
from archiver.base.humanize import number
from archiver.format.model import Run
from archiver.report import plot
from archiver.report.html import Markup, facts, page, section, table, tag
from archiver.report.run import closing, luck_part, opening

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BREAKS = ((0.05, 3), (0.02, 2))


def strategy_page(
    name: str,
    run: Run,
    metrics: Mapping[str, Any],
    sheet: TearSheet,
    benchmark: Points,
    trades: Trades,
    rows: Sequence[dict[str, Any]],
    went: Sequence[Excursion | None],
    luck: Luck,
) -> str:
    """Return the page: key figures, equity and drawdown, months, drawdowns, rolling figures, trades, luck, parameters, metrics."""
    params = metrics.get("params")
    others = {key: value for key, value in metrics.items() if key != "params" or not isinstance(params, dict)}
    return page(
        f"{name} - {run.universe}",
        opening(name, run),
        _cards(sheet, trades),
        section("Equity", _equity(sheet, benchmark), _undated(sheet)),
        section("Drawdown", _falls(sheet)),
        section("Returns by month", _months(sheet)),
        section("Returns by year", _years(sheet)),
        section("Deepest drawdowns", _drawdowns(sheet)),
        section(
            "Rolling figures",
            sheet.window
            and tag("p", f"Over the last {sheet.window:,} steps of the curve, annualised.", class_="muted"),
            _rolling(sheet),
        ),
        section("Trades", _trades(trades), _splits(trades)),
        section("Price while trades were open", _excursions(rows, went, trades.money)),
        luck_part(luck, ()),
        section("Parameters", facts(params.items()) if isinstance(params, dict) and params else None),
        section("Metrics as they were saved", facts(others.items()) if others else None),
        closing(),
    )


def percent(share: float | None) -> str | None:
    """Write a share as percent; None stays."""
    return None if share is None else f"{100 * share:,.2f} %"


def _cards(sheet: TearSheet, trades: Trades) -> Markup:
    deepest = sheet.drawdowns[0].depth if sheet.drawdowns and sheet.total is not None else None
    cards = [
        ("Return", percent(sheet.total), sheet.total),
        ("CAGR", percent(sheet.cagr), sheet.cagr),
        ("Sharpe ratio", None if sheet.sharpe is None else f"{sheet.sharpe:.2f}", sheet.sharpe),
        ("Sortino ratio", None if sheet.sortino is None else f"{sheet.sortino:.2f}", sheet.sortino),
        ("Deepest drawdown", percent(deepest), deepest),
        ("Volatility", percent(sheet.volatility), None),
        ("Trades", f"{trades.count:,}" if trades.count else None, None),
        ("Trades that won", percent(trades.win_rate), None),
    ]
    return tag(
        "div",
        *(
            tag(
                "div",
                tag("span", title),
                tag("b", text, class_="bad" if sign is not None and sign < 0 else None),
                class_="card",
            )
            for title, text, sign in cards
            if text is not None
        ),
        class_="cards",
    )


def _undated(sheet: TearSheet) -> Markup | None:
    if sheet.points.times is not None or not sheet.points.values:
        return None
    return tag("p", "The curve was saved without dates: what needs them is left out.", class_="muted")


def _equity(sheet: TearSheet, benchmark: Points) -> Markup | None:
    points = sheet.points
    drawn = plot.line(points.values, points.times, "equity", beside=benchmark if benchmark.values else None)
    if not benchmark.values:
        return drawn
    said = "Grey: the benchmark that was saved with it, beginning where the equity does"
    share = benchmark.values[-1] / benchmark.values[0] - 1
    more = f"; over its whole length {percent(share)}" if min(benchmark.values) > 0 else ""
    return tag("div", drawn, tag("p", f"{said}{more}.", class_="muted"))


def _falls(sheet: TearSheet) -> Markup | None:
    if not any(sheet.underwater):
        return None
    share = min(sheet.points.values) > 0
    return plot.line(sheet.underwater, sheet.points.times, "drawdown", kind="fall", percent=share)


def _rolling(sheet: TearSheet) -> Markup | None:
    parts = []
    for title, values, share in (
        ("Sharpe ratio", sheet.rolling_sharpe, False),
        ("Volatility", sheet.rolling_volatility, True),
    ):
        drawn = plot.line(values, sheet.points.times, f"rolling {title}", percent=share)
        parts += [tag("div", tag("h3", title), drawn)] if drawn else []
    return tag("div", *parts, class_="two") if parts else None


def _shade(value: float | None) -> Markup:
    if value is None:
        return tag("td", "")
    level = next((level for least, level in _BREAKS if abs(value) >= least), 1 if value else 0)
    return tag("td", f"{100 * value:.1f}", class_=f"{'u' if value > 0 else 'd'}{level}" if level else None)


def _months(sheet: TearSheet) -> Markup | None:
    if not sheet.months:
        return None
    rows = [
        [tag("td", str(year)), *map(_shade, months), _shade(sheet.years.get(year))]
        for year, months in sheet.months.items()
    ]
    return table(["%", *_MONTHS, "Year"], rows, "months")


def _years(sheet: TearSheet) -> Markup | None:
    if len(sheet.years) < 2:  # one stands at the end of its months
        return None
    return plot.bars({str(year): value for year, value in sheet.years.items()}, "returns by year")


def _day(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d}"


def _drawdowns(sheet: TearSheet) -> Markup | None:
    if not sheet.drawdowns:
        return None
    share, dated = min(sheet.points.values) > 0, sheet.points.times is not None
    rows = [
        [
            tag("td", percent(one.depth) if share else number(one.depth), class_="n bad"),
            *(
                [_day(one.since), _day(one.lowest), _day(one.recovered) or "not yet"]
                if dated
                else [
                    f"point {one.begin:,}",
                    f"point {one.valley:,}",
                    "not yet" if one.end is None else f"point {one.end:,}",
                ]
            ),
            None if one.days is None else round(one.days),
        ]
        for one in sheet.drawdowns
    ]
    return table(["depth", "peak", "lowest", "as high again", "days"], rows)


def _trades(trades: Trades) -> Markup | None:
    if not trades.count:
        return None
    unit = trades.money
    return facts(
        [
            ("trades", trades.count),
            ("that won", percent(trades.win_rate)),
            (f"sum of {unit}", trades.total if unit else None),
            ("profit factor", trades.profit_factor),
            ("best", trades.best),
            ("worst", trades.worst),
            *(trades.costs or {}).items(),
        ]
    )


def _splits(trades: Trades) -> Markup | None:
    if not trades.splits:
        return None
    return tag("div", *(_split(name, groups) for name, groups in trades.splits.items()), class_="two")


def _split(name: str, groups: Sequence[Group]) -> Markup:
    rows = [[one.label, one.trades, percent(one.wins / one.trades), one.total, one.mean] for one in groups]
    cells = [[row[0], row[1], tag("td", row[2], class_="n"), *row[3:]] for row in rows]
    return tag(
        "div", tag("h3", f"By {name}"), table([name, "trades", "won", "sum", "mean"], cells, "numbers")
    )


def _excursions(
    rows: Sequence[dict[str, Any]], went: Sequence[Excursion | None], money: str | None
) -> Markup | None:
    found: list[tuple[Excursion, bool]] = [
        (one, bool(money) and isinstance(made := row.get(str(money)), int | float) and made > 0)
        for row, one in zip(rows, went, strict=True)
        if one is not None
    ]
    if not found:
        return None
    against, favour = median(one.against for one, _ in found), median(one.in_favour for one, _ in found)
    drawn = plot.scatter([(one.against, one.in_favour, won) for one, won in found], "excursions of trades")
    text = (
        f"Across: how far the price went against each of {len(found):,} trades (MAE, median {percent(against)}); up:"
        f" how far for it (MFE, median {percent(favour)}). Green made money, red did not."
    )
    return tag("div", tag("p", text, class_="muted"), drawn)
