"""What comes and goes, as an archive gives it: copies, bundles, imports and exports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archiver.archive.listing import Listing
from archiver.archive.root import Root
from archiver.base.unread import Errors
from archiver.format.model import Record
from archiver.retention import MOST
from archiver.runs.read import Reader
from archiver.runs.tags import checked_tags
from archiver.runs.write import Draft
from archiver.store import Store

if TYPE_CHECKING:
    from archiver.archive import Archive
    from archiver.interop.export_to import Exported, Output
    from archiver.interop.importing import Report
    from archiver.transfer.bundle import Bundle, Bundles
    from archiver.transfer.copy import Extras
    from archiver.transfer.runs import Moved

Step = Callable[[float], None]
_IN_SILENCE: Step = lambda _amount: None  # noqa: E731 - a default that does nothing


class Transfer:
    """Moves runs between archives, bundles and the formats of others."""

    def __init__(
        self,
        store: Store,
        root: Root,
        listing: Listing,
        reader: Reader,
        bundles: Bundles,
        add: Callable[[Draft, Iterable[str]], Record],
    ) -> None:
        """Take the parts of an archive, and what adds a run to it."""
        self._store, self._root, self._listing, self._reader = store, root, listing, reader
        self._bundles, self._add = bundles, add

    def copy_to(
        self,
        target: Archive,
        runs: Iterable[str] | None = None,
        *,
        step: Step | None = None,
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

        chosen = self._listing.ids() if runs is None else [self._listing.run_id(run) for run in runs]
        self._root.require()
        target.create()
        return transfer(self._store, target.store, chosen, step=step or _IN_SILENCE)

    def bundle(
        self,
        runs: Iterable[str],
        name: str,
        *,
        to: str | None = None,
        level: int = -1,
        storage_class: str | None = None,
        retain: str | None = None,
        legal_hold: bool = False,
        verify: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        step: Step | None = None,
    ) -> Bundle:
        """Write runs and all that they need as one tar.zst, by default to `bundles/<name>.tar.zst`.

        Arguments:
            runs: ids, or the beginnings of some; the same runs give the same bytes.
            name: a plain name, a path or a URL.
            to: another folder or URL for a plain name.
            level: of zstd, -7 to 22; what goes in is compressed already.
            storage_class: of S3, such as GLACIER.
            retain: keep it from being deleted for so long, as in `7y`, by the bucket's Object Lock.
            legal_hold: keep it from being deleted until somebody takes the hold off.
            verify: read it back and compare every byte, before it is frozen.
            storage_options: what the filesystem of another URL takes; default: this archive's own, where they fit.
            step: told the bytes of each object that is packed, and of those that are read back.

        Returns the bundle: `.name`, `.url`, `.runs`, `.objects`, `.bytes`, `.sha256`. Raises RunNotFoundError,
        IntegrityError for damage (then there is no bundle), ConfigError where another bundle has the name, or where
        nothing can be retained.
        """
        self._root.require()
        ids = [self._listing.run_id(run) for run in ((runs,) if isinstance(runs, str) else runs)]
        return self._bundles.create(
            ids,
            name,
            to=to,
            level=level,
            storage_class=storage_class,
            retain=retain,
            legal_hold=legal_hold,
            verify=verify,
            storage_options=storage_options,
            step=step or _IN_SILENCE,
        )

    def export(
        self,
        output: Output,
        format: str | None = None,  # noqa: A002 - as the command calls it
        *,
        universe: str | None = None,
        run: str | None = None,
        history: bool = False,
        safe_csv: bool = False,
        newest: str = "strategy",
        errors: Errors = "raise",
        step: Callable[[], None] = lambda: None,
    ) -> Exported:
        """Write the metrics of all strategies, or everything in the old tiered layout; the same gives the same bytes.

        Arguments:
            output: a file, its URL, or a binary stream; for tiered-json a folder or its URL.
            format: json, csv, jsonl, parquet or tiered-json; None: what the file's suffix says, else json.
            universe, run: only these.
            history: every run's rows, not only the newest of each strategy.
            safe_csv: put a `'` before text that a spreadsheet would take for a formula.
            newest, errors: as `load_metrics` takes them.
            step: called after each file.

        Returns what was written. Raises NotFoundError where there is nothing to write, ConfigError.
        """
        from archiver.interop.export_to import export, format_of

        return export(
            self._reader.telling(errors),
            self._listing.chosen(universe, run, errors),
            output,
            format_of(format, output),
            newest=newest,
            history=history,
            safe_csv=safe_csv,
            step=step,
        )

    def import_from(
        self,
        path: str | os.PathLike[str],
        *,
        tags: Iterable[str] = (),
        top_n: int = 50,
        step: Step | None = None,
    ) -> Report:
        """Import results from an old format, as runs; the files stay as they are, and each is imported once.

        Arguments:
            path: a folder, a file, or the same at a URL.
            tags: labels of the runs.
            top_n: details to keep of a universe, where its file has those of all strategies.
            step: told bytes as they are done.

        Returns what was imported, present, skipped and damaged. Raises ConfigError where nothing is to import.
        """
        from archiver.interop.importing import import_into

        labels = checked_tags(tags)
        return import_into(self._store, path, lambda draft: self._add(draft, labels), top_n=top_n, step=step)

    def extras(self, source: Archive, runs: Sequence[str] | None = None) -> Extras:
        """Plan that runs which only this archive has, and not the source, go to its trash; nothing is changed.

        runs: whole ids of those that may go; None: all. Returns the plan. Raises PolicyError for a source without runs.
        """
        from archiver.transfer.copy import plan_extras

        return plan_extras(source.store, self._store, self._listing.ids() if runs is None else runs)

    def apply_extras(
        self, source: Archive, plan: Extras, *, max_remove: float = MOST, step: Step = _IN_SILENCE
    ) -> list[str]:
        """Move the planned runs to this archive's trash, from where `undelete` brings them back until gc.

        max_remove: which part of all runs may go, 0 to 1. Returns their ids. Raises PolicyError for a stale plan, or
        one that removes too much.
        """
        from archiver.transfer.copy import apply_extras

        return apply_extras(source.store, self._store, plan, max_remove=max_remove, step=step)
