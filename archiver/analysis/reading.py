"""What is judged, read from an archive: the Sharpe ratios of a run, an equity curve with its moments."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from archiver.analysis.luck import Luck, luck
from archiver.analysis.moments import Points, of_clock, of_series, of_trades
from archiver.analysis.overfitting import Overfitting, overfitting
from archiver.analysis.trades import Bars, Excursion, bars, excursion
from archiver.base.unread import ONE_OBJECT
from archiver.errors import IntegrityError, NotFoundError, NotKeptError
from archiver.format.model import Detail, Record
from archiver.runs.extras import curves_of
from archiver.runs.ranking import known_metrics
from archiver.runs.read import Reader

if TYPE_CHECKING:
    import pyarrow as pa


def luck_of(reader: Reader, record: Record) -> Luck:
    """Judge a run as a search. What keeps a curve from being read is said in `why_not`."""
    metric, sharpes = sharpes_of(reader, record)
    best = max(sharpes, key=lambda name: sharpes[name], default=None)
    detail = next((one for one in record.details if one.strategy == best), None)
    if best is None:
        return luck(metric, sharpes, Points())
    if detail is None:
        return luck(metric, sharpes, Points(), f"the equity curve of {best!r} was not kept")
    try:
        return luck(metric, sharpes, equity(reader, record, detail))
    except (NotKeptError, *ONE_OBJECT) as error:
        return luck(metric, sharpes, Points(), str(error))


def sharpes_of(reader: Reader, record: Record) -> tuple[str | None, dict[str, float]]:
    """Return the metric that is a run's Sharpe ratio, however it is spelled, and its finite values by strategy."""
    names = [name for name in known_metrics(reader.metric_names([record])) if "sharpe" in name.lower()]
    for name in names:
        table = reader.metrics([record], [name], history=True)
        found = {
            str(strategy): float(value)
            for strategy, value in zip(
                table["strategy_name"].to_pylist(), table[name].to_pylist(), strict=True
            )
            if type(value) in (int, float) and isfinite(value)
        }
        if found:
            return name, found
    return None, {}


def equity(reader: Reader, record: Record, detail: Detail, trades: pa.Table | None = None) -> Points:
    """Return a strategy's equity curve, with the moments of its clock, its trades or its only tape where they are known."""
    return _dated(
        reader, record, detail, of_series(curves_of(reader, record, detail)[1].get("equity")), trades
    )


def beside(reader: Reader, record: Record, detail: Detail, own: Points) -> Points:
    """Return a strategy's benchmark so that it begins where its equity curve `own` does; an empty one where the two have no axis in common."""
    found = of_series(curves_of(reader, record, detail)[1].get("benchmark"))
    found = _dated(reader, record, detail, found, None)
    if not found.values or not own.values or (found.times is None) != (own.times is None):
        return Points()
    if found.times is None or own.times is None:
        is_alike = len(found.values) == len(own.values)
    else:
        is_alike = (found.times[0].tzinfo is None) == (own.times[0].tzinfo is None)
    if not is_alike or not found.values[0] or not own.values[0]:
        return Points()
    share = own.values[0] / found.values[0]
    return Points([value * share for value in found.values], found.times)


def overfitting_of(reader: Reader, record: Record) -> Overfitting:
    """Return the probability of backtest overfitting of a run, by the equity curves that it kept."""
    curves, why = {}, "no equity curve was kept"
    for detail in record.details:
        try:
            curves[detail.strategy] = equity(reader, record, detail)
        except (NotKeptError, *ONE_OBJECT) as error:
            why = str(error)
    if not curves:
        return Overfitting(trials=record.strategies, why_not=why)
    return overfitting(curves, record.strategies)


def _dated(reader: Reader, record: Record, detail: Detail, points: Points, trades: pa.Table | None) -> Points:
    """Return a curve with moments: its own, else those of the trades or of the only tape where it has a point for each."""
    if points.times is not None or not points.values:
        return points
    trades = reader.trades(record, detail, None) if trades is None else trades
    moments = of_trades(trades, len(points.values))
    if moments is None and len(record.tapes) == 1:
        try:
            tape = reader.tapes(record)[0]
            moments = of_clock(tape.columns[tape.clock], len(points.values))
        except IntegrityError:
            moments = None  # the bars are damaged: that is said to those who ask for bars
    return Points(points.values, moments)


def held_together(records: Sequence[Record], top: int) -> list[tuple[Record, Detail]]:
    """Return the best strategies of the newest run that has details of two, with the run. Raises NotFoundError where none has."""
    record = next((one for one in records if len(one.details) > 1), None)
    if record is None:
        raise NotFoundError("no run has the details of two strategies: save with top_n of 2 or more")
    best = sorted(record.details, key=lambda detail: detail.rank)
    return [(record, detail) for detail in best[: max(2, top)]]


def excursions(reader: Reader, record: Record, trades: Sequence[dict[str, Any]]) -> list[Excursion | None]:
    """Return how far the price went during each trade, by its window of bars, else by the run's only tape; None where neither says it."""
    found: list[Excursion | None] = []
    tape: Bars | None = None
    is_read = False
    for trade in trades:
        windows = [value for value in trade.values() if isinstance(value, dict)]
        own = next((one for one in (_within(trade, bars(window)) for window in windows) if one), None)
        if own is None and not is_read:
            tape, is_read = _only_tape(reader, record), True
        found.append(own or _within(trade, tape))
    return found


def _within(trade: dict[str, Any], bars: Bars | None) -> Excursion | None:
    return None if bars is None else excursion(trade, bars)


def _only_tape(reader: Reader, record: Record) -> Bars | None:
    """Return the bars of the run's only tape: of several, nothing tells which one a trade is of."""
    if len(record.tapes) != 1:
        return None
    try:
        return bars(reader.tapes(record)[0].columns)
    except IntegrityError:
        return None  # the bars are damaged: that is said to those who ask for bars
