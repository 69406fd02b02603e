"""Whether an archive is sound and how full it is, as an archive gives it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from archiver.archive.root import Root
from archiver.errors import AccessError
from archiver.store import Store

if TYPE_CHECKING:
    from archiver.archive.bucket_rules import Lifecycle
    from archiver.health.doctor import Finding, Role
    from archiver.health.usage import Space, Usage
    from archiver.health.verify import Report
    from archiver.query.tree import Index
    from archiver.retention.gc.versions import Kept


@dataclass(frozen=True)
class Health:
    """Verifies, measures, lists and tries."""

    store: Store
    root: Root
    lifecycle: Callable[[], Lifecycle]
    budget: int | None = None

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
        from archiver.health.verify import verify

        self.root.require()
        return verify(
            self.store,
            read_data=read_data,
            sample=sample,
            resume=None if resume is None else Path(resume),
            repair=repair,
            remember=remember,
            expires=self.lifecycle().expires(),
            step=step,
        )

    def du(self, *, runs: bool = False) -> Usage:
        """Measure what takes the space: by universe and tier, shared objects, trash, orphans.

        runs: measure each run, too. Returns the usage, in bytes and objects. Raises ArchiveNotFoundError.
        """
        from archiver.health.usage import du

        self.root.require()
        return du(self.store, runs=runs)

    def old_versions(self) -> Kept | None:
        """Count the old versions that a bucket keeps of what was replaced or deleted: `.objects`, `.bytes`.

        Returns None where the store keeps none, or does not say. Raises ArchiveNotFoundError, StorageError.
        """
        from archiver.retention.gc.versions import old_versions

        self.root.require()
        if not self.store.keeps_versions():
            return None
        try:
            return old_versions(self.store)
        except AccessError:
            return None

    def df(self) -> list[Space]:
        """Tell how full the disk of a local archive is, and how much of a configured budget is used.

        Returns one space for each of the two that there is. Raises ArchiveNotFoundError.
        """
        from archiver.health.usage import df

        self.root.require()
        return df(self.store, self.budget)

    def tree(self, prefix: str = "") -> Index:
        """List the objects below a prefix, for `archiver.query.tree.folder` to show as folders."""
        from archiver.query.tree import index_of

        return index_of(self.store, prefix)

    def doctor(self, role: Role | None = None, *, step: Callable[[], object] = lambda: None) -> list[Finding]:
        """Try the store with objects of its own, clean up, and say whether an archive can live there.

        Arguments:
            role: whose work these credentials are for: reader (nothing is written), writer or pruner; None: whatever
                they may do.
            step: called after each probe.

        Returns the findings: `.sound` of each says whether an archive can live with it.
        """
        from archiver.health.doctor import examine

        findings = []
        for finding in examine(self.store, role):
            findings.append(finding)
            step()
        return findings
