"""The runs of an archive: by their ids or the beginnings of these, by universe, tag and age."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from archiver.archive.root import Root
from archiver.base.run_id import is_run_id
from archiver.base.unread import Errors, Tell, Unread, raise_it, teller
from archiver.errors import ArchiverError, RunNotFoundError
from archiver.format import layout
from archiver.format.model import Record, Run
from archiver.runs.all_records import Records, newest_entries
from archiver.runs.all_runs import AllRuns
from archiver.runs.open import OpenRuns, open_ids
from archiver.runs.packed.packing import MANY, pack
from archiver.runs.packed.rows import PackedRows
from archiver.runs.record_view import viewed
from archiver.runs.records import one_run, records_of, run_of
from archiver.runs.tags import read_tags
from archiver.store import Store
from archiver.store.entry import Entry

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.runs.outlines import Outlines

_MOST_NAMED = 5


class Listing:
    """Knows the runs, each record read once; every call raises ArchiveNotFoundError where there is no archive."""

    def __init__(self, store: Store, root: Root) -> None:
        """Take the store, and what tells whether an archive is there."""
        self._store, self._root = store, root
        self._view = viewed(store)
        self._packed = False
        self._records = Records(store)
        self._open = OpenRuns(store)

    def known(self) -> Any:
        """Return the records that were read, to take along to where the archive is opened again; see `know`."""
        return self._records.known()

    def know(self, known: Any) -> None:
        """Take records that were read elsewhere; each counts while a listing shows its object unchanged."""
        self._records.know(known)

    def records(
        self, errors: Errors = "raise", *, universe: str | None = None, newest: int | None = None
    ) -> list[Record]:
        """Return the records of all runs, or of a universe's, newest first. Raises ArchiveNotFoundError.

        errors: about one that cannot be read, see `load_metrics`; newest: of all, only so many at least.
        """
        finished = self._finished(errors, newest)
        found = self._open.read((record.run for record in finished), errors)
        if found:
            both = [*finished, *found]
            finished = sorted(both, key=_newest, reverse=True)
        return list(records_of(finished, universe=universe))

    def _finished(self, errors: Errors, newest: int | None = None) -> list[Record]:
        self._root.require()
        return self._records.read(errors=errors, newest=newest)

    def record(self, run: str | Run) -> Record:
        """Return one run's record by its id, or the beginning of it. Raises RunNotFoundError."""
        self._root.require()
        whole = self.run_id(run)
        try:
            return self._records.one(whole)
        except RunNotFoundError:
            for record in self._open.read(()):
                if record.run == whole:
                    return record
            raise

    def chosen(self, universe: str | None, run: str | None, errors: Errors = "raise") -> list[Record]:
        """Return the records of one run, of a universe, or all. Raises NotFoundError for a run of another universe."""
        return self.records(errors, universe=universe) if run is None else one_run(self.record(run), universe)

    def rows(
        self, universe: str | None, run: str | None, errors: Errors = "raise"
    ) -> tuple[list[Record], PackedRows | None]:
        """Return whose rows are asked for: records as `chosen` does, but for those whose rows packs hold as columns."""
        if run is not None:
            return one_run(self.record(run), universe), None
        seen = AllRuns(*self._look(errors))
        return list(records_of(seen.larger, universe=universe)), seen.packed

    def having(self, strategy: str, universe: str | None, errors: Errors = "raise") -> list[Record]:
        """Return the records that may have a strategy of this name, newest first: of packs only those that do."""
        return AllRuns(*self._look(errors)).having(strategy, universe)

    def heads(self, errors: Errors = "raise") -> list[Record]:
        """Return enough records, newest first, to say what there is: of each pack one, with the metrics of all its runs."""
        return AllRuns(*self._look(errors)).heads

    def all_runs(self, errors: Errors = "raise") -> AllRuns:
        """Return all runs in one look, for who asks several things of them: packed ones as columns, loose ones as records.

        errors: about one that cannot be read, see `load_metrics`.
        """
        found = AllRuns(*self._look(errors))
        found.packed.check()
        return found

    def universes(self, errors: Errors = "raise") -> set[str]:
        """Return the names of all universes."""
        records, packed = self._look(errors)
        return {record.universe for record in records} | packed.universes

    def _look(self, errors: Errors, most: int | None = None) -> tuple[list[Record], PackedRows]:
        """Return the loose records, open runs among them, newest first; and what is packed, as columns.

        most: of the loose ones only so many at least.
        """
        tell = teller(errors)
        entries, packed = self._entries(tell)
        records = self._records.load(entries if most is None else newest_entries(entries, most), tell)
        if len(records) >= MANY and not self._store.read_only and not self._packed:
            self._packed = True
            with suppress(ArchiverError):  # whoever only looks has not asked for it
                pack(self._view)
        found = self._still_open((record.run for record in records), packed, errors)
        return (sorted([*records, *found], key=_newest, reverse=True) if found else records), packed

    def _entries(self, tell: Tell) -> tuple[list[Entry], PackedRows]:
        """Return which loose records there are, and what is packed; tell: is told of a pack that cannot be read."""
        self._root.require()
        look = self._view.look(
            damaged=lambda key, error: tell(Unread(layout.pack_span(key)[1], None, error)), lazy=True
        )
        entries = [entry for entry in look.loose if layout.run_of_record(entry.key)]
        return entries, PackedRows(self._view, look.packs, tell)

    def _still_open(self, finished: Iterable[str], packed: PackedRows, errors: Errors) -> list[Record]:
        """Return the open runs as records: those that are none of these, nor packed."""
        found = self._open.read(finished, errors)
        return [record for record in found if not packed.has(record.run)]

    def run_id(self, run: str | Run, prefix: str = layout.RUNS) -> str:
        """Return the whole id of a run (in the trash: `trash/`) from its beginning, while that is unique.

        Raises RunNotFoundError, which names the runs that may be meant.
        """
        run = run.id if isinstance(run, Run) else str(run)
        if is_run_id(run):
            return run
        known = {layout.run_of_record(entry.key) for entry in self._store.list(prefix)}
        if prefix == layout.RUNS:
            known |= open_ids(self._store)
        found = sorted(
            (name for name in known if name is not None and run and name.startswith(run)), reverse=True
        )
        if len(found) == 1:
            return found[0]
        if found:
            raise RunNotFoundError(f"{run!r} is the beginning of {_named(found)}: give more of it")
        if prefix == layout.TRASH:
            raise RunNotFoundError(f"no run {run!r} in the trash: `archiver undelete` shows those there are")
        raise RunNotFoundError(f"no run {run!r}: `archiver ls` shows the runs there are")

    def ids(
        self,
        universe: str | None = None,
        tag: str | None = None,
        since: str | datetime | None = None,
        errors: Errors = "raise",
    ) -> list[str]:
        """Return the ids of runs, oldest first; records are read only for a universe or a tag."""
        from archiver.transfer.copy import later, since_moment

        if universe is None and tag is None:
            entries, packed = self._entries(raise_it)
            loose = {run for entry in entries if (run := layout.run_of_record(entry.key)) is not None}
            runs = sorted([*loose, *packed.ids()])
        elif tag is None:
            records, packed = self._look(errors)
            runs = sorted(
                [*(one.run for one in records_of(records, universe=universe)), *packed.ids(universe)]
            )
        else:
            runs = sorted(run.id for run in self.runs(universe, tag, errors=errors))
        return runs if since is None else later(runs, since_moment(since, datetime.now(UTC)))

    def runs(
        self,
        universe: str | None = None,
        tag: str | None = None,
        *,
        limit: int | None = None,
        errors: Errors = "raise",
    ) -> list[Run]:
        """Return the runs, newest first, of one universe or with one tag. Raises ArchiveNotFoundError.

        limit: at most so many; where no tag is asked for, of packs, and where no universe is, only their records are read.
        errors: about a run that cannot be read, see `load_metrics`; those that are not read are not told of.
        """
        records, packed = self._look(errors, None if universe is not None or tag is not None else limit)
        found = self._told(list(records_of(records, universe=universe)))
        if packed:
            others = list(packed.runs(universe, tag=tag, limit=limit if tag is None else None))
            tags = read_tags(self._store, {run.id: run.tags for run in others})
            found += [replace(run, tags=tuple(tags.get(run.id, ()))) for run in others]
            found.sort(key=lambda run: (run.created, run.id), reverse=True)
        return [run for run in found if tag is None or tag in run.tags][:limit]

    def run_count(self, universe: str | None = None, errors: Errors = "raise") -> int:
        """Return how many runs there are, of one universe or all: nearly nothing is read. Raises ArchiveNotFoundError.

        A pack that cannot be read counts unless it has to be looked at; errors: about one that has.
        """
        if universe is not None:
            records, packed = self._look(errors)
            return len(list(records_of(records, universe=universe))) + packed.count(universe)
        entries, packed = self._entries(teller(errors))
        runs = {layout.run_of_record(entry.key) or "" for entry in entries}
        return len(runs) + len(packed) + len(self._still_open(runs, packed, errors))

    def created(self, runs: Collection[str], errors: Errors = "raise") -> dict[str, datetime]:
        """Return when those of these runs were made that there are."""
        records, packed = self._look(errors)
        wanted = set(runs)
        return packed.created(wanted) | {one.run: one.created for one in records if one.run in wanted}

    def runs_table(
        self,
        universe: str | None = None,
        tag: str | None = None,
        *,
        limit: int | None = None,
        errors: Errors = "raise",
    ) -> pa.Table:
        """Return what `runs` does as an Arrow table: a row a run, a column a field."""
        import pyarrow as pa

        runs = self.runs(universe, tag, limit=limit, errors=errors)
        text, number = pa.string(), pa.int64()
        kinds = {
            "id": text,
            "universe": text,
            "created": pa.timestamp("us", "UTC"),
            "strategies": number,
            "detailed": number,
            "bytes": number,
            "tags": pa.list_(text),
            "top_n": number,
            "rank_by": text,
            "note": text,
            "archived": text,
            "details": text,
            "open": pa.bool_(),
        }
        columns = {name: pa.array([getattr(run, name) for run in runs], kind) for name, kind in kinds.items()}
        return pa.table(columns)

    def run(self, run: str | Run) -> Run:
        """Return one run by its id, or the beginning of it. Raises RunNotFoundError."""
        return self._told([self.record(run)])[0]

    def trash(self, errors: Errors = "raise") -> list[Run]:
        """Return the runs in the trash, newest first."""
        self._root.require()
        return self._told(self._records.read(layout.TRASH, errors))

    def state(self) -> tuple[list[Record], dict[str, list[str]]]:
        """Return the records of finished runs, and all tags; the tags last, so that a pin that was put while records were read counts."""
        records = self._finished("raise")
        return records, _tags(self._store, records)

    def outlines(self, metrics: Collection[str] = ()) -> tuple[Outlines, dict[str, list[str]]]:
        """Return what `state` does, as outlines: of packed runs without a record of any, and with scores of these metrics only."""
        from archiver.runs.outlines import outlines_of

        entries, packed = self._entries(raise_it)
        records = self._records.load(entries, raise_it)
        found = outlines_of(records, metrics, packs=self._view.packs, packed=packed)
        given = {record.run: record.tags for record in records} | packed.tags()
        return found, read_tags(self._store, given)

    def _told(self, records: Sequence[Record]) -> list[Run]:
        tags = _tags(self._store, records)
        return [run_of(record, tags.get(record.run, ())) for record in records]


def _newest(record: Record) -> tuple[datetime, str]:
    return record.created, record.run


def _tags(store: Store, records: Iterable[Record]) -> dict[str, list[str]]:
    return read_tags(store, {record.run: record.tags for record in records})


def _named(runs: Sequence[str]) -> str:
    more = f" and {len(runs) - _MOST_NAMED} more" if len(runs) > _MOST_NAMED else ""
    return f"{len(runs)} runs, {', '.join(runs[:_MOST_NAMED])}{more}"
