"""What an archive is opened as, and what keeps it in shape: prune and its undo, gc, verify, what takes the space."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archiver.errors import (
    ArchiveNotFoundError,
    ConfigError,
    FormatError,
    IntegrityError,
    NotFoundError,
    PolicyError,
    RunNotFoundError,
    StorageError,
)
from archiver.format import layout
from archiver.format.model import Record, Run
from archiver.health.usage import Space, Usage, df, du
from archiver.health.verify import Report, verify
from archiver.retention.gc import GRACE, Collected, collect
from archiver.retention.plan import MOST, Plan
from archiver.retention.policy import Policy, parse_policies
from archiver.retention.prune import State, apply_plan, plan_prune, undelete
from archiver.retention.trash import Removed
from archiver.runs.catalog import Records
from archiver.runs.records import look_at_clock, run_of
from archiver.runs.tags import read_tags
from archiver.store import Store
from archiver.store.entry import Entry

if TYPE_CHECKING:
    from archiver.config.settings import Settings

FORMAT = 1


@dataclass(frozen=True)
class Configured:
    """The policies of the configuration: their tables, where they stand, and for which archive if for another one."""

    tables: Sequence[Mapping[str, Any]] = ()
    origin: str = "the configuration"
    other: str | None = None

    @staticmethod
    def of(settings: Settings) -> Configured:
        """Take them from settings."""
        return Configured(settings.policy, settings.origins["policy"], settings.elsewhere("policy"))

    @property
    def place(self) -> str:
        """Where they stand, as short as can be."""
        here = f"{Path.cwd()}{os.sep}"
        return f".{os.sep}{self.origin.removeprefix(here)}" if self.origin.startswith(here) else self.origin

    def read(self, url: str) -> list[Policy]:
        """Read them for an archive. Raises PolicyError when they are for another, or cannot be meant."""
        if self.tables and self.other is not None:
            raise PolicyError(
                f"the policies of {self.place} are for {self.other}, not for {url}: give rules in the call, or write"
                " policies without a url beside them"
            )
        return parse_policies(self.tables)


class Upkeep:
    """The part of an archive that knows its records and tags, and keeps what is stored in shape."""

    def __init__(
        self,
        store: Store,
        policies: Configured | Sequence[Mapping[str, Any]] = (),
        budget: int | None = None,
    ) -> None:
        self.store = store
        self._policies = policies if isinstance(policies, Configured) else Configured(policies)
        self._budget = budget
        self._records = Records(store)
        self._checked = False

    def record(self, run: str | Run) -> Record:
        """Return one run's record by its id, or the beginning of it. Raises RunNotFoundError."""
        self._require()
        return self._records.one(self.run_id(run))

    def records(self) -> list[Record]:
        """Return the records of all runs, newest first. Raises ArchiveNotFoundError."""
        self._require()
        return self._records.read()

    def run_id(self, run: str | Run, prefix: str = layout.RUNS) -> str:
        """Return the whole id of a run (in the trash: `trash/`) from its beginning, while that is unique.

        Raises RunNotFoundError.
        """
        run = run.id if isinstance(run, Run) else str(run)
        if layout.is_run_id(run):
            return run
        known = [layout.run_of_record(entry.key) for entry in self.store.list(prefix)]
        found = [name for name in known if name is not None and run and name.startswith(run)]
        if len(found) == 1:
            return found[0]
        if found:
            raise RunNotFoundError(f"{run!r} is the beginning of {len(found)} runs: give more of it")
        if prefix == layout.TRASH:
            raise RunNotFoundError(f"no run {run!r} in the trash: `archiver undelete` shows those there are")
        raise RunNotFoundError(f"no run {run!r}: `archiver ls` shows the runs there are")

    def plan_prune(self, *policies: Policy, allow_empty: bool = False) -> Plan:
        """Plan what policies remove, the configured ones if none is given; nothing is changed.

        allow_empty: let a policy keep nothing. Returns the plan: `print(plan)` shows what goes and why. Raises
        PolicyError for a policy that cannot be meant.
        """
        for policy in policies:
            if not isinstance(policy, Policy):
                raise PolicyError(
                    f"{policy!r} is no policy: give archiver.Policy(...), several one after the other"
                )
        chosen = policies or self._policies.read(self.store.url)
        if not chosen:
            raise PolicyError("no policy: give one, or write [[policy]] tables into archiver.toml")
        return plan_prune(
            self.store, self._state(), chosen, look_at_clock(self.store), allow_empty=allow_empty
        )

    @property
    def policies_from(self) -> str:
        """Where the configured policies stand: a file, or a variable."""
        return self._policies.place

    def apply(
        self, plan: Plan, *, max_remove: float = MOST, step: Callable[[int], object] = lambda _: None
    ) -> Removed:
        """Do what a plan says: pruned runs go to the trash, from where `undelete` brings them back.

        max_remove: which part of all runs may lose something, 0 to 1; step: is told how many runs were dealt with.
        Returns what was done. Raises PolicyError for a plan that a re-read finds stale, or that removes too much.
        """
        return apply_plan(self.store, plan, self._state, max_remove=max_remove, step=step)

    def undelete(self, run: str) -> Run:
        """Bring a pruned run, or the details that one lost, back. Raises RunNotFoundError once gc has taken it."""
        self._require()
        found = undelete(self.store, self.run_id(run, layout.TRASH))
        return run_of(found, read_tags(self.store).get(found.run, ()))

    def trash(self) -> list[Run]:
        """Return the pruned runs, and those that lost their details, that can be brought back, newest first."""
        self._require()
        tags = read_tags(self.store)
        return [run_of(record, tags.get(record.run, ())) for record in self._records.read(layout.TRASH)]

    def gc(
        self,
        grace: str = GRACE,
        *,
        apply: bool = False,
        allow_empty: bool = False,
        versions: bool = False,
        step: Callable[[int], object] = lambda _: None,
    ) -> Collected:
        """Free what no run and no trash within the grace needs; without `apply` only count it.

        Arguments:
            grace: how long what nothing needs is kept, by the store's clock: `7d`, `12h`.
            apply: delete.
            allow_empty: go on although there are data objects and no record explains them.
            versions: remove old versions of what was deleted, too, where a bucket keeps them.
            step: is told how many objects were deleted or counted, again and again.

        Returns what was found; what could not be deleted is in `.failed`. Raises IntegrityError or FormatError for a
        record that cannot be read, StorageError when a listing fails: nothing has been deleted then. Raises PolicyError
        where there is data and no run at all, or for `versions` under Object Lock.
        """
        self._require()
        return collect(
            self.store, grace=grace, apply=apply, allow_empty=allow_empty, versions=versions, step=step
        )

    def verify(
        self,
        read_data: bool = False,
        *,
        sample: float | None = None,
        resume: str | os.PathLike[str] | None = None,
        repair: bool = False,
        remember: bool = False,
        step: Callable[[int], object] = lambda _: None,
    ) -> Report:
        """Compare what the records promise with what is stored.

        Arguments:
            read_data: read every object and compare its sha256; else listings are enough.
            sample: read only this part of the objects, 0 to 1, chosen anew each time.
            resume: read all data; this file holds how far reading has come, for the next call to go on from.
            repair: set records aside that cannot be read, or whose metrics are gone; write down in the others which
                details are gone. Nothing is deleted.
            remember: keep in the archive what reading the data found, for the pages to show.
            step: is told how many objects were read.

        Returns what was found: `.ok` says whether all is well, `.problems` what is not. Raises StorageError when the
        store fails, ConfigError for a sample that is no share.
        """
        self._require()
        return verify(
            self.store,
            read_data=read_data,
            sample=sample,
            resume=None if resume is None else Path(resume),
            repair=repair,
            remember=remember,
            expires=self._expires(),
            step=step,
        )

    def du(self, *, runs: bool = False) -> Usage:
        """Measure what takes the space: by universe and tier, shared objects, trash, orphans.

        runs: measure each run, too. Returns the usage, in bytes and objects. Raises ArchiveNotFoundError.
        """
        self._require()
        return du(self.store, runs=runs)

    def df(self) -> list[Space]:
        """Tell how full the disk of a local archive is, and how much of a configured budget is used.

        Returns one space for each of the two that there is. Raises ArchiveNotFoundError.
        """
        self._require()
        return df(self.store, self._budget)

    def _expires(self) -> Callable[[Record], bool]:
        """Return what tells whether a rule of the bucket removes a run's details; it asks the bucket when first used."""
        from archiver.retention.bucket_rules import lifecycle, simulate

        @cache
        def rules() -> lifecycle.BucketRules | StorageError | None:
            try:
                return lifecycle.read(self.store)
            except ConfigError:
                return None  # no bucket, or one without rules: what is missing is damage
            except StorageError as error:
                return error  # asked once, told of every run

        def expires(record: Record) -> bool:
            found = rules()
            if isinstance(found, StorageError):
                raise found
            if found is None or record.tier2 is None:
                return False
            # Whatever its age: the rule may have been stricter before, and days are the server's.
            entry = Entry(record.tier2.key, record.tier2.size, record.created)
            return any(
                event.action == "expire" for event in simulate(found.document.rules, [entry], found.root)
            )

        return expires

    def _state(self) -> State:
        # Tags last: a pin that was put while the records were read counts.
        return self.records(), read_tags(self.store)

    def _require(self) -> None:
        """Make sure that there is an archive and that it is of a format we know."""
        if self._checked:
            self._refuse_gone()
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
            if any(self.store.list(layout.RUNS)):
                raise IntegrityError(
                    f"{layout.ARCHIVE} at {self.store.url} is damaged: put it back from a copy of the archive, or"
                    ' write {"format": 1} into it'
                ) from None
            raise FormatError(
                f"{layout.ARCHIVE} at {self.store.url} is not archiver's: choose another URL"
            ) from None
        if type(version) is int and version > FORMAT:
            raise FormatError(
                f"the archive at {self.store.url} is of format {version}: upgrade archiver to use it"
            )
        if type(version) is not int or version < 1:
            raise IntegrityError(
                f"{layout.ARCHIVE} at {self.store.url} is damaged: its format is {version!r}"
            )
        self._checked = True

    def _refuse_gone(self) -> None:
        """Raise StorageError when an archive on a disk went while it was open: on a disk this costs next to nothing."""
        if self.store.local is not None and self.store.stat(layout.ARCHIVE) is None:
            raise StorageError(
                f"{self.store.url} was an archive and is none any more: {layout.ARCHIVE} is gone; restore it, or open the"
                " archive anew"
            )

    def _old_format(self) -> str:
        folder = self.store.local
        old = folder is not None and (folder / "all_strategies_metrics.json").exists()
        return "; to take over the JSON there, run `archiver import` into a new one" if old else ""
