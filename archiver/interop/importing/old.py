"""Results in an old format, read where they are, for who has not imported them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from archiver.errors import ConfigError, NotFoundError
from archiver.format import layout
from archiver.interop.importing.batch import DETAIL, Outcome, Result
from archiver.interop.importing.find import DETAILS, METRICS, Found, find
from archiver.interop.importing.metrics_json import MetricsFile
from archiver.interop.importing.run_folder import read_run_folder
from archiver.interop.importing.source import FolderSource, Source, StoreSource
from archiver.interop.importing.spool import Spool
from archiver.interop.importing.tables import facts_of, table_rows
from archiver.interop.importing.tiered import detail_of, head_of
from archiver.interop.importing.universe_json import read_universe
from archiver.store import Store
from archiver.store.entry import Entry

_MARKS = "@~"
"""What an export puts into the name of a file that cannot have its strategy's plain name."""


def old_results(store: Store) -> OldResults | None:
    """Return the results in an old format that lie in a store, beside an archive or alone; None where there are none."""
    mixed = store.stat(layout.ARCHIVE) is not None
    source: Source
    if store.local is not None:
        if not store.local.is_dir():
            return None
        source = FolderSource(store.local, within=(DETAILS,) if mixed else None)
    elif mixed:
        source = StoreSource(store, (METRICS,))
        if not source.entries():
            return None
        source = StoreSource(store)
    else:
        source = StoreSource(store)
    try:
        groups = find(source).groups
    except (ConfigError, NotFoundError):
        return None
    tiered = [group for group in groups if group.form == "tiered-json"]
    return OldResults(source, tiered or groups)


class OldResults:
    """Groups of files of one source. The tiered layout alone counts where there is one, as it did for its readers."""

    def __init__(self, source: Source, groups: list[Found]) -> None:  # the class says it
        self._source = source
        self._groups = groups

    def rows(self) -> Iterator[tuple[str, Result]]:
        """Yield (universe, row): strategy_name and metrics. Raises IntegrityError for damaged files."""
        for group in self._groups:
            if group.form == "tiered-json":
                for entry in group.entries:
                    if entry.key.rpartition("/")[2] == METRICS:
                        yield from MetricsFile().rows(self._source, entry.key)
            else:
                for universe, result in self._results(group):
                    yield universe, {key: value for key, value in result.items() if key not in DETAIL}

    def detail(self, name: str) -> dict[str, Any] | None:
        """Return the detail of a strategy, or None where no file has one. Raises IntegrityError."""
        for group in self._groups:
            if group.form == "tiered-json":
                key = self._detail_key(group, name)
                if key is not None:
                    return detail_of(self._source, key)
                continue
            for universe, result in self._results(group):
                if result.get("strategy_name") == name and _has_detail(result):
                    return _as_detail(universe, result)
        return None

    def detailed(self) -> list[str]:
        """Return the names of strategies with a detail, once each."""
        names: list[str] = []
        for group in self._groups:
            if group.form == "tiered-json":
                names += [self._name(entry) for entry in _detail_entries(group)]
            else:
                names += [
                    result["strategy_name"] for _, result in self._results(group) if _has_detail(result)
                ]
        return list(dict.fromkeys(names))

    def _detail_key(self, group: Found, name: str) -> str | None:
        entries = _detail_entries(group)
        for entry in entries:
            if _stem(entry.key) == name:
                return entry.key
        for entry in entries:
            if set(_stem(entry.key)) & set(_MARKS) and self._name(entry) == name:
                return entry.key
        return None

    def _name(self, entry: Entry) -> str:
        stem = _stem(entry.key)
        return head_of(self._source, entry).strategy if set(stem) & set(_MARKS) else stem

    def _results(self, group: Found) -> Iterator[tuple[str, Result]]:
        outcomes: list[Outcome] = []
        if group.form == "parquet":
            _, single = facts_of(self._source, group)
            yield from table_rows(self._source, group.key, single, outcomes)
            return
        with Spool() as spool:
            read = read_universe(self._source, group, spool, outcomes)
            if group.form == "run-folder":
                read = read_run_folder(self._source, group, spool, outcomes)
            for batch in read:
                for result in batch.results():
                    yield batch.universe, result


def _detail_entries(group: Found) -> list[Entry]:
    return [entry for entry in group.entries if entry.key.rpartition("/")[2] != METRICS]


def _stem(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json")


def _has_detail(result: Result) -> bool:
    return any(name in result for name in DETAIL)


def _as_detail(universe: str, result: Result) -> dict[str, Any]:
    metrics = {key: value for key, value in result.items() if key not in (*DETAIL, "strategy_name")}
    return {
        "strategy_name": result["strategy_name"],
        "universe": universe,
        "rank": None,
        "metrics": metrics,
        "trades": result.get("trades_detailed", []),
        "equity_curve": result.get("equity_curve", []),
        "drawdown_curve": result.get("drawdown_curve", []),
    }
