"""The archive: what a user holds. Each method says what it does and leaves the work to the module named for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archiver.archive.configured import Configured
from archiver.archive.health import Health
from archiver.archive.judging import Judging
from archiver.archive.listing import Listing
from archiver.archive.loading import Loading
from archiver.archive.many import Many
from archiver.archive.part import by, reading
from archiver.archive.retention import Retention
from archiver.archive.root import Root
from archiver.archive.saving import Saving
from archiver.archive.searching import Searching
from archiver.archive.transfer import Transfer
from archiver.base.humanize import printable
from archiver.format import layout
from archiver.format.model import Record, Run
from archiver.health.usage import Guard
from archiver.runs.open import OpenRun, resume_run, start_run
from archiver.runs.read import Reader
from archiver.runs.record_view import viewed
from archiver.runs.records import run_of
from archiver.runs.tags import PINNED, checked_tags, put_tag, take_off
from archiver.runs.write import Draft, KnownSeries, Writer, add_code, draft_run
from archiver.store import Store, open_store

if TYPE_CHECKING:
    from archiver.archive.bucket_rules import Lifecycle
    from archiver.runs.snapshot import Snapshot
    from archiver.transfer.bundle import Bundles

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
        sys.stderr.write(f"archiver: no URL is configured, using {printable(settings.url)}\n")
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


class Archive:
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
        self.store = store = viewed(store)
        self.reader = Reader(store)
        self._code, self._guard, self._budget = code, guard, budget
        self._configured = policies if isinstance(policies, Configured) else Configured(policies)
        self._options, self._root = dict(storage_options or {}), Root(store)
        self._listing = Listing(store, self._root)
        self._series, self._writer = KnownSeries(), Writer(store)

    def __repr__(self) -> str:
        return f"Archive({self.store.url!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        how: dict[str, Any] = {"code": self._code, "guard": self._guard, "policies": self._configured}
        make = partial(Archive, budget=self._budget, storage_options=self._options, **how)
        return make, (self.store,), self._listing.known()

    def __setstate__(self, known: Any) -> None:
        self._listing.know(known)

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections and end threads, as the end of a `with` block does; a later call opens new ones."""
        self.store.close()

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
                (or `trades`), `curves`, `tables` and `files` by name (docs/reference/values.md), `equity_curve`,
                `drawdown_curve`, as lists, dicts, numpy, pandas, polars or Arrow.
            top_n: how many details to keep.
            rank_by: the metric that ranks, greatest first, NaN last; with a `-` before it, least first. None:
                composite_score, else sharpe_ratio, however they are spelled (`Sharpe Ratio`, `daily_sharpe`).
            tags: labels; `pinned` protects the run from every policy.
            params: parameters of the run, any JSON-like data.
            note: a line for people.
            code: what to capture: auto, entry, imports, none, or paths; None: as configured.
            seed: the random seed of the run, kept with the code.
            data: a fingerprint of the data, kept with the code.
            bars: the bar series that price windows are cut from and curves follow, if at hand: a dict of lists or a table.
            default: makes of a value that docs/reference/values.md does not name one that can be kept, as in `json.dumps`.

        Returns the run. Raises ConfigError for results that cannot be kept, CaptureError in strict modes,
        StorageError when the store fails, and what an iterator of results raises; then no run is there.
        """
        from archiver.capture import capture

        layout.universe_part(universe_name)
        captured = capture(code, configured=self._code, seed=seed, data=data)
        labels = checked_tags(tags)
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

    def _saving(self) -> Saving:
        return Saving(self.save_universe_results)

    save = by(_saving, Saving.save)

    def add(self, draft: Draft, tags: Iterable[str] = ()) -> Record:
        """Write a run that is drafted, from an import say. Raises what a save raises."""
        labels = checked_tags(tags)
        if self._guard is not None:
            self._guard.check(draft.bytes)
        self.create()
        return self._writer.commit(draft, labels)

    def start(
        self,
        universe: str,
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
    ) -> OpenRun:
        """Start a run that results are added to one by one, from any thread, process or machine.

        Arguments: as `save_universe_results` takes them; the results come later.

        Returns the open run: `.add(result)` is durable when it returns, `.finish()` makes an ordinary run of all that was
        added, `.id` is for `resume`. As a context manager it finishes when the block ends; on an exception it stays
        open, with all that was added. It is listed, ranked and read like any other at once. Raises what a save raises.
        """
        from archiver.capture import capture

        captured = capture(code, configured=self._code, seed=seed, data=data)
        labels = checked_tags(tags)
        self.create()
        return start_run(
            self.store,
            universe,
            top_n=top_n,
            rank_by=rank_by,
            params=params,
            note=note,
            code=(captured.code, captured.blobs),
            bars=self._series.of(universe, bars),
            allow=None if self._guard is None else self._guard.check,
            tags=labels,
        )

    def resume(self, run: str | Run) -> OpenRun:
        """Return a run that is still open, by its id or the beginning of it, to add to it or to finish it.

        Raises RunFinishedError for one that is finished, RunNotFoundError.
        """
        self._root.require()
        return resume_run(self.store, self.run_id(run), None if self._guard is None else self._guard.check)

    def finish(self, run: str | Run) -> Run:
        """Make an ordinary run of one that is open, from whatever was added; one that is finished already is returned.

        Raises RunNotFoundError, ConfigError where nothing was added.
        """
        found = self.run(run)
        return self.resume(found.id).finish() if found.open else found

    def create(self, *, beside: bool = False) -> None:
        """Make the archive unless it is there; every save does.

        beside: also in a folder that holds something else, which is a FormatError otherwise.
        """
        self._root.create(beside=beside)

    def _runs(self) -> Listing:
        return self._listing

    runs = reading(_runs, Listing.runs)
    run_count = reading(_runs, Listing.run_count)
    runs_table = reading(_runs, Listing.runs_table)
    run = reading(_runs, Listing.run)
    record = reading(_runs, Listing.record)
    heads = reading(_runs, Listing.heads)
    universes = reading(_runs, Listing.universes)
    created = reading(_runs, Listing.created)
    records = reading(_runs, Listing.records)
    all_runs = reading(_runs, Listing.all_runs)
    run_id = reading(_runs, Listing.run_id)

    def _loading(self) -> Loading:
        return Loading(self.reader, self._listing)

    load_metrics = reading(_loading, Loading.load_metrics)
    leaderboard = reading(_loading, Loading.leaderboard)
    load_strategy = reading(_loading, Loading.load_strategy)
    load_outline = reading(_loading, Loading.load_outline)
    load_trades = reading(_loading, Loading.load_trades)
    load_curve = reading(_loading, Loading.load_curve)
    load_table = reading(_loading, Loading.load_table)
    load_file = reading(_loading, Loading.load_file)
    contents = reading(_loading, Loading.contents)
    detailed_strategies = reading(_loading, Loading.detailed_strategies)
    run_ids = reading(_loading, Loading.run_ids)
    sql = reading(_loading, Loading.sql)

    def _many(self) -> Many:
        return Many(self.store, self.reader, self._listing)

    load_many = reading(_many, Many.load_many)
    to_dask = reading(_many, Many.to_dask)
    detail_files = reading(_many, Many.detail_files)

    def _judging(self) -> Judging:
        return Judging(self.store, self.reader, self._listing)

    luck = reading(_judging, Judging.luck)
    tear_sheet = reading(_judging, Judging.tear_sheet)
    portfolio = reading(_judging, Judging.portfolio)
    report = reading(_judging, Judging.report)

    def _searching(self) -> Searching:
        return Searching(self.store, self.reader, self._listing)

    parameters = reading(_searching, Searching.parameters)
    overfitting = reading(_searching, Searching.overfitting)
    samples = reading(_searching, Searching.samples)
    pairs = reading(_searching, Searching.pairs)

    def tag(self, run: str, tag: str) -> None:
        """Put a tag on a run. Raises RunNotFoundError; a run that is being removed `pinned` brings back, if there is a way."""
        from archiver.retention.trash import hold

        record = self.record(run)
        put_tag(self.store, record.run, tag)
        if not record.open:
            hold(self.store, record, back=tag == PINNED)

    def untag(self, run: str, tag: str) -> None:
        """Take a tag off a run; one that it does not have is fine. Raises RunNotFoundError."""
        take_off(self.store, self.record(run), tag)

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

    @property
    def lifecycle(self) -> Lifecycle:
        """The rules that the archive's bucket carries out by itself: `.show()`, `.plan()`, `.apply(plan)`, `.remove()`."""
        from archiver.archive.bucket_rules import Lifecycle

        return Lifecycle(self.store, self._listing, self.bundles, self._configured)

    @property
    def policies_from(self) -> str:
        """Where the configured policies stand: a file, or a variable."""
        return self._configured.place

    def _retention(self) -> Retention:
        return Retention(self.store, self._root, self._listing, self._configured)

    compact = by(_retention, Retention.compact)
    plan_prune = reading(_retention, Retention.plan_prune)
    apply = by(_retention, Retention.apply)
    undelete = by(_retention, Retention.undelete)
    trash = reading(_retention, Retention.trash)
    gc = by(_retention, Retention.gc)

    def _health(self) -> Health:
        return Health(self.store, self._root, lambda: self.lifecycle, self._budget)

    verify = reading(_health, Health.verify)
    du = reading(_health, Health.du)
    old_versions = by(_health, Health.old_versions)
    df = by(_health, Health.df)
    tree = reading(_health, Health.tree)
    doctor = by(_health, Health.doctor)

    def _transfer(self) -> Transfer:
        return Transfer(self.store, self._root, self._listing, self.reader, self.bundles, self.add)

    bundle = by(_transfer, Transfer.bundle)
    copy_to = by(_transfer, Transfer.copy_to)
    extras = by(_transfer, Transfer.extras)
    apply_extras = by(_transfer, Transfer.apply_extras)
    export = by(_transfer, Transfer.export)
    import_from = by(_transfer, Transfer.import_from)
