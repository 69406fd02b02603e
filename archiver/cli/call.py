"""One call of the command line: the global options, the archive they name, and where output goes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import typer

from archiver.base.humanize import printable
from archiver.cli.output import put, put_json, tell

if TYPE_CHECKING:
    from archiver.archive import Archive
    from archiver.base.unread import Unread

_MOST_NAMED = 10


class Step(Protocol):
    """Tell a progress bar that so many units are done."""

    def __call__(self, amount: float = 1, /) -> None: ...  # noqa: D102  # the class says it


@dataclass(frozen=True)
class Call:
    """The global options of one call."""

    url: str | None = None
    json: bool = False
    _left_out: list[Unread] = field(default_factory=list)

    def unread(self, unread: Unread) -> None:
        """Name what cannot be read and is left out (`errors=call.unread`); `end` gives the exit code for it."""
        if (unread.run, str(unread.error)) in {
            (one.run, str(one.error)) for one in self._left_out[:_MOST_NAMED]
        }:
            return  # a command may read the same things twice
        self._left_out.append(unread)
        if len(self._left_out) <= _MOST_NAMED:
            self.say(f"archiver: left out: {unread.error}")

    def end(self) -> int:
        """Say how much could not be read, and return the exit code of that: 0 where all was."""
        if not self._left_out:
            return 0
        more = len(self._left_out) - _MOST_NAMED
        if more > 0:
            self.say(f"archiver: left out: {more:,} more that cannot be read")
        return self._left_out[0].error.exit_code

    @staticmethod
    def of(ctx: typer.Context) -> Call:
        """Return the call that a command's context belongs to."""
        call = ctx.find_root().obj
        return call if isinstance(call, Call) else Call()

    def archive(self) -> Archive:
        """Open the archive that `--url` or the configuration names."""
        import archiver

        return archiver.open(self.url)

    def require_universe(self, archive: Archive, universe: str | None) -> None:
        """Refuse a universe that is not there: more likely misspelt than a wish for nothing. Raises NotFoundError."""
        if universe is None:
            return
        from archiver.base.suggest import did_you_mean
        from archiver.errors import NotFoundError

        known = archive.universes(self.unread)
        if universe not in known:
            meant = did_you_mean(universe, known, ": `archiver ls` shows those there are")
            raise NotFoundError(f"no universe {universe!r} in {archive.store.url}{meant}")

    def say_locks(self, archive: Archive) -> None:
        """Say what the bucket's locks keep from being freed, before anything is removed."""
        locks = archive.store.object_locks()
        text = None if locks is None else locks.notice()
        if text is not None:
            self.say(text)

    def say(self, text: str) -> None:
        """Talk to the user: one line on standard error."""
        tell(text)

    def print(self, text: str) -> None:
        """Write one line of data to standard output."""
        put(text)

    def print_json(self, document: Any) -> None:
        """Write the one JSON document of `--json`; NaN and infinities, which JSON lacks, are null."""
        put_json(document)

    @contextmanager
    def progress(self, title: str, total: float | None = None, *, unit: str = "") -> Iterator[Step]:
        """Show a progress bar on standard error while a terminal watches; yields `step(amount=1)`.

        `total` is in the units that `step` counts, None where it is not known; `unit="bytes"` shows sizes.
        """
        if not sys.stderr.isatty():
            yield lambda _amount=1: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        count = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
        bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            count,
            Remaining(),
            console=Console(stderr=True),
            transient=True,
        )
        with bar:
            task = bar.add_task(printable(title), total=total)
            yield lambda amount=1: bar.advance(task, amount)
