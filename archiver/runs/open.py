"""Open runs: results that are added one by one, from any process, each durable when `add` returns; then one ordinary run.

`open/<run>/` holds what was given at the start, the parts, and in the end a mark that no part is taken any more. All but
the mark are encoded as records are. Order, and why no acknowledged result is ever lost: `add` writes a part, and then
looks for the mark; `finish` writes the mark, and then lists the parts. So whatever a part's writer was told, it is in
the run, or was refused, however many finish at once and wherever they die. Closing is a one-way door.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

from archiver.base.unread import ONE_OBJECT, Errors, Unread, teller
from archiver.errors import ArchiverError, ConfigError, NotFoundError, RunFinishedError, RunNotFoundError
from archiver.format import layout
from archiver.format.detail import encode_details
from archiver.format.metrics import names_digest, ranges_of_rows
from archiver.format.model import Code, Detail, Record, Ref, Run
from archiver.format.records import decode_record, rows_of
from archiver.format.tapes import Tape
from archiver.format.text import dumps
from archiver.format.values import Default, plain, saving
from archiver.runs import extras
from archiver.runs.format_number import raise_number
from archiver.runs.ranking import Ranking, results_of
from archiver.runs.reach import reachable
from archiver.runs.read import Reader
from archiver.runs.records import load_record, run_of
from archiver.runs.tags import read_tags
from archiver.runs.write import Draft, KnownSeries, Writer, add_code, add_details, draft_run
from archiver.store import Store

_HAS_DETAIL: list[dict[str, int]] = [{}]
"""Stands for trades where only their place in the ranking is asked for."""


class OpenRun:
    """A run that grows: `.add(result)`, `.finish()`, `.id`. From any thread; pickled, from any process.

    As a context manager it finishes when the block ends, and stays open, with all that was added, on an exception.
    """

    def __init__(
        self,
        store: Store,
        start: Record,
        bars: Sequence[Tape] = (),
        allow: Callable[[int], None] | None = None,
    ) -> None:
        """Take the store, and what was given at the start; allow: is asked whether so many bytes may be written."""
        self._store, self._start, self._allow = store, start, allow
        self._writer = Writer(store)
        self._series = KnownSeries()
        self._bars = list(bars)
        self._ranking = Ranking(start.top_n, start.rank_by)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"OpenRun({self.id!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return OpenRun, (self._store, self._start, self._bars, self._allow)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        else:
            error.add_note(
                f"run {self.id} is open and keeps what was added: resume it, or `archiver finish {self.id}`"
            )

    @property
    def id(self) -> str:
        """The id of the run, now and when it is finished."""
        return self._start.run

    @property
    def universe(self) -> str:
        """The universe that its strategies are tested on."""
        return self._start.universe

    def add(self, result: Any, *, default: Default | None = None) -> None:
        """Add a result, or several: durable when this returns.

        Arguments:
            result: a dict as `Archive.save_universe_results` takes them, or an iterable of such. A strategy that was
                added before, by another process, is replaced. Details that cannot be among the best are not written.
            default: as there.

        Raises RunFinishedError when the run is finished meanwhile, ConfigError for a result that cannot be kept;
        then nothing of it is there.
        """
        results = [result] if issubclass(type(result), Mapping) else results_of(result)
        with self._lock:
            draft = self._draft(results, default)
        if draft is None:
            return
        if self._allow is not None:
            self._allow(draft.bytes)
        self._writer.commit(draft, at=layout.new_part_key(self.id))
        if self._store.stat(layout.closed_key(self.id)) is not None:
            raise RunFinishedError(f"run {self.id} takes no results any more: it is being finished, or was")

    def finish(self) -> Run:
        """Write one ordinary run out of all that was added, by whomever. Returns it; once more is fine.

        Raises ConfigError where nothing was added.
        """
        self._store.put(layout.closed_key(self.id), b"")
        try:
            record = self._finished() or self._write()
        except NotFoundError:
            record = load_record(self._store, self.id)  # another one finished it, and gc has taken the parts
        return run_of(record, read_tags(self._store, {self.id: record.tags}).get(self.id, ()))

    def _finished(self) -> Record | None:
        try:
            return load_record(self._store, self.id)
        except RunNotFoundError:
            if self._store.stat(layout.trash_key(self.id)) is not None:
                raise
            return None

    def _write(self) -> Record:
        keys = [key for key in _keys(self._store, self.id) if _kind(key) == "part"]
        if not keys:
            raise ConfigError(f"nothing was added to run {self.id}: there is nothing to finish")
        parts = list(self._store.map(partial(_part, self._store), keys, small=True))
        made_of = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:8]
        start = self._start
        draft = draft_run(
            start.universe,
            _results(Reader(self._store), start, parts),
            top_n=start.top_n,
            rank_by=start.rank_by,
            note=start.note,
            bars=self._bars,
            created=start.created,
            run=start.run,
            made_of=made_of,
        )
        draft.record = replace(draft.record, params=start.params, code=start.code)
        return self._writer.commit(draft, start.tags)

    def _draft(self, results: Iterable[Any], default: Default | None) -> Draft | None:
        with saving(default):
            rows = [self._ranking.add(result) for result in results]
            if not rows:
                return None
            kept = [one for row in rows if (one := self._ranking.held(row["strategy_name"])) is not None]
            text = dumps([plain(row, row["strategy_name"]) for row in rows])
            start = self._start
            draft = Draft(
                Record(
                    run=start.run,
                    universe=start.universe,
                    created=datetime.now(UTC),
                    strategies=len(rows),
                    top_n=start.top_n,
                    rank_by=start.rank_by,
                    inline=text,
                )
            )
            if kept:
                details = encode_details(kept, self._series.of(start.universe) or self._bars)
                add_details(draft, details, inline=True)
                self._series.keep(start.universe, draft.series)
        return draft


def start_run(
    store: Store,
    universe: str,
    *,
    top_n: int,
    rank_by: str | None,
    params: Mapping[str, Any] | None,
    note: str | None,
    code: tuple[Code, Mapping[str, bytes]],
    bars: Sequence[Tape] = (),
    allow: Callable[[int], None] | None = None,
    tags: Iterable[str] = (),
) -> OpenRun:
    """Write what is known at the start of a run, and return the open run. Raises ConfigError for what cannot be kept."""
    layout.universe_part(universe)
    Ranking(top_n, rank_by)
    if params is not None and not hasattr(type(params), "keys"):
        raise ConfigError(f"params is a {type(params).__name__}: give a dict")
    created = datetime.now(UTC)
    draft = Draft(
        Record(
            run=layout.new_run_id(created),
            universe=universe,
            created=created,
            strategies=0,
            top_n=top_n,
            rank_by=rank_by,
            params=None if params is None else dumps(plain(dict(params), "params")),
            note=None if note is None else str(note),
        )
    )
    add_code(draft, *code)
    raise_number(store, 2)  # an older gc would take what only parts reach
    start = Writer(store).commit(draft, tags, at=layout.start_key(draft.record.run))
    return OpenRun(store, start, bars, allow)


def resume_run(store: Store, run: str, allow: Callable[[int], None] | None = None) -> OpenRun:
    """Return an open run. Raises RunFinishedError for one that is finished, RunNotFoundError where none was started."""
    if store.stat(layout.record_key(run)) is not None:
        raise RunFinishedError(f"run {run} is finished: start another one")
    key = layout.start_key(run)
    try:
        return OpenRun(store, decode_record(store.get(key), key), allow=allow)
    except NotFoundError:
        raise RunNotFoundError(f"no open run {run}: `archiver ls` shows the runs there are") from None


class OpenRuns:
    """Reads the open runs of a store as if they were finished; each part once."""

    def __init__(self, store: Store) -> None:
        """Take the store."""
        self._store = store
        self._known: dict[str, Record] = {}
        self._made: dict[str, tuple[int, Record]] = {}

    def read(self, finished: Iterable[str], errors: Errors = "raise") -> list[Record]:
        """Return a record for each run that was started and is none of these; errors: about what cannot be read."""
        tell = teller(errors)
        keys: dict[str, list[str]] = {}
        for key in _keys(self._store):
            keys.setdefault(_run(key), []).append(key)
        gone = set(finished)
        found = [self._one(run, own, tell) for run, own in keys.items() if run not in gone]
        return [record for record in found if record is not None]

    def _one(self, run: str, keys: Sequence[str], tell: Callable[[Unread], object]) -> Record | None:
        if layout.closed_key(run) in keys and self._store.stat(layout.trash_key(run)) is not None:
            return None  # finished, and removed since
        made = self._made.get(run)
        if made is not None and made[0] == len(keys):
            return made[1]
        wanted = [key for key in keys if _kind(key) != "closed" and key not in self._known]
        for key, read in zip(
            wanted, self._store.map(partial(_attempt, self._store), wanted, small=True), strict=True
        ):
            if isinstance(read, ArchiverError):
                tell(Unread(run, None, read))
            elif read is not None:
                self._known[key] = read
        start = self._known.get(layout.start_key(run))
        if start is None:
            return None
        parts = [self._known[key] for key in keys if _kind(key) == "part" and key in self._known]
        record = _as_one(start, parts)
        self._made[run] = (len(keys), record)
        return record


def open_objects(store: Store, is_over: Callable[[str], bool]) -> Iterator[tuple[str, Ref | None]]:
    """Yield the key of each object of the runs that are not over, with each shared object that it reaches, None at least.

    Raises IntegrityError for one that cannot be read.
    """
    keys = [key for key in _keys(store) if not is_over(_run(key))]
    yield from ((key, None) for key in keys)
    wanted = [key for key in keys if _kind(key) != "closed"]
    for key, found in zip(wanted, store.map(partial(_attempt, store), wanted, small=True), strict=True):
        if isinstance(found, ArchiverError):
            raise found
        if found is not None:
            yield from ((key, ref) for ref in reachable(found))


def open_ids(store: Store) -> set[str]:
    """Return the ids of all runs that were started, finished ones too, while their parts are there."""
    return {_run(key) for key in _keys(store)}


def _as_one(start: Record, parts: Sequence[Record]) -> Record:
    """Return an open run as a record: the rows of all parts, and their details by rank."""
    rows, last = _rows(parts)
    counting = [
        replace(part, details=tuple(one for one in part.details if last[one.strategy] is part))
        for part in parts
    ]
    ranking = Ranking(start.top_n, start.rank_by)
    held = {one.strategy for part in counting for one in part.details}
    for row in rows.values():
        ranking.add({**row, "trades_detailed": _HAS_DETAIL} if row["strategy_name"] in held else row)
    try:
        ranked, best = ranking.finish()
    except ConfigError:  # no result has the metric yet
        ranked, best = start.rank_by, []
    listed = list(rows.values())
    place = {one.strategy: at for at, one in enumerate(best)}
    holding = [
        replace(part, details=tuple(one for one in part.details if one.strategy in place))
        for part in counting
    ]
    return replace(
        start,
        strategies=len(rows),
        rank_by=ranked or start.rank_by,
        inline=dumps(listed),
        metrics=ranges_of_rows(listed),
        names=names_digest(rows),
        details=tuple(Detail(one.strategy, one.rank, 0) for one in best),
        parts=tuple(
            sorted(
                (part for part in holding if part.details),
                key=lambda part: min(place[one.strategy] for one in part.details),
            )
        ),
        size=start.size + sum(part.size for part in parts),
        open=True,
    )


def _rows(parts: Iterable[Record]) -> tuple[dict[str, dict[str, Any]], dict[str, Record]]:
    """Return the rows of all parts by strategy, and the part of each; what was added last counts."""
    rows: dict[str, dict[str, Any]] = {}
    last: dict[str, Record] = {}
    for part in parts:
        for row in rows_of(part):
            rows.pop(row["strategy_name"], None)
            rows[row["strategy_name"]] = row
            last[row["strategy_name"]] = part
    return rows, last


def _results(reader: Reader, start: Record, parts: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """Yield all results of an open run, the best with their details."""
    whole = _as_one(start, parts)
    best = {one.strategy: one for one in whole.details}
    for name, row in _rows(parts)[0].items():
        if name in best:
            yield {**row, **_detail_of(reader, whole, best[name])}
        else:
            yield row


def _detail_of(reader: Reader, record: Record, detail: Detail) -> dict[str, Any]:
    """Return a strategy's detail as it can be saved again, with the types that it was given in."""
    _, curves = extras.curves_of(reader, record, detail)
    there = extras.contents(reader, record, detail)
    plain = reader.strategy(record, detail)
    return {
        "trades_detailed": plain["trades"],
        "equity_curve": curves.pop("equity", None),
        "drawdown_curve": curves.pop("drawdown", None),
        "curves": curves,
        "tables": extras.tables_again(reader, record, detail, plain.get("tables", {})),
        "files": {name: extras.file(reader, record, detail, name) for name in there["files"]},
    }


def _keys(store: Store, run: str = "") -> Iterator[str]:
    """Yield the keys of all open runs, or of one, in the order in which they were made."""
    for entry in store.list(f"{layout.OPEN}{run}{run and '/'}"):
        if layout.parse(entry.key) is not None:
            yield entry.key


def _kind(key: str) -> str:
    found = layout.parse(key)
    return "" if found is None else found.name


def _run(key: str) -> str:
    found = layout.parse(key)
    return "" if found is None else found.run


def _part(store: Store, key: str) -> Record:
    return decode_record(store.get(key), key)


def _attempt(store: Store, key: str) -> Record | ArchiverError | None:
    try:
        return _part(store, key)
    except NotFoundError:
        return None  # finished, and collected since it was listed
    except ONE_OBJECT as error:
        return error
