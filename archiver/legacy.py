"""Drop-in for scripts and dashboards that were written for the tiered JSON layout: change the import, nothing else.

    from archiver.legacy import SmartBacktestStorage, load_all_strategies_metrics

Every function takes a folder or URL of an archive; of a folder in an old format, it reads that. None means the
configured URL. What the old functions returned for something that is not there (None, [], an empty frame) comes here
too; what is there and can't be read raises an error of `archiver.errors`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from archiver.archive import Archive, open_archive
from archiver.base.collector import collector_paused
from archiver.errors import ArchiveNotFoundError, ConfigError, NotFoundError, NotKeptError
from archiver.format.model import Run
from archiver.interop.importing.old import OldResults, old_results
from archiver.runs.details import of_strategy
from archiver.runs.extras import old_form
from archiver.runs.newest import without_detail
from archiver.runs.ranking import known_metrics, results_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_PANDAS_WITH_TEXT = 3
_PARTS = ("trades", "equity_curve", "drawdown_curve")


class SmartBacktestStorage:
    """Results of universes: metrics of all strategies, detail of the best.

    Arguments:
        output_dir_or_url: a folder or any URL; None: the configured one.
        output_dir: the same under the name it used to have.

    A folder that holds results in an old format is read as it is; what is saved goes beside them, and newer wins.
    """

    def __init__(  # the class says it
        self,
        output_dir_or_url: str | os.PathLike[str] | None = None,
        *,
        output_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self._results = _Results(output_dir_or_url if output_dir is None else output_dir)

    def save_universe_results(self, universe_name: str, results: Any, top_n: int = 50) -> Run:
        """Save a universe's results as a new run; every strategy of the top N has a detail, if only an empty one.

        Arguments:
            universe_name: the data slice that the strategies were tested on.
            results: dicts with strategy_name, metrics, and for some trades_detailed, equity_curve, drawdown_curve.
            top_n: how many details to keep.

        Returns the run. Raises what `Archive.save_universe_results` raises.
        """
        archive = self._results.archive
        archive.create(beside=self._results.beside)
        return archive.save_universe_results(
            universe_name, map(_with_detail, _best_first(results)), top_n=top_n
        )

    def load_strategy_trades(self, strategy_name: str) -> dict[str, Any] | None:
        """Load a strategy's detail: strategy_name, universe, rank, metrics, trades, equity_curve, drawdown_curve.

        Returns None for one outside the top N. Where several universes have it, the one saved last counts. Raises
        NotKeptError where the detail was kept and is in a bundle now, expired or pruned.
        """
        return self._results.detail(strategy_name)

    def get_available_detailed_strategies(self) -> list[str]:
        """Return the names of all strategies that have a detail."""
        return self._results.detailed()


def load_all_strategies_metrics(results_dir: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """Load the metrics of all strategies: strategy_name, universe, one column a metric; empty where nothing is.

    Arguments:
        results_dir: a folder or any URL; None: the configured one.
    """
    return _Results(results_dir).frame()


def load_strategy_detailed_trades(
    strategy_name: str, results_dir: str | os.PathLike[str] | None = None
) -> dict[str, Any] | None:
    """Load a strategy's detail, or None for one outside the top N.

    Arguments:
        strategy_name: whose.
        results_dir: a folder or any URL; None: the configured one.

    Raises NotKeptError where the detail was kept and is in a bundle now, expired or pruned.
    """
    return _Results(results_dir).detail(strategy_name)


def get_strategies_with_trades(results_dir: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the names of all strategies that have a detail.

    Arguments:
        results_dir: a folder or any URL; None: the configured one.
    """
    return _Results(results_dir).detailed()


class _Results:
    """What is at a place: an archive, results in an old format, or both."""

    def __init__(self, place: str | os.PathLike[str] | None) -> None:
        self.archive: Archive = open_archive(place)
        self._reader = self.archive.reader
        self._old: OldResults | None = old_results(self.archive.store)

    @property
    def beside(self) -> bool:
        """Whether results in an old format are there."""
        return self._old is not None

    def frame(self) -> pd.DataFrame:
        """Return the metrics as the old functions did: with the columns and types that pandas makes of the rows."""
        try:
            import pandas as pd
        except ImportError:
            raise ConfigError("this function returns a pandas DataFrame: pip install pandas") from None
        if self._old is None:
            found = self._typed_frame()
            if found is not None:
                return found
        with collector_paused():
            rows = list(self._rows())
            return pd.json_normalize(rows) if rows else pd.DataFrame()

    def _typed_frame(self) -> pd.DataFrame | None:
        """Return the frame from columns, many times as fast; None where pandas would make something else of rows."""
        import pandas as pd

        try:
            table = self.archive.load_metrics()
        except ArchiveNotFoundError:
            return pd.DataFrame()
        names = [name for name in table.column_names if name not in ("universe", "strategy_name", "run")]
        if not table.num_rows or not all(_is_plain(table, name) for name in names):
            return None
        frame: pd.DataFrame = table.select(["strategy_name", "universe", *names]).to_pandas()
        return frame

    def _rows(self) -> Iterator[dict[str, Any]]:
        seen: set[tuple[str, str]] = set()
        for universe, row in self._own_rows():
            name = row["strategy_name"]
            seen.add((universe, name))
            yield {"strategy_name": name, "universe": universe, **_but_keys(row)}
        for universe, row in self._old.rows() if self._old else ():
            name = row.get("strategy_name")
            if (universe, name) not in seen:
                yield {"strategy_name": name, "universe": universe, **_but_keys(row)}

    def _own_rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        try:
            records = self.archive.records()
        except ArchiveNotFoundError:
            return
        for part in self._reader.parts(records):
            for row in self._reader.rows(part.record):
                if part.has(row["strategy_name"]):
                    yield part.record.universe, row

    def detail(self, name: str) -> dict[str, Any] | None:
        """Return the detail saved last under a name. Raises NotKeptError where it is gone or in a bundle."""
        found = self._own_detail(name)
        if found is None and self._old is not None:
            found = self._old.detail(name)
        return found

    def _own_detail(self, name: str) -> dict[str, Any] | None:
        try:
            records = self.archive.records()
        except ArchiveNotFoundError:
            return None
        reader = self._reader
        try:
            record, detail = reader.find(records, name)
        except NotKeptError:
            lacking = without_detail(records, reader.names, name)
            if lacking is None or of_strategy(lacking[0], name) is None:
                return None
            raise
        except NotFoundError:
            return None
        return _filled(old_form(reader.strategy(record, detail)))

    def detailed(self) -> list[str]:
        """Return the names of strategies with a detail, once each."""
        try:
            names = [strategy for _, strategy in self.archive.detailed_strategies()]
        except ArchiveNotFoundError:
            names = []
        return list(dict.fromkeys([*names, *(self._old.detailed() if self._old else ())]))


def _is_plain(table: pa.Table, name: str) -> bool:
    """Tell whether Arrow's column becomes in pandas what the list of its values would."""
    import pandas as pd
    import pyarrow as pa

    column = table[name]
    kind = column.type
    if column.null_count == len(column) or b"archiver" in (table.schema.field(name).metadata or {}):
        return False
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return True
    if pa.types.is_string(kind):
        # Before pandas 3, None and a missing value differ in a column of texts.
        return not column.null_count or int(pd.__version__.partition(".")[0]) >= _PANDAS_WITH_TEXT
    return pa.types.is_boolean(kind) and not column.null_count


def _but_keys(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's metrics, none of which may take the place of a key."""
    return {
        f"metrics.{key}" if key == "universe" else key: value
        for key, value in row.items()
        if key != "strategy_name"
    }


def _best_first(results: Any) -> Iterable[Any]:
    """Return a list of results in order of their rank, in which they used to be kept; anything else as it comes."""
    if not isinstance(results, list) or not all(isinstance(result, Mapping) for result in results):
        return results_of(results)
    names = known_metrics({name: None for result in results for name in result})
    by = next((name for name in names if any(_is_number(result.get(name)) for result in results)), None)
    if by is None:
        return results
    return sorted(
        results, key=lambda result: result[by] if _is_number(result.get(by)) else -math.inf, reverse=True
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _with_detail(result: Any) -> Any:
    """Give a result without trades an empty list: whoever was in the top N had a detail, with trades or without."""
    if not isinstance(result, Mapping) or result.get("trades_detailed") is not None:
        return result
    if not isinstance(result.get("trades"), int | float | None):
        return result
    return {**result, "trades_detailed": []}


def _filled(detail: dict[str, Any]) -> dict[str, Any]:
    """Put the empty list, as it used to be, where a detail has no such part."""
    return {key: [] if key in _PARTS and value is None else value for key, value in detail.items()}
