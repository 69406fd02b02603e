"""`archive.json`: it says that there is an archive under a URL, and of which format."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime

from archiver.errors import (
    ArchiveNotFoundError,
    ConfigError,
    FormatError,
    IntegrityError,
    NotFoundError,
    StorageError,
)
from archiver.format import layout
from archiver.store import Store

FORMAT = 1
NEWEST = 2
"""The format that an archive is made in, and the newest that is read; `archiver.runs.format_number` raises it."""
_MOST_FACTS = 64 << 10
"""Bytes of archive.json that are read: it has about 120, and one that is longer is no JSON then."""


class Root:
    """The one object that every archive has."""

    def __init__(self, store: Store) -> None:
        """Take the store; it is read when first needed, once."""
        self._store = store
        self._checked = False

    def require(self) -> None:
        """Make sure that there is an archive of a format we know. Raises ArchiveNotFoundError, FormatError."""
        if self._checked:
            self._refuse_gone()
            return
        url = self._store.url
        try:
            data = self._store.get(layout.ARCHIVE, 0, _MOST_FACTS)
        except NotFoundError:
            raise ArchiveNotFoundError(
                f"no archive at {url}: check the URL, or save a run there first{self._old_format()}"
            ) from None
        try:
            version = json.loads(data)["format"]
        except (ValueError, KeyError, TypeError, RecursionError):
            if any(self._store.list(layout.RUNS)):
                raise IntegrityError(
                    f"{layout.ARCHIVE} at {url} is damaged: put it back from a copy of the archive, or"
                    ' write {"format": 1} into it'
                ) from None
            raise FormatError(f"{layout.ARCHIVE} at {url} is not archiver's: choose another URL") from None
        if type(version) is int and version > NEWEST:
            raise FormatError(f"the archive at {url} is of format {version}: upgrade archiver to use it")
        if type(version) is not int or version < 1:
            raise IntegrityError(f"{layout.ARCHIVE} at {url} is damaged: its format is {version!r}")
        self._checked = True

    def create(self, *, beside: bool = False) -> None:
        """Make the archive unless it is there.

        beside: also in a folder that holds something else, which is a FormatError otherwise.
        """
        try:
            self.require()
            return
        except ArchiveNotFoundError:
            if not beside:
                self._refuse_foreign_folder()
        facts = {"format": FORMAT, "id": secrets.token_hex(16), "created": datetime.now(UTC).isoformat()}
        try:
            self._store.put(layout.ARCHIVE, json.dumps(facts).encode(), create=True)
        except ConfigError:
            # Another process has just created the archive.
            self.require()
        self._checked = True

    def _refuse_gone(self) -> None:
        """Raise StorageError when an archive on a disk went while it was open: on a disk this costs next to nothing."""
        if self._store.local is not None and self._store.stat(layout.ARCHIVE) is None:
            raise StorageError(
                f"{self._store.url} was an archive and is none any more: {layout.ARCHIVE} is gone; restore it, or open"
                " the archive anew"
            )

    def _refuse_foreign_folder(self) -> None:
        folder = self._store.local
        if folder is None or not folder.is_dir():
            return
        own = {layout.ARCHIVE, *(area.rstrip("/") for area in layout.AREAS)}
        others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        if others and not own & set(others):
            raise FormatError(
                f"{self._store.url} is no archive and holds {others[0]!r}: choose an empty folder{self._old_format()}"
            )

    def _old_format(self) -> str:
        folder = self._store.local
        old = folder is not None and (folder / "all_strategies_metrics.json").exists()
        return "; to take over the JSON there, run `archiver import` into a new one" if old else ""
