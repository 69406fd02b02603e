"""Where a project begins, and what a file in it is called."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

TICK = 50_000_000
"""Nanoseconds in which a second change may leave the same time stamp."""

# A version-controlled tree is the project; else the nearest folder that says so.
_MARKERS = ((".git", ".hg"), ("pyproject.toml", "setup.py", "setup.cfg", "archiver.toml"), ("strategy.yaml",))


@lru_cache(maxsize=1024)
def marked_root(folder: Path) -> Path | None:
    """Find the folder, this one or one above, that is marked as a project's root; None where none is.

    The home folder and the file system's root are never a project: a stray marker there would mean "all".
    """
    parents = [parent for parent in (folder, *folder.parents) if not too_wide(parent)]
    for names in _MARKERS:
        for parent in parents:
            if any((parent / name).exists() for name in names):
                return parent
    return None


def import_root(file: Path, module: str | None = None) -> Path:
    """Return the folder from which a file's module is imported: above its packages.

    `module` is the dotted name it runs under, where known: namespace packages have no other mark.
    """
    folder = file.parent
    depth = module.count(".") + (file.stem == "__init__") if module else 0
    expected = (
        module.split(".")[:-1] if module and file.stem != "__init__" else module.split(".") if module else []
    )
    if depth and list(folder.parts[-depth:]) == expected:
        for _ in range(depth):
            folder = folder.parent
    while (folder / "__init__.py").exists() and folder.parent != folder:
        folder = folder.parent
    return folder


def few(names: Sequence[str], most: int = 3) -> str:
    """Return names as a warning shows them: the first ones, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def too_wide(folder: Path) -> bool:
    """Tell whether a folder holds more than one project by its nature."""
    return folder.parent == folder or folder == Path(os.environ.get("HOME") or os.sep)


def working_folder() -> Path:
    """Return the working folder; the file system's root where it has been deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path(os.sep)


def name_in(root: Path, path: Path) -> str | None:
    """Return the POSIX path of a file relative to the root, or None when the file is not inside.

    Symlinks count as where they lead to, so neither a link nor a `..` leaves the root.
    """
    try:
        real_root, real = root.resolve(), path.resolve()
    except (OSError, RuntimeError):  # Python before 3.13 raises RuntimeError for a loop of links
        return None
    if not real.is_relative_to(real_root):
        return None
    if ".." not in path.parts and path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return real.relative_to(real_root).as_posix()


@lru_cache(maxsize=4096)
def within(root: Path, path: Path) -> bool:
    """Tell whether a path leads into the root, as `name_in` does; remembered, so no judge of what is read."""
    return name_in(root, path) is not None
