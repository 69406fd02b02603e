"""Where a bundle is: a name in the archive, a path, or a URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from archiver.base.address import is_local, scheme_of, shown_url
from archiver.base.run_id import is_run_id
from archiver.errors import ConfigError, IntegrityError, RunNotFoundError
from archiver.format import layout
from archiver.store import Store, open_store
from archiver.store.bundled import BundleStore, partition_query, split_bundle

SUFFIX = ".tar.zst"
_PATHS = ("/", "./", "../", "~")


class Place(NamedTuple):
    """A bundle's store and key, and the name by which it is found again."""

    store: Store
    key: str
    name: str

    @property
    def url(self) -> str:
        """Where it is, as shown to people."""
        return shown_url(f"{self.store.url}/{self.key}")

    def open(self) -> BundleStore:
        """Read the bundle as a store of its members."""
        return BundleStore(self.store, self.key)


def locate(
    home: Store,
    name: str,
    *,
    to: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Place:
    """Find where a bundle is or is to be. Nothing is read or written.

    Arguments:
        home: the archive's store, which has bundles of plain names under `bundles/`.
        name: a plain name, a path (begins with `/`, `./`, `../` or `~`, or ends with `.tar.zst`), or a URL.
        to: another folder or URL for a plain name; one that ends with `.tar.zst` is the bundle's own.
        storage_options: what the filesystem of another URL takes.

    Raises ConfigError for a name or URL that cannot work.
    """
    address = name.removeprefix("bundle::")
    if to is not None:
        address = to if to.endswith(SUFFIX) else f"{to.rstrip('/')}/{layout.quote(name)}{SUFFIX}"
    elif not (scheme_of(address) or address.startswith(_PATHS) or address.endswith(SUFFIX)):
        if "/" in name:
            raise ConfigError(f"{name!r} is no plain name: write ./{name}{SUFFIX} if a path is meant")
        return Place(home, layout.bundle_key(name), name)
    folder, file = split_bundle(_with_suffix(address))
    store = open_store(folder, storage_options=storage_options)
    shown = f"{store.local or Path.cwd()}/{file}" if is_local(address) else shown_url(address)
    return Place(store, file, shown)


def _with_suffix(address: str) -> str:
    path, mark, query = partition_query(address)
    return address if path.endswith(SUFFIX) else f"{path}{SUFFIX}{mark}{query}"


def run_ids(source: BundleStore, runs: Sequence[str] | None = None) -> list[str]:
    """Return whole ids of runs of a bundle, given the beginnings of some, or None for all.

    Raises RunNotFoundError, IntegrityError for a manifest that lists a run without its record.
    """
    manifest = source.manifest
    known = [str(run["id"]) for run in manifest.runs]
    if not all(is_run_id(run) and layout.record_key(run) in manifest.members for run in known):
        raise IntegrityError(f"{source.shown} is damaged: its manifest lists a run without a record")
    if runs is None:
        return known
    chosen = []
    for wanted in dict.fromkeys(runs):
        found = [run for run in known if wanted and run.startswith(wanted)]
        if len(found) != 1:
            what = f"{wanted!r} begins {len(found)} runs" if found else f"no run {wanted!r}"
            raise RunNotFoundError(f"{what} in {source.shown}: `archiver bundle ls` shows its runs")
        chosen += found
    return chosen
