"""The bundles of an archive, as `archive.bundles` gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from archiver.base.address import scheme_of
from archiver.errors import ConfigError
from archiver.format.layout import BUNDLES, parse
from archiver.retention.bucket_rules.build import days_of
from archiver.runs.removal import remove
from archiver.store import Store
from archiver.store.bundled import BundleStore
from archiver.store.contract import TEMPORARY
from archiver.store.s3.cold import change_class, is_frozen, keep_in_class, of_class
from archiver.store.s3.locks import ObjectLocks
from archiver.transfer.bundle.check import Checked, verify, verify_sound
from archiver.transfer.bundle.create import LEVEL, Bundle, create
from archiver.transfer.bundle.place import Place, locate, run_ids
from archiver.transfer.bundle.remove import Removal, apply_removal, plan_removal
from archiver.transfer.bundle.thaw import DAYS, require_warm
from archiver.transfer.runs import Moved, Step, transfer

_A_DAY = timedelta(days=1)
_IN_SILENCE: Step = lambda _bytes: None  # noqa: E731 - a default that does nothing


class Bundles:
    """Makes, verifies and restores bundles. A bundle is named by a plain name, a path or a URL."""

    def __init__(
        self, store: Store, storage_options: Mapping[str, Any] | None = None, *, make: Callable[[], None]
    ) -> None:
        """Take an archive's store, the options it was opened with, and what makes the archive where there is none."""
        self._store = store
        self._options = dict(storage_options or {})
        self._make = make

    def names(self) -> list[str]:
        """Return the plain names of the bundles under `bundles/`."""
        keys = (parse(entry.key) for entry in self._store.list(BUNDLES))
        return [key.name for key in keys if key is not None]

    def create(
        self,
        runs: Sequence[str],
        name: str,
        *,
        to: str | None = None,
        level: int = LEVEL,
        storage_class: str | None = None,
        retain: str | None = None,
        legal_hold: bool = False,
        verify: bool = False,
        settle: bool = True,
        storage_options: Mapping[str, Any] | None = None,
        step: Step = _IN_SILENCE,
    ) -> Bundle:
        """Write runs, given by their whole ids, as a bundle. See `Archive.bundle`.

        settle: False leaves what would be frozen readable and free, until `apply_removal` has read it back.
        """
        place = self.place(name, to=to, storage_options=storage_options)
        if retain or legal_hold:
            _check_hold(place, retain)
        # What is to be read back must not be frozen before that.
        frozen = storage_class is not None and is_frozen(storage_class)
        late = storage_class if frozen and (verify or not settle) else None
        at_once = None if late else storage_class
        if at_once is not None:
            place = place._replace(store=of_class(place.store, at_once))
        if place.store is not self._store and place.store.local is not None:
            _clear(place.store, place.store.local)
        made = create(self._store, runs, place, level=level, step=step)
        if at_once is not None and made.sha256 is None:
            keep_in_class(place.store, place.key, at_once)
        if made.objects is None:  # it is frozen, so nothing of it can be read
            late = None
        elif verify:
            verify_sound(place, step=step)
        if settle or late is None:
            _settle(place, late, retain, legal_hold=legal_hold)
        return made

    def hold(
        self,
        name: str,
        retain: str | None = None,
        *,
        legal_hold: bool = False,
        to: str | None = None,
        check: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep a bundle in a bucket with Object Lock from being deleted.

        Arguments:
            name: a plain name, a path or a URL; to: as `create` takes it.
            retain: for so long from now, as in `7y`; a longer retention stays. In governance mode: who has the right to may
                end it earlier.
            legal_hold: until somebody takes the hold off.
            check: only make sure that it can be done.

        Raises ConfigError where the place has no Object Lock, PolicyError for a text that is no duration.
        """
        place = self.place(name, to=to, storage_options=storage_options)
        if check:
            _check_hold(place, retain)
        else:
            _hold(place, retain, legal_hold=legal_hold)

    def move_to_class(
        self, name: str, storage_class: str, *, storage_options: Mapping[str, Any] | None = None
    ) -> None:
        """Move a bundle to another storage class of S3, in place: to a cold one after it was verified, say."""
        place = self.place(name, storage_options=storage_options)
        change_class(place.store, place.key, storage_class)

    def open(self, name: str, *, storage_options: Mapping[str, Any] | None = None) -> BundleStore:
        """Return a bundle as a read-only store; `.manifest` says what is in it."""
        return self.place(name, storage_options=storage_options).open()

    def verify(
        self, name: str, *, storage_options: Mapping[str, Any] | None = None, step: Step = _IN_SILENCE
    ) -> Checked:
        """Read a whole bundle and compare every byte; `.ok` of what it returns says whether all is well."""
        return verify(self.place(name, storage_options=storage_options), step=step)

    def restore(
        self,
        name: str,
        runs: Sequence[str] | None = None,
        *,
        wait: bool = False,
        tier: str = "standard",
        days: int = DAYS,
        home: Bundles | None = None,
        storage_options: Mapping[str, Any] | None = None,
        step: Step = _IN_SILENCE,
        say: Callable[[str], None] = lambda _text: None,
    ) -> Moved:
        """Bring runs of a bundle into this archive, which is made where there is none; repeat it as you like.

        Arguments:
            name: a plain name, a path or a URL.
            runs: ids, or the beginnings of some; None for all.
            wait: where the bundle is in cold storage, wait until it is thawed.
            tier: of the thaw: expedited, standard or bulk.
            days: how long the thawed copy stays.
            home: bundles of the archive that a plain name belongs to, if not this one.
            storage_options: what the filesystem of the bundle's URL takes.
            step: told the bytes of each object that is done.
            say: told when a thaw is due and what it costs.

        Raises NotFoundError, IntegrityError for damage or for other data in the place of what would be restored,
        StorageError for a bundle that is not thawed.
        """
        place = (home or self).place(name, storage_options=storage_options)
        require_warm(place, wait=wait, tier=tier, days=days, say=say)
        source = place.open()
        chosen = run_ids(source, runs)  # what is no bundle must not make an archive
        self._make()
        return transfer(source, self._store, chosen, restore=True, step=step)

    def plan_removal(self, name: str, *, storage_options: Mapping[str, Any] | None = None) -> Removal:
        """Plan that the details of a bundle's runs go from this archive; nothing is changed."""
        return plan_removal(self._store, self.place(name, storage_options=storage_options))

    def apply_removal(
        self,
        plan: Removal,
        *,
        storage_class: str | None = None,
        retain: str | None = None,
        legal_hold: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        step: Step = _IN_SILENCE,
    ) -> tuple[str, ...]:
        """Verify the bundle, then replace the records of the planned runs by such as name the bundle.

        Arguments:
            plan: what `plan_removal` returned.
            storage_class: move the bundle there afterwards, to one that nobody can read at once, say.
            retain, legal_hold: as `hold` takes them, for the bundle where it is then.
            storage_options: what the filesystem of the bundle's URL takes.
            step: told of each run that is done.

        Returns the ids of those runs. Raises IntegrityError for a damaged bundle, PolicyError for a stale plan.
        """
        place = self.place(plan.bundle, storage_options=storage_options)
        removed = apply_removal(self._store, place, plan, step=step)
        _settle(place, storage_class, retain, legal_hold=legal_hold)
        return removed

    def place(
        self, name: str, *, to: str | None = None, storage_options: Mapping[str, Any] | None = None
    ) -> Place:
        """Find where a bundle is or is to be."""
        options = storage_options
        if options is None:
            options = self._options_for((to or name).removeprefix("bundle::"))
        return locate(self._store, name, to=to, storage_options=options)

    def _options_for(self, address: str) -> Mapping[str, Any]:
        """Return this archive's own options for a place of the same kind, else the configured ones."""
        scheme = scheme_of(address)
        if scheme in ("", "file", "local"):
            return {}
        if scheme == scheme_of(self._store.url.removeprefix("bundle::")):
            return self._options
        from archiver.config.settings import load_settings

        return load_settings(url=address).storage_options


def _locks(place: Place) -> ObjectLocks:
    locks = place.store.object_locks()
    if locks is None:
        raise ConfigError(f"{place.url} is in no bucket of S3: nothing there can be retained or held")
    return locks


def _check_hold(place: Place, retain: str | None) -> None:
    if retain is not None:
        days_of(retain)
    _locks(place).require()


def _hold(place: Place, retain: str | None, *, legal_hold: bool) -> None:
    until = None if retain is None else datetime.now(UTC) + timedelta(days=days_of(retain))
    _locks(place).hold(place.key, until=until, legal_hold=legal_hold)


def _settle(place: Place, storage_class: str | None, retain: str | None, *, legal_hold: bool) -> None:
    """Move a bundle to its class, then hold it: what was moved is another version, without the locks of the first."""
    if storage_class is not None:
        change_class(place.store, place.key, storage_class)
    if retain or legal_hold:
        _hold(place, retain, legal_hold=legal_hold)


def _clear(store: Store, folder: Path) -> None:
    """Remove what a create that was killed left in a folder, to which no `gc` comes; a day ago nothing wrote to it."""
    for path in folder.glob(f"{TEMPORARY}*"):
        with suppress(FileNotFoundError):
            if datetime.fromtimestamp(path.stat().st_mtime, UTC) < store.now() - _A_DAY:
                remove(store, [path.name], leftovers=True)
