"""The archive: what a user holds. Each method says what it does and leaves the work to the module named for it."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archiver.errors import ArchiveNotFoundError, ConfigError, FormatError
from archiver.format import layout
from archiver.format.model import Record, Run
from archiver.health.usage import Guard
from archiver.runs.catalog import compact
from archiver.runs.read import Reader, one_run, records_of
from archiver.runs.records import run_of
from archiver.runs.removal import remove
from archiver.runs.write import Draft, KnownSeries, Writer, add_code, draft_run
from archiver.store import Store, open_store
from archiver.upkeep import FORMAT, Configured, Upkeep

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.runs.snapshot import Snapshot
    from archiver.transfer.bundle import Bundle, Bundles
    from archiver.transfer.runs import Moved

_said: set[str] = set()


def open_archive(
    url: str | os.PathLike[str] | None = None,
    *,
    read_only: bool = False,
    executor: Executor | None = None,
    **storage_options: Any,
) -> Archive:
    """Open the archive at a URL, or at the configured one; nothing is written before the first save.

    Arguments:
        url: a folder, or any URL of fsspec such as `s3://bucket/prefix`; None takes the configured URL.
        read_only: refuse to write and delete.
        executor: where concurrent work runs; None: threads of its own.
        storage_options: what the filesystem of the URL takes.

    Raises ConfigError for a URL or option that cannot work.
    """
    from archiver.config.settings import load_settings

    settings = load_settings(
        url=None if url is None else os.fspath(url), storage_options=storage_options or None
    )
    if settings.url_is_default and settings.url not in _said:
        _said.add(settings.url)
        sys.stderr.write(f"archiver: no URL is configured, using {settings.url}\n")
    store = open_store(
        settings.url,
        storage_options=settings.storage_options,
        read_only=read_only,
        executor=executor,
        deadline=settings.deadline,
    )
    guard = Guard(store, settings.min_free, settings.budget)
    return Archive(
        store,
        code=settings.code,
        guard=guard,
        policies=Configured.of(settings),
        budget=settings.budget,
        storage_options=settings.storage_options,
    )


class Archive(Upkeep):
    """Everything under one URL. Safe to use from many threads, and from many processes at once."""

    def __init__(
        self,
        store: Store,
        *,
        code: Any = "auto",
        guard: Guard | None = None,
        policies: Configured | Sequence[Mapping[str, Any]] = (),
        budget: int | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(store, policies, budget)
        self._code = code
        self._guard = guard
        self._options = dict(storage_options or {})
        self._reader = Reader(store)
        self._series = KnownSeries()
        self._writer = Writer(store)

    def __repr__(self) -> str:
        return f"Archive({self.store.url!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.store, self._code, self._guard, self._policies, self._budget, self._options)

    def save_universe_results(
        self,
        universe_name: str,
        results: Any,
        top_n: int = 50,
        rank_by: str | None = None,
        tags: Iterable[str] = (),
        params: Mapping[str, Any] | None = None,
        note: str | None = None,
        *,
        code: str | Path | Sequence[str | Path] | None = None,
        seed: Any = None,
        data: Any = None,
        bars: Any = None,
        default: Callable[[Any], Any] | None = None,
    ) -> Run:
        """Save a universe's results as a new run: metrics of all strategies, full detail of the best.

        Arguments:
            universe_name: the data slice that the strategies were tested on.
            results: any iterable of dicts, consumed once: `strategy_name`, metrics, and for some `trades_detailed`
                (or `trades`), `equity_curve`, `drawdown_curve`, as lists, dicts, numpy, pandas, polars or Arrow.
            top_n: how many details to keep.
            rank_by: the metric that ranks, greatest first, NaN last; with a `-` before it, least first. None:
                composite_score, else sharpe_ratio, however they are spelled (`Sharpe Ratio`, `daily_sharpe`).
            tags: labels; `pinned` protects the run from every policy.
            params: parameters of the run, any JSON-like data.
            note: a line for people.
            code: what to capture: auto, entry, imports, none, or paths; None: as configured.
            seed: the random seed of the run, kept with the code.
            data: a fingerprint of the data, kept with the code.
            bars: the bar series that price windows are cut from, if at hand: a dict of lists or a table.
            default: makes of a value that docs/reference/values.md does not name one that can be kept, as in `json.dumps`.

        Returns the run. Raises ConfigError for results that cannot be kept, CaptureError in strict modes,
        StorageError when the store fails, and what an iterator of results raises; then no run is there.
        """
        from archiver.capture import capture

        layout.universe_part(universe_name)
        captured = capture(code, configured=self._code, seed=seed, data=data)
        labels = _tags(tags)
        draft = draft_run(
            universe_name,
            results,
            top_n=top_n,
            rank_by=rank_by,
            params=params,
            note=note,
            bars=self._series.of(universe_name, bars),
            default=default,
        )
        add_code(draft, captured.code, captured.blobs)
        record = self.add(draft, labels)
        self._series.keep(universe_name, draft.series)
        return run_of(record, labels)

    def add(self, draft: Draft, tags: Iterable[str] = ()) -> Record:
        """Write a run that is drafted, from an import say. Raises what a save raises."""
        labels = _tags(tags)
        if self._guard is not None:
            self._guard.check(draft.bytes)
        self.create()
        return self._writer.commit(draft, labels)

    def runs(self, universe: str | None = None, tag: str | None = None) -> list[Run]:
        """Return the runs, newest first, of one universe or with one tag. Raises ArchiveNotFoundError."""
        tags = self._tags()
        runs = [
            run_of(record, tags.get(record.run, ()))
            for record in records_of(self.records(), universe=universe)
        ]
        return runs if tag is None else [run for run in runs if tag in run.tags]

    def run(self, run: str) -> Run:
        """Return one run by its id, or the beginning of it. Raises RunNotFoundError."""
        found = self.record(run)
        return run_of(found, self._tags().get(found.run, ()))

    def load_metrics(
        self,
        universe: str | None = None,
        columns: Sequence[str] | None = None,
        run: str | None = None,
        history: bool = False,
    ) -> pa.Table:
        """Load the metrics of all strategies, one row a universe and strategy, the newest run's.

        Arguments:
            universe: only this one.
            columns: only these metrics; `universe`, `strategy_name` and `run` always come first.
            run: only this run.
            history: every run's rows.

        Returns an Arrow table; a metric that is JSON text is marked in its field's metadata.
        Raises ConfigError for a metric that no run has, NotFoundError for a run of another universe, IntegrityError
        for damaged objects.
        """
        return self._reader.metrics(self._chosen(universe, run), columns, history=history)

    def load_strategy(self, name: str, universe: str | None = None, run: str | None = None) -> dict[str, Any]:
        """Load a strategy's full detail: from its universe's newest run that has it, or from one run.

        Where several universes have the strategy, the newest one that kept its detail counts.

        Returns a dict of strategy_name, universe, rank, metrics, trades, equity_curve, drawdown_curve: exactly what
        was saved. Raises NotKeptError where the detail was not kept, NotFoundError for an unknown strategy.
        """
        return self._reader.strategy(*self._reader.find(self._chosen(universe, run), name))

    def load_trades(
        self,
        name: str,
        universe: str | None = None,
        run: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Load a strategy's trades as an Arrow table; price windows only where `columns` names them.

        Raises what `load_strategy` raises, and ConfigError for a column that the trades do not have.
        """
        return self._reader.trades(*self._reader.find(self._chosen(universe, run), name), columns)

    def detailed_strategies(
        self, universe: str | None = None, run: str | None = None
    ) -> list[tuple[str, str]]:
        """Return (universe, strategy) of every strategy whose detail can be loaded, best first in each universe."""
        return self._reader.detailed(self._chosen(universe, run))

    def tag(self, run: str, tag: str) -> None:
        """Put a tag on a run. Raises RunNotFoundError."""
        self.store.put(layout.tag_key(tag, self.record(run).run), b"")

    def untag(self, run: str, tag: str) -> None:
        """Take a tag off a run; one that it does not have is fine. Raises RunNotFoundError."""
        failed = remove(self.store, [layout.tag_key(tag, self.record(run).run)])
        for error in failed.values():
            raise error

    def code(self, run: str) -> Snapshot:
        """Return a run's captured code: `.files`, `.read(path)`, `.restore(folder)`, `.diff(other)`."""
        from archiver.runs.snapshot import Snapshot

        record = self.record(run)
        return Snapshot(self.store, record.code, record.params)

    @property
    def bundles(self) -> Bundles:
        """The bundles of this archive: `.names()`, `.open(name)`, `.verify(name)`, `.restore(name, runs)` and more."""
        from archiver.transfer.bundle import Bundles

        return Bundles(self.store, self._options, make=self.create)

    def bundle(
        self,
        runs: Iterable[str],
        name: str,
        *,
        to: str | None = None,
        level: int = -1,
        storage_class: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
        step: Callable[[float], None] | None = None,
    ) -> Bundle:
        """Write runs and all that they need as one tar.zst, by default to `bundles/<name>.tar.zst`.

        Arguments:
            runs: ids, or the beginnings of some; the same runs give the same bytes.
            name: a plain name, a path or a URL.
            to: another folder or URL for a plain name.
            level: of zstd, -7 to 22; what goes in is compressed already.
            storage_class: of S3, such as GLACIER.
            storage_options: what the filesystem of another URL takes; default: this archive's own, where they fit.
            step: told the bytes of each object that is packed.

        Returns the bundle: `.name`, `.url`, `.runs`, `.objects`, `.bytes`, `.sha256`. Raises RunNotFoundError,
        IntegrityError for damage (then there is no bundle), ConfigError where another bundle has the name.
        """
        self._require()
        ids = [self.run_id(run) for run in ((runs,) if isinstance(runs, str) else runs)]
        return self.bundles.create(
            ids,
            name,
            to=to,
            level=level,
            storage_class=storage_class,
            storage_options=storage_options,
            step=step or _ignore,
        )

    def run_ids(
        self, universe: str | None = None, tag: str | None = None, since: str | datetime | None = None
    ) -> list[str]:
        """Return the ids of runs, oldest first: of one universe, with one tag, since a moment.

        since: a datetime, a date such as 2025-01-21, or an age such as 30d. Records are read only for a universe.
        Raises ArchiveNotFoundError, ConfigError for a text that is no moment.
        """
        from archiver.transfer.copy import later, run_ids, since_moment

        self._require()
        if universe is None:
            runs = run_ids(self.store)
        else:
            runs = sorted(record.run for record in records_of(self.records(), universe=universe))
        if tag is not None:
            tags = self._tags()
            runs = [run for run in runs if tag in tags.get(run, ())]
        return runs if since is None else later(runs, since_moment(since, datetime.now(UTC)))

    def copy_to(
        self,
        target: Archive,
        runs: Iterable[str] | None = None,
        *,
        step: Callable[[float], None] | None = None,
    ) -> Moved:
        """Copy runs, with their tags, to another archive: only what it lacks, verified, data before records.

        Arguments:
            target: the other archive, made where there is none.
            runs: ids, or the beginnings of some; None for all. `run_ids` selects some.
            step: told the bytes of each object that is done.

        Work runs on the executor that an archive was opened with. Whatever interrupts it, the target is sound, and
        the next copy goes on. Returns what moved. Raises IntegrityError for damage, after all sound runs were
        copied, and where the target has another run of the same id.
        """
        from archiver.transfer.runs import transfer

        self._require()
        chosen = self.run_ids() if runs is None else [self.run_id(run) for run in runs]
        target.create()
        return transfer(self.store, target.store, chosen, step=step or _ignore)

    def compact(self) -> int:
        """Write the catalog anew, so that reading many runs takes few requests. Returns the number of runs in it."""
        self._require()
        return compact(self.store)

    def _chosen(self, universe: str | None, run: str | None) -> list[Record]:
        if run is None:
            return list(records_of(self.records(), universe=universe))
        return one_run(self.record(run), universe)

    def create(self, *, beside: bool = False) -> None:
        """Make the archive unless it is there; every save does.

        beside: also in a folder that holds something else, which is a FormatError otherwise.
        """
        try:
            self._require()
            return
        except ArchiveNotFoundError:
            if not beside:
                self._refuse_foreign_folder()
        facts = {"format": FORMAT, "id": secrets.token_hex(16), "created": datetime.now(UTC).isoformat()}
        try:
            self.store.put(layout.ARCHIVE, json.dumps(facts).encode(), create=True)
        except ConfigError:
            # Another process has just created the archive.
            self._require()
        self._checked = True

    def _refuse_foreign_folder(self) -> None:
        if self.store.local is None or not self.store.local.is_dir():
            return
        own = {layout.ARCHIVE} | {
            prefix.rstrip("/")
            for prefix in (layout.RUNS, layout.TIER1, layout.TIER2, layout.TAPES, layout.CODE, layout.TAGS)
        }
        others = sorted(path.name for path in self.store.local.iterdir() if not path.name.startswith("."))
        if others and not own & set(others):
            raise FormatError(
                f"{self.store.url} is no archive and holds {others[0]!r}: choose an empty folder{self._old_format()}"
            )


def _ignore(_amount: float) -> None:
    """Let progress pass: nobody watches."""


def _tags(tags: Iterable[str]) -> tuple[str, ...]:
    labels = (tags,) if isinstance(tags, str) else tuple(tags)
    for label in labels:
        if not isinstance(label, str):
            raise ConfigError(f"the tag {label!r} is no text: give names")
        layout.quote(label)
    return tuple(sorted(set(labels)))


def _rebuild(
    store: Store, code: Any, guard: Guard | None, policies: Any, budget: Any, options: Any
) -> Archive:
    return Archive(store, code=code, guard=guard, policies=policies, budget=budget, storage_options=options)
