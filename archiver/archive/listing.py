"""The runs of an archive: by their ids or the beginnings of these, by universe, tag and age."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from archiver.archive.root import Root
from archiver.base.run_id import is_run_id
from archiver.base.unread import Errors
from archiver.errors import RunNotFoundError
from archiver.format import layout
from archiver.format.model import Record, Run
from archiver.runs.catalog import Records
from archiver.runs.open import OpenRuns, open_ids
from archiver.runs.read import one_run, records_of
from archiver.runs.records import run_of
from archiver.runs.tags import read_tags
from archiver.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_NAMED = 5


class Listing:
    """Knows the runs, each record read once; every call raises ArchiveNotFoundError where there is no archive."""

    def __init__(self, store: Store, root: Root) -> None:
        """Take the store, and what tells whether an archive is there."""
        self._store, self._root = store, root
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
            finished = sorted(both, key=lambda record: (record.created, record.run), reverse=True)
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
        """Return the ids of runs, oldest first; records are read only for a universe."""
        from archiver.transfer.copy import later, run_ids, since_moment

        self._root.require()
        runs = (
            run_ids(self._store)
            if universe is None
            else sorted(record.run for record in self.records(errors, universe=universe))
        )
        if tag is not None:
            tags = read_tags(self._store)
            runs = [run for run in runs if tag in tags.get(run, ())]
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

        limit: at most so many; where neither universe nor tag is asked for, only their records are read. errors: about a
        run that cannot be read, see `load_metrics`.
        """
        narrowed = universe is not None or tag is not None
        records = self.records(errors, universe=universe, newest=None if narrowed else limit)
        return [run for run in self._told(records) if tag is None or tag in run.tags][:limit]

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
        return self._finished("raise"), read_tags(self._store)

    def _told(self, records: Sequence[Record]) -> list[Run]:
        tags = read_tags(self._store)
        return [run_of(record, tags.get(record.run, ())) for record in records]


def _named(runs: Sequence[str]) -> str:
    more = f" and {len(runs) - _MOST_NAMED} more" if len(runs) > _MOST_NAMED else ""
    return f"{len(runs)} runs, {', '.join(runs[:_MOST_NAMED])}{more}"
