"""One strategy's detail, read for a page: curves and trades apart from the price windows, which are cut one by one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archiver.analysis.moments import of_clock, of_trades, when
from archiver.errors import IntegrityError, NotFoundError
from archiver.format.model import Detail, Record
from archiver.format.tapes import cut_windows
from archiver.runs.extras import curves_of
from archiver.runs.read import holder
from archiver.runs.records import records_of
from archiver.web.reading.curves import Curve, of_series
from archiver.web.reading.data import Data, Metrics, Recent

if TYPE_CHECKING:
    import pyarrow as pa

_DRAWN = ("equity", "drawdown", "benchmark")
AROUND = 40
"""Bars drawn before a trade's entry and after its exit, where the tape is known and no window is kept."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy whose detail was kept. `trades` has no price windows; `places` says where they are in the tapes."""

    record: Record
    detail: Detail
    metrics: dict[str, Any]
    equity: Curve
    drawdown: Curve
    trades: Metrics
    benchmark: Curve = field(default_factory=Curve)

    @property
    def name(self) -> str:
        """The strategy's name."""
        return self.detail.strategy


class Details:
    """Reads strategies, and keeps the few most recent ones."""

    def __init__(self, data: Data) -> None:
        """Read from this archive."""
        self._data = data
        self._kept: Recent[Strategy] = Recent(4)

    def find(self, name: str, universe: str | None = None, run: str | None = None) -> Strategy:
        """Return a strategy's detail of a run, or of the newest run that has the strategy.

        Raises NotKeptError, NotFoundError, RunNotFoundError as `Archive.load_strategy` does.
        """
        if run:
            records = list(records_of([self._data.archive.record(run)], universe=universe))
        else:
            records = self._data.seen().having(name, universe)
        record, detail = self._data.reader.find(records, name)
        return self._kept.get((record.run, record.size, name), lambda: self._read(record, detail))

    def trade(self, strategy: Strategy, trade: int) -> dict[str, Any]:
        """Return one trade. Raises NotFoundError for one that is not there."""
        trades = strategy.trades.table
        if not 0 <= trade < trades.num_rows:
            raise NotFoundError(f"there is no trade {trade + 1}: the strategy has {trades.num_rows}")
        row: dict[str, Any] = trades.slice(trade, 1).to_pylist()[0]
        return row

    def window(self, strategy: Strategy, trade: int) -> dict[str, list[Any]] | None:
        """Return the bars around one trade by column, or None where the archive has none.

        Raises NotFoundError for a trade that is not there.
        """
        row = self.trade(strategy, trade)
        held = holder(strategy.record, strategy.detail)
        source = self._data.reader.details(held) if held.has_detail else None
        windows = source.facts.get("trades", {}).get("windows", {}) if source else {}
        for name in windows:
            value = self._one_window(strategy, name, trade)
            if isinstance(value, dict) and value:
                return value
        return self._from_tape(strategy, row)

    def _one_window(self, strategy: Strategy, name: str, trade: int) -> Any:
        data, record = self._data.reader, holder(strategy.record, strategy.detail)

        def cut(_: str, places: Any) -> list[Any]:
            return [
                cut_windows(data.tapes(record), [place])[0] if at == trade else None
                for at, place in enumerate(places)
            ]

        from archiver.format.detail import trades_table

        return trades_table(data.details(record), strategy.detail, [name], cut)[name][trade].as_py()

    def _from_tape(self, strategy: Strategy, row: dict[str, Any]) -> dict[str, list[Any]] | None:
        """Cut bars by the trade's own times where the run has exactly one tape."""
        tapes = self._data.reader.tapes(strategy.record) if len(strategy.record.tapes) == 1 else []
        entry, leave = row.get("entry_time"), row.get("exit_time")
        if not tapes or when(entry) is None or when(leave) is None:
            return None
        tape = tapes[0]
        clock = [when(value) for value in tape.columns[tape.clock]]
        try:
            from bisect import bisect_left

            begin, end = (bisect_left(clock, when(value)) for value in (entry, leave))  # type: ignore[type-var]  # see except
        except TypeError:
            return None
        if begin >= len(clock):
            return None
        return {key: values[max(0, begin - AROUND) : end + AROUND] for key, values in tape.columns.items()}

    def _read(self, record: Record, detail: Detail) -> Strategy:
        reader = self._data.reader
        trades = reader.trades(record, detail, None)
        metrics, curves = curves_of(reader, record, detail)
        equity, drawdown, benchmark = (of_series(curves.get(name)) for name in _DRAWN)
        return Strategy(
            record,
            detail,
            metrics,
            self._dated(equity, trades, record),
            self._dated(drawdown, trades, record),
            Metrics(f"{record.run}/{record.size}/{detail.strategy}", trades),
            self._dated(benchmark, trades, record),
        )

    def _dated(self, curve: Curve, trades: pa.Table, record: Record) -> Curve:
        """Give a curve without moments those of the trades or of the only tape, where it has a point for each."""
        if curve.times is not None or not len(curve):
            return curve
        moments = of_trades(trades, len(curve))
        if moments is None and len(record.tapes) == 1:
            # Where the bars are damaged, those who ask for bars are told.
            with suppress(IntegrityError):
                tape = self._data.reader.tapes(record)[0]
                moments = of_clock(tape.columns[tape.clock], len(curve))
        return Curve(curve.values, moments)


def flat(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return metrics with an entry for each parameter, named as the columns of tables are."""
    params = metrics.get("params")
    if not isinstance(params, dict):
        return metrics
    own = {f"params.{name}": value for name, value in params.items()}
    return own | {name: value for name, value in metrics.items() if name != "params"}


def cut_around(window: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return a window by the names that charts use: time, open, high, low, close, volume; absent ones are left out."""
    lower = {str(key).lower(): values for key, values in window.items() if isinstance(values, list)}
    names = {
        "time": ("timestamps", "timestamp", "time", "times", "date", "datetime"),
        "open": ("open", "o"),
        "high": ("high", "h"),
        "low": ("low", "l"),
        "close": ("close", "c", "price"),
        "volume": ("volume", "v"),
    }
    found = {name: next((lower[key] for key in keys if key in lower), None) for name, keys in names.items()}
    return {name: values for name, values in found.items() if values is not None}
