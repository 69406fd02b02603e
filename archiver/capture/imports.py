"""Which local modules make up a strategy: those Python has loaded, those its source names. Nothing is run."""

from __future__ import annotations

import ast
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from archiver.capture.frames import Source, kind
from archiver.capture.project import TICK, within, working_folder

_COMPILED = (".so", ".pyd", ".pyc", ".dylib")
_looked_at: dict[str, object] = {}
_local: dict[str, str] = {}  # name of a loaded module of the user's -> its file


def compiled() -> list[Path]:
    """Return every loaded module of the user's that is no source, as `loaded` has seen them."""
    return [Path(file) for file in _local.values() if file.endswith(_COMPILED)]


def loaded() -> list[Source]:
    """Return every loaded module that is a source file of the user's.

    Only names that were not there the last time, or meant another module, are looked at.
    """
    for name, now in list(sys.modules.items()):
        if _looked_at.get(name, _looked_at) is now:
            continue
        _looked_at[name] = now
        _local.pop(name, None)
        file = _file_of(now)
        if file is not None and file.endswith((".py", ".pyw", *_COMPILED)) and kind(file) == "user":
            _local[name] = file
    found: dict[Path, Source] = {}
    for name, file in list(_local.items()):
        module = sys.modules.get(name)
        if module is None:
            _looked_at.pop(name, None)
            del _local[name]
        elif not file.endswith(_COMPILED):
            path = Path(file).absolute()
            found.setdefault(path, Source(path, module=module))
    return list(found.values())


def _file_of(module: ModuleType | None) -> str | None:
    # Through the dictionary: a module's own __getattr__ may import, or do anything at all.
    try:
        file = object.__getattribute__(module, "__dict__").get("__file__")
    except AttributeError:
        return None
    return file if isinstance(file, str) else None


class _Import(NamedTuple):
    level: int
    module: str
    names: tuple[str, ...]


_parsed: dict[str, tuple[_Import, ...]] = {}


def imports_of(data: bytes, sha256: str) -> tuple[_Import, ...]:
    """Return the import statements of a source, wherever in it they stand; none where it can't be parsed."""
    known = _parsed.get(sha256)
    if known is None:
        try:
            known = tuple(_statements(_parse(data)))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            known = ()
        _parsed[sha256] = known
    return known


_WORD = rb"\bimport\b"
_PLAIN = (
    rb"(?m)^[ \t]*((?:from[ \t]+[.\w]+[ \t]+import[ \t]*(?:\([^()#]*\)|[^\n\\;#(]+)|import[ \t]+[^\n\\;#(]+))"
    rb"[ \t\r]*(?:#.*)?$"
)
_TEXTS = (b'"""', b"'''")


def _parse(data: bytes) -> ast.Module:
    """Parse a source; where each `import` in it begins a line of code, these lines alone: that is ten times faster."""
    found = list(re.finditer(_PLAIN, data))
    plain = len(found) == len(re.findall(_WORD, data))
    # An odd number of quotes before: it stands in a text.
    plain = plain and not any(data.count(quotes, 0, one.start()) % 2 for one in found for quotes in _TEXTS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if plain:
            with suppress(SyntaxError):
                return ast.parse(b"\n".join(match[1] for match in found))
        return ast.parse(data)


def _statements(tree: ast.Module) -> Iterator[_Import]:
    # Imports are statements, so expressions (most of a tree) need no visit.
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _Import(0, alias.name, ())
        elif isinstance(node, ast.ImportFrom):
            yield _Import(node.level, node.module or "", tuple(alias.name for alias in node.names))
        else:
            for part in ("body", "orelse", "finalbody", "handlers", "cases"):
                inner = getattr(node, part, None)
                if isinstance(inner, list):
                    waiting.extend(inner)


Taken = tuple[bytes, str]
_reached: dict[tuple[object, ...], tuple[dict[Path, int], list[tuple[Path, str]]]] = {}


def reached(
    start: Iterable[tuple[Path, bytes, str]], root: Path, take: Callable[[Path], Taken | None]
) -> list[Path]:
    """Follow the import statements of the given sources to files below the root, and of these, and so on.

    `start` holds path, source and sha256; `take` returns source and sha256 of a path, or None where the file
    is not wanted. Returns the files found besides the given ones. While neither the sources nor the folders
    that were looked into change, nothing is looked for again.
    """
    waiting = list(start)
    key = (root, tuple((path, sha256) for path, _, sha256 in waiting), tuple(sys.path), len(sys.modules))
    known = _reached.get(key)
    if known is None or not _still(*known, take):
        exists = _Existing()
        found = [(path, sha256) for path, sha256 in _follow(waiting, root, take, exists)]
        _reached.clear()
        known = _reached[key] = exists.stamps, found
    return [path for path, _ in known[1]]


def _still(
    stamps: dict[Path, int], found: list[tuple[Path, str]], take: Callable[[Path], Taken | None]
) -> bool:
    if any(stamp != _stamp(folder) for folder, stamp in stamps.items()):
        return False
    return all((taken := take(path)) is not None and taken[1] == sha256 for path, sha256 in found)


def _follow(
    waiting: list[tuple[Path, bytes, str]],
    root: Path,
    take: Callable[[Path], Taken | None],
    exists: _Existing,
) -> Iterator[tuple[Path, str]]:
    known = {path for path, _, _ in waiting}
    folders = _import_roots(root, [path for path, _, _ in waiting])
    while waiting:
        path, data, sha256 = waiting.pop()
        for statement in imports_of(data, sha256):
            for target in _targets(statement, path, folders, exists):
                if target not in known:
                    known.add(target)
                    if (taken := take(target)) is not None:
                        waiting.append((target, *taken))
                        yield target, taken[1]


def _stamp(folder: Path) -> int:
    """Return what changes with a folder's names; -1 where there is none, -2 where a change would go unseen."""
    try:
        now = folder.stat().st_mtime_ns
    except OSError:
        return -1
    return now if time.time_ns() - now > TICK else -2


class _Existing:
    """Tells which files exist, looking into each folder once."""

    def __init__(self) -> None:
        self.stamps: dict[Path, int] = {}
        self._names: dict[Path, frozenset[str]] = {}

    def __call__(self, path: Path) -> bool:
        folder = path.parent
        if folder not in self._names:
            stamp = _stamp(folder)
            self.stamps[folder] = stamp if stamp != -2 else -3
            try:
                self._names[folder] = frozenset(os.listdir(folder))  # noqa: PTH208  # names are all we need
            except OSError:
                self._names[folder] = frozenset()
        return path.name in self._names[folder]


def _import_roots(root: Path, entries: list[Path]) -> list[Path]:
    """Return the folders below the root from which absolute imports can start in this process."""
    folders = _search_path()
    folders += [path.parent for path in entries]
    folders += [root, root / "src"]
    return [folder for folder in dict.fromkeys(folders) if within(root, folder)]


def _targets(statement: _Import, path: Path, folders: list[Path], exists: _Existing) -> Iterator[Path]:
    """Return the files that an import statement loads, the packages on the way among them."""
    parts = statement.module.split(".") if statement.module else []
    if statement.level:
        start = path.parent
        for _ in range(statement.level - 1):
            start = start.parent
        yield from _below(start, parts, statement.names, exists)
        return
    top = parts[0]
    standard = top in sys.stdlib_module_names
    starts = _before_stdlib(top, folders) if standard else [*_package_parents(top), *folders]
    for folder in starts:
        hits = list(_below(folder, parts, statement.names, exists))
        if hits:
            yield from hits
            return


def _before_stdlib(name: str, folders: list[Path]) -> list[Path]:
    """Return those of the folders in which Python, asked for such a name now, looks before its own library."""
    if name in sys.modules or name in sys.builtin_module_names:
        return []
    path = _search_path()
    stdlib = Path(os.__file__).parent
    before = path[: path.index(stdlib)] if stdlib in path else path
    return [folder for folder in folders if folder in before]


def _search_path() -> list[Path]:
    here = working_folder()
    return [here / entry for entry in sys.path if isinstance(entry, str)]


def _package_parents(top: str) -> list[Path]:
    """Return where a loaded package really lies: an editable install may map it to any folder."""
    path = getattr(sys.modules.get(top), "__dict__", {}).get("__path__", ())
    try:
        return [
            Path(entry).parent for entry in list(path) if isinstance(entry, str) and Path(entry).name == top
        ]
    except Exception:  # noqa: BLE001  # a namespace path computes itself, with the user's import hooks
        return []


def _below(folder: Path, parts: list[str], names: tuple[str, ...], exists: _Existing) -> Iterator[Path]:
    here = folder
    for at, part in enumerate(parts):
        module = here / f"{part}.py"
        package = exists(here / part)
        if at == len(parts) - 1 and exists(module) and not (package and exists(here / part / "__init__.py")):
            yield module
            return
        if not package:
            return
        here = here / part
        if exists(here / "__init__.py"):
            yield here / "__init__.py"
    if not parts and exists(here / "__init__.py"):
        yield here / "__init__.py"
    for name in names:
        if exists(here / f"{name}.py"):
            yield here / f"{name}.py"
        elif exists(here / name / "__init__.py"):
            yield here / name / "__init__.py"
