"""Patterns of file names, matched below one folder without following links."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

_NEVER = frozenset(
    {".git", ".hg", ".svn", "__pycache__", "node_modules", "site-packages"}
    | {".ipynb_checkpoints", ".venv", ".tox", ".nox"}
)
_MOST = 50_000
"""Folder entries that one pattern may look at: a pattern that means a whole disk must not stop a backtest."""
_TICK = 50_000_000
"""Nanoseconds in which a second change may leave the same time stamp."""

Stamps = dict[str, int]
_found: dict[tuple[str, str], tuple[Stamps, list[Path], str | None]] = {}


def is_pattern(text: str) -> bool:
    """Tell whether the text is a pattern rather than a plain path."""
    return any(char in text for char in "*?[")


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
        hits.extend(map(Path, _search(str(folder), PurePosixPath(pattern).parts, stamps, [_MOST])))
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


def _search(folder: str, parts: tuple[str, ...], stamps: Stamps, left: list[int]) -> Iterator[str]:
    first, rest = parts[0], parts[1:]
    if first == "..":
        if rest:
            yield from _search(f"{folder}/..", rest, stamps, left)
        return
    if first == "**" and rest:
        yield from _search(folder, rest, stamps, left)
    for entry in _entries(folder, stamps, left):
        hidden = entry.name.startswith(".") and not first.startswith(".")
        if hidden or entry.name in _NEVER:
            continue
        deep = entry.is_dir(follow_symlinks=False)
        if first == "**":
            if deep and not _is_environment(entry.path):
                yield from _search(entry.path, parts, stamps, left)
            elif not deep and not rest:
                yield entry.path
        elif fnmatchcase(entry.name, first):
            if deep and rest:
                yield from _search(entry.path, rest, stamps, left)
            elif not deep and not rest:
                yield entry.path


def _entries(folder: str, stamps: Stamps, left: list[int]) -> list[os.DirEntry[str]]:
    stamps[folder] = -1  # never the state of a folder: what could not be read is looked at again
    try:
        now = Path(folder).stat().st_mtime_ns
        if time.time_ns() - now > _TICK:
            stamps[folder] = now
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError:
        return []
    left[0] -= len(found)
    if left[0] < 0:
        raise _TooManyError
    return sorted(found, key=lambda entry: entry.name)


def _is_environment(folder: str) -> bool:
    return Path(folder, "pyvenv.cfg").exists()
