"""The rules that an archive's bucket carries out by itself, as `archive.lifecycle` gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from archiver.archive.configured import Configured
from archiver.errors import ArchiverError, ConfigError, PolicyError, StorageError
from archiver.format.model import Record
from archiver.store import Store
from archiver.store.entry import Entry

if TYPE_CHECKING:
    from archiver.archive.listing import Listing
    from archiver.retention.bucket_rules import Event, Rule
    from archiver.retention.bucket_rules.lifecycle import BucketRules, RulesPlan
    from archiver.retention.policy import Policy
    from archiver.transfer.bundle import Bundles

_NOTHING: dict[str, Any] = {"tier2": (), "bundles": (), "abort_uploads": "never", "old_versions": "never"}


class Lifecycle:
    """Shows, plans, writes and removes the rules; those that are not archiver's are never changed."""

    def __init__(self, store: Store, listing: Listing, bundles: Bundles, configured: Configured) -> None:
        """Take the parts of an archive."""
        self._store, self._listing, self._bundles = store, listing, bundles
        self._configured = configured

    @property
    def url(self) -> str:
        """Where the archive is."""
        return self._store.url

    def show(self) -> BucketRules:
        """Return the bucket's rules: `.document.rules`, whose they are, and `.warnings` of those that would harm.

        Raises ConfigError where the store has no such rules.
        """
        from archiver.retention.bucket_rules import lifecycle

        rules = lifecycle.read(self._store)
        at_risk = lifecycle.pins_at_risk(rules, *self._listing.state())
        return replace(rules, warnings=(*rules.warnings, *at_risk))

    def plan(self, policies: Sequence[Policy] | None = None, **wishes: Any) -> RulesPlan:
        """Plan the rules that policies and wishes ask for; nothing is written.

        Arguments:
            policies: by which details expire; None: the configured ones; none of them: no details expire.
            wishes: as in the configuration's [lifecycle], whose values they go before: `tier2` and `bundles` (moves,
                `"GLACIER_IR:30d"`), `abort_uploads`, `old_versions` (an age, or `never`), `min_size`, `prices`.

        Raises PolicyError for rules that must not be, ConfigError where the store has no such rules.
        """
        from archiver.retention.bucket_rules import lifecycle

        if policies is None:
            policies = self._configured.policies(self._store.url)
        wanted = self._configured.wishes().changed(**wishes)
        if self._store.bucket_api() is None:
            return lifecycle.plan(self._store, (), {}, policies, wanted)  # says that there is no bucket
        left_out: list[str] = []
        bundled = partial(self._bundled, left_out)
        try:
            plan = lifecycle.plan(self._store, *self._listing.state(), policies, wanted, bundled)
        except PolicyError as error:
            raise PolicyError("; ".join([str(error), *left_out])) from None
        return replace(plan, warnings=(*plan.warnings, *left_out))

    def apply(self, plan: RulesPlan) -> RulesPlan | None:
        """Write the rules of a plan, and read them again. Returns what was written, None where nothing was to do.

        Raises PolicyError when the rules have changed since the plan; StorageError when the server does not keep
        what it was sent: then the former rules are back.
        """
        from archiver.retention.bucket_rules import lifecycle

        return lifecycle.apply(self._store, plan)

    def remove(self) -> RulesPlan | None:
        """Take all rules that archiver made for this archive out of the bucket. Returns and raises as `apply`."""
        return self.apply(self.plan((), **_NOTHING))

    def simulate(self, plan: RulesPlan | None = None, days: int | None = None) -> list[Event]:
        """Return which object meets which rule on which day, in order.

        plan: by the rules that it would leave; None: by those that are there. days: only the next so many.
        """
        from archiver.retention.bucket_rules import lifecycle

        before = lifecycle.read(self._store) if plan is None else plan.before
        rules: Iterable[Rule] = before.document.rules
        if plan is not None:
            rules = (*plan.change.wanted, *plan.change.others)
        last = None if days is None else datetime.now(UTC).date() + timedelta(days=days)
        events = lifecycle.simulate(self._store, before, rules)
        return sorted(event for event in events if last is None or event.day <= last)

    def expires(self) -> Callable[[Record], bool]:
        """Return what tells whether a rule of the bucket removes a run's details; it asks the bucket when first used."""
        from archiver.retention.bucket_rules import lifecycle, simulate

        @cache
        def rules() -> BucketRules | StorageError | None:
            try:
                return lifecycle.read(self._store)
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
            events = simulate(found.document.rules, [entry], found.root)
            return any(event.action == "expire" for event in events)

        return expires

    def _bundled(self, left_out: list[str]) -> dict[str, str]:
        """Tell which runs lie with their details in which of the archive's bundles, and which bundle does not count."""
        found: dict[str, str] = {}
        for name in self._bundles.names():
            try:
                runs = self._bundles.open(name).manifest.runs
            except ArchiverError as error:
                left_out.append(f"bundle {name} cannot be read and does not count: {error}")
                continue
            found.update({run["id"]: f"bundle {name}" for run in runs if run["detailed"]})
        return found
