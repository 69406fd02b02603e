"""Patterns of file names, matched below one folder without following links."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from archiver.capture.project import TICK

_NEVER = frozenset(
    {".git", ".hg", ".svn", "__pycache__", "node_modules", "site-packages"}
    | {".ipynb_checkpoints", ".venv", ".tox", ".nox"}
)
_MOST = 50_000
"""Folder entries that one pattern may look at: a pattern that means a whole disk must not stop a backtest."""

Stamps = dict[str, int]
_found: dict[tuple[str, str], tuple[Stamps, list[Path], str | None]] = {}


def is_pattern(text: str) -> bool:
    """Tell whether the text is a pattern rather than a plain path."""
    return any(char in text for char in "*?[")


def plain_part(text: str) -> str:
    """Return the leading folders of a pattern that are plain names; all of it where it is none."""
    parts = PurePosixPath(text).parts
    plain = next((at for at, part in enumerate(parts) if is_pattern(part)), len(parts))
    return str(PurePosixPath(*parts[:plain]))


def split(folder: Path, pattern: str) -> tuple[Path, str]:
    """Return where the search for a pattern starts, and the pattern from there: an absolute one has its own start."""
    if not PurePosixPath(pattern).is_absolute():
        return folder, pattern
    start = PurePosixPath(plain_part(pattern))
    return Path(start), str(PurePosixPath(pattern).relative_to(start))


def matches(name: str, pattern: str) -> bool:
    """Tell whether a relative POSIX path matches a pattern; one that names a folder matches all below it."""
    parts, wanted = PurePosixPath(name).parts, PurePosixPath(pattern).parts
    return _fit(parts, wanted) or _fit(parts, (*wanted, "**"))


def _fit(parts: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    if not wanted:
        return not parts
    if wanted[0] == "**":
        return any(_fit(parts[skip:], wanted[1:]) for skip in range(len(parts) + 1)) if wanted[1:] else True
    return bool(parts) and fnmatchcase(parts[0], wanted[0]) and _fit(parts[1:], wanted[1:])


def find(folder: Path, pattern: str) -> tuple[list[Path], str | None]:
    """Find the files that match a pattern of `*`, `?`, `[...]` and `**` (folders of any depth).

    Hidden names match only a pattern that starts with a dot itself; links to folders are not followed.
    Returns the files, sorted, and a warning where the search was cut short. Folders that have not changed
    since are not searched again.
    """
    key = str(folder), pattern
    known = _found.get(key)
    if known is not None and _unchanged(known[0]):
        return known[1], known[2]
    stamps: Stamps = {}
    hits: list[Path] = []
    warning = None
    try:
        hits.extend(map(Path, _search(str(folder), PurePosixPath(pattern).parts, _Entries(stamps))))
    except _TooManyError:
        warning = f"{pattern} was given up after {_MOST:,} folder entries: use a narrower pattern"
    hits = sorted(set(hits))
    _found[key] = stamps, hits, warning
    return hits, warning


class _TooManyError(Exception):
    pass


def _unchanged(stamps: Stamps) -> bool:
    try:
        return all(Path(folder).stat().st_mtime_ns == at for folder, at in stamps.items())
    except OSError:
        return False


def _search(folder: str, parts: tuple[str, ...], entries: _Entries) -> Iterator[str]:
    first, rest = parts[0], parts[1:]
    if first == "..":
        if rest:
            yield from _search(f"{folder}/..", rest, entries)
        return
    if first == "**" and rest:
        yield from _search(folder, rest, entries)
    for entry in entries(folder):
        hidden = entry.name.startswith(".") and not first.startswith(".")
        if hidden or entry.name in _NEVER:
            continue
        deep = entry.is_dir(follow_symlinks=False)
        if first == "**":
            if deep and not _is_no_code(entry.path):
                yield from _search(entry.path, parts, entries)
            elif not deep and not rest:
                yield entry.path
        elif fnmatchcase(entry.name, first):
            if deep and rest and not _is_archive(entry.path):
                yield from _search(entry.path, rest, entries)
            elif not deep and not rest:
                yield entry.path


class _Entries:
    """Lists folders, each once, and notes in which state it saw them."""

    def __init__(self, stamps: Stamps) -> None:
        self._stamps = stamps
        self._left = _MOST
        self._known: dict[str, list[os.DirEntry[str]]] = {}

    def __call__(self, folder: str) -> list[os.DirEntry[str]]:
        if folder not in self._known:
            self._known[folder] = self._list(folder)
        return self._known[folder]

    def _list(self, folder: str) -> list[os.DirEntry[str]]:
        self._stamps[folder] = -1  # never the state of a folder: what could not be read is looked at again
        try:
            now = Path(folder).stat().st_mtime_ns
            if time.time_ns() - now > TICK:
                self._stamps[folder] = now
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            return []
        self._left -= len(found)
        if self._left < 0:
            raise _TooManyError
        return found


def _is_no_code(folder: str) -> bool:
    return Path(folder, "pyvenv.cfg").exists() or _is_archive(folder)


def _is_archive(folder: str) -> bool:
    # Runs that are code would be stored again with each run, and those with the next.
    return Path(folder, "archive.json").exists() and Path(folder, "runs").is_dir()
