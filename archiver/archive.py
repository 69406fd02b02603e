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

from archiver import layout
from archiver.catalog import Records, compact
from archiver.errors import (
    ArchiveNotFoundError,
    ConfigError,
    FormatError,
    NotFoundError,
    PolicyError,
    RunNotFoundError,
)
from archiver.gc import GRACE, Collected, collect
from archiver.load import Reader, records_of
from archiver.model import Record, Run
from archiver.plan import Plan
from archiver.policy import Policy, parse_policies
from archiver.prune import MOST, Pruned, State, apply_plan, plan_prune, undelete
from archiver.runs import Writer, add_code, draft_run
from archiver.store import Store, open_store
from archiver.usage import Guard
from archiver.verify import Report, verify

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.snapshot import Snapshot

FORMAT = 1
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
    from archiver.config import load_settings

    settings = load_settings(
        url=None if url is None else os.fspath(url), storage_options=storage_options or None
    )
    if settings.url_is_default and settings.url not in _said:
        _said.add(settings.url)
        sys.stderr.write(f"archiver: no URL is configured, using {settings.url}\n")
    store = open_store(
        settings.url, storage_options=settings.storage_options, read_only=read_only, executor=executor
    )
    guard = Guard(store, settings.min_free, settings.budget)
    return Archive(store, code=settings.code, guard=guard, policies=settings.policy)


class Archive:
    """Everything under one URL. Safe to use from many threads, and from many processes at once."""

    def __init__(
        self,
        store: Store,
        *,
        code: Any = "auto",
        guard: Guard | None = None,
        policies: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.store = store
        self._code = code
        self._guard = guard
        self._policies = policies
        self._records = Records(store)
        self._reader = Reader(store)
        self._writer = Writer(store)
        self._checked = False

    def __repr__(self) -> str:
        return f"Archive({self.store.url!r})"

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
    ) -> Run:
        """Save a universe's results as a new run: metrics of all strategies, full detail of the best.

        Arguments:
            universe_name: the data slice that the strategies were tested on.
            results: any iterable of dicts, consumed once: `strategy_name`, metrics, and for some `trades_detailed`
                (or `trades`), `equity_curve`, `drawdown_curve`, as lists, dicts, numpy, pandas, polars or Arrow.
            top_n: how many details to keep.
            rank_by: the metric that ranks, greatest first, NaN last; None: composite_score, else sharpe_ratio.
            tags: labels; `pinned` protects the run from every policy.
            params: parameters of the run, any JSON-like data.
            note: a line for people.
            code: what to capture: auto, entry, imports, none, or paths; None: as configured.
            seed: the random seed of the run, kept with the code.
            data: a fingerprint of the data, kept with the code.
            bars: the bar series that price windows are cut from, if at hand: a dict of lists or a table.

        Returns the run. Raises ConfigError for results that cannot be kept, CaptureError in strict modes,
        StorageError when the store fails; after any of these, no run is there.
        """
        from archiver.capture import capture

        captured = capture(code, configured=self._code, seed=seed, data=data)
        labels = _tags(tags)
        draft = draft_run(
            universe_name,
            results,
            top_n=top_n,
            rank_by=rank_by,
            params=params,
            note=note,
            bars=() if bars is None else _bars(bars),
        )
        add_code(draft, captured.code, captured.blobs)
        if self._guard is not None:
            self._guard.check(draft.bytes)
        self._create()
        return run_of(self._writer.commit(draft, labels), labels)

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

    def record(self, run: str) -> Record:
        """Return one run's record by its id, or the beginning of it. Raises RunNotFoundError."""
        self._require()
        return self._records.one(self.run_id(run))

    def records(self) -> list[Record]:
        """Return the records of all runs, newest first. Raises ArchiveNotFoundError."""
        self._require()
        return self._records.read()

    def run_id(self, run: str, prefix: str = layout.RUNS) -> str:
        """Return the whole id of a run (in the trash: `trash/`) from its beginning, while that is unique.

        Raises RunNotFoundError.
        """
        if layout.is_run_id(run):
            return run
        known = [layout.run_of_record(entry.key) for entry in self.store.list(prefix)]
        found = [name for name in known if name is not None and run and name.startswith(run)]
        if len(found) == 1:
            return found[0]
        if found:
            raise RunNotFoundError(f"{run!r} is the beginning of {len(found)} runs: give more of it")
        raise RunNotFoundError(f"no run {run!r}: `archiver ls` shows the runs there are")

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
        Raises ConfigError for a metric that no run has, IntegrityError for damaged objects.
        """
        return self._reader.metrics(self._chosen(universe, run), columns, history=history)

    def load_strategy(self, name: str, universe: str | None = None, run: str | None = None) -> dict[str, Any]:
        """Load a strategy's full detail from the newest run that has it, or from one run.

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
        failed = self.store.delete([layout.tag_key(tag, self.record(run).run)])
        for error in failed.values():
            raise error

    def code(self, run: str) -> Snapshot:
        """Return a run's captured code: `.files`, `.read(path)`, `.restore(folder)`, `.diff(other)`."""
        from archiver.snapshot import Snapshot

        record = self.record(run)
        return Snapshot(self.store, record.code, record.params)

    def plan_prune(self, *policies: Policy, allow_empty: bool = False) -> Plan:
        """Plan what policies remove, the configured ones if none is given; nothing is changed.

        allow_empty: let a policy keep nothing. Returns the plan: `print(plan)` shows what goes and why. Raises
        PolicyError for a policy that cannot be meant.
        """
        chosen = policies or parse_policies(self._policies)
        if not chosen:
            raise PolicyError("no policy: give one, or write [[policy]] tables into archiver.toml")
        return plan_prune(self.store, self._state(), chosen, self.store.now(), allow_empty=allow_empty)

    def apply(
        self, plan: Plan, *, max_remove: float = MOST, step: Callable[[int], object] = lambda _: None
    ) -> Pruned:
        """Do what a plan says: pruned runs go to the trash, from where `undelete` brings them back.

        max_remove: which part of all runs may lose something, 0 to 1; step: is told how many runs were dealt with.
        Returns what was done. Raises PolicyError for a plan that a re-read finds stale, or that removes too much.
        """
        return apply_plan(self.store, plan, self._state, max_remove=max_remove, step=step)

    def undelete(self, run: str) -> Run:
        """Bring a pruned run, or the details that one lost, back. Raises RunNotFoundError once gc has taken it."""
        self._require()
        found = undelete(self.store, self.run_id(run, layout.TRASH))
        return run_of(found, self._tags().get(found.run, ()))

    def trash(self) -> list[Run]:
        """Return the pruned runs, and those that lost their details, that can be brought back, newest first."""
        self._require()
        tags = self._tags()
        return [run_of(record, tags.get(record.run, ())) for record in self._records.read(layout.TRASH)]

    def gc(
        self,
        grace: str = GRACE,
        *,
        apply: bool = False,
        allow_empty: bool = False,
        step: Callable[[int], object] = lambda _: None,
    ) -> Collected:
        """Free what no run and no trash within the grace needs; without `apply` only count it.

        Arguments: see `archiver.gc.collect`. Raises IntegrityError or FormatError for a record that cannot be read.
        """
        self._require()
        return collect(self.store, grace=grace, apply=apply, allow_empty=allow_empty, step=step)

    def verify(
        self,
        read_data: bool = False,
        *,
        sample: float | None = None,
        resume: str | os.PathLike[str] | None = None,
        repair: bool = False,
        step: Callable[[int], object] = lambda _: None,
    ) -> Report:
        """Compare what the records promise with what is stored. `.ok` of what it returns says whether all is well.

        Arguments: see `archiver.verify.verify`.
        """
        self._require()
        return verify(
            self.store,
            read_data=read_data,
            sample=sample,
            resume=None if resume is None else Path(resume),
            repair=repair,
            step=step,
        )

    def compact(self) -> int:
        """Write the catalog anew, so that reading many runs takes few requests. Returns the number of runs in it."""
        self._require()
        return compact(self.store)

    def _state(self) -> State:
        # Tags last: a pin that was put while the records were read counts.
        return self.records(), self._tags()

    def _chosen(self, universe: str | None, run: str | None) -> list[Record]:
        if run is None:
            return list(records_of(self.records(), universe=universe))
        return list(records_of([self.record(run)], universe=universe))

    def _tags(self) -> dict[str, list[str]]:
        tags: dict[str, list[str]] = {}
        for entry in self.store.list(layout.TAGS):
            quoted, _, run = entry.key.removeprefix(layout.TAGS).rpartition("/")
            tags.setdefault(run, []).append(layout.unquote_name(quoted))
        return {run: sorted(labels) for run, labels in tags.items()}

    def _require(self) -> None:
        """Make sure that there is an archive and that it is of a format we know."""
        if self._checked:
            return
        try:
            data = self.store.get(layout.ARCHIVE)
        except NotFoundError:
            raise ArchiveNotFoundError(
                f"no archive at {self.store.url}: check the URL, or save a run there first{self._old_format()}"
            ) from None
        try:
            facts = json.loads(data)
            version = facts["format"]
        except (ValueError, KeyError, TypeError):
            raise FormatError(
                f"{layout.ARCHIVE} at {self.store.url} is not archiver's: choose another URL"
            ) from None
        if not isinstance(version, int) or version > FORMAT:
            raise FormatError(
                f"the archive at {self.store.url} is of format {version}: upgrade archiver to use it"
            )
        self._checked = True

    def _create(self) -> None:
        """Write archive.json unless it is there. Raises FormatError where a folder holds something else."""
        try:
            self._require()
            return
        except ArchiveNotFoundError:
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

    def _old_format(self) -> str:
        folder = self.store.local
        old = folder is not None and (folder / "all_strategies_metrics.json").exists()
        return "; to take over the JSON there, run `archiver import` into a new one" if old else ""


def run_of(record: Record, tags: Iterable[str] = ()) -> Run:
    """Return what a user sees of a record."""
    refs = [*record.tapes, *(ref for ref in (record.tier1, record.tier2) if ref is not None)]
    return Run(
        id=record.run,
        universe=record.universe,
        created=record.created,
        strategies=record.strategies,
        detailed=len(record.details) if record.tier2 is not None else 0,
        bytes=record.size + sum(ref.size for ref in refs),
        tags=tuple(tags),
        top_n=record.top_n,
        rank_by=record.rank_by,
        note=record.note,
    )


def _tags(tags: Iterable[str]) -> tuple[str, ...]:
    labels = (tags,) if isinstance(tags, str) else tuple(tags)
    for label in labels:
        if not isinstance(label, str):
            raise ConfigError(f"the tag {label!r} is no text: give names")
        layout.quote(label)
    return tuple(sorted(set(labels)))


def _bars(bars: Any) -> list[Any]:
    from archiver.codec.tapes import tape_of

    return [tape_of(bars)]
