"""Reading what is captured: regular files only, within limits, once for each state of a file."""

from __future__ import annotations

import hashlib
import marshal
import os
import stat
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import NamedTuple

from archiver.base.script import SCRIPT
from archiver.capture.frames import Source, main_module
from archiver.capture.literals import other_value
from archiver.capture.notebook import cell_texts
from archiver.capture.project import TICK, name_in
from archiver.capture.secrets import credential, secret_name
from archiver.format.model import CodeFile

FILE_LIMIT = 4 * 2**20
"""Bytes that one captured file may have."""


class Kept(NamedTuple):
    """A file as captured, or why it was not; `note` says what a reader of the record must know."""

    file: CodeFile | None
    data: bytes = b""
    refused: str | None = None
    note: str | None = None
    unwanted: bool = False
    """Refused for what it is: a pattern that also matches such a file has not failed."""


class _Seen(NamedTuple):
    state: tuple[int, ...]
    module: object
    kept: Kept


_seen: dict[tuple[str, str, bool], _Seen] = {}


def take(source: Source, root: Path) -> Kept:
    """Capture one file below the root, reading it only when it changed since it was last read."""
    path = source.path
    key = (str(path), str(root), source.named)
    loaded = getattr(source.module, "__spec__", None) or source.module
    seen = _seen.get(key)
    try:
        now = path.stat()
    except FileNotFoundError:
        return _gone(source, root, seen, "was deleted after Python loaded it")
    except NotADirectoryError:
        return _gone(source, root, seen, "lies in an archive")
    except OSError as error:  # a loop of links, no permission for the folder
        return Kept(None, refused=f"{_shown(path, root)}: {error.strerror}")
    state = (now.st_mtime_ns, now.st_size, now.st_ino, now.st_dev, now.st_mode)
    if seen is not None and seen.state == state and seen.module is loaded:
        return seen.kept
    kept = _judge(source, root, now)
    if kept.file is not None:
        before = seen.kept if seen and loaded and seen.module is loaded else None
        kept = _as_loaded(source, kept, kept.file, now, before)
    # A second change within one tick of the clock leaves the same time stamp: such a file is read again.
    settled = time.time_ns() - now.st_mtime_ns > TICK
    _seen[key] = _Seen(state if settled else (), loaded, kept)
    return kept


def text(name: str, data: bytes, executable: bool = False) -> CodeFile:
    """Describe bytes as a captured file."""
    return CodeFile(name, len(data), hashlib.sha256(data).hexdigest(), executable)


def _shown(path: Path, root: Path) -> str:
    """Return a path as a record can hold it: relative if possible, printable in any case."""
    shown = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    return os.fsencode(shown).decode("utf-8", "backslashreplace")


def _judge(source: Source, root: Path, now: os.stat_result) -> Kept:
    name = name_in(root, source.path)
    shown = _shown(source.path, root)
    if name is None:
        return Kept(None, refused=f"{shown} is outside of the project", unwanted=True)
    try:
        name.encode()
    except UnicodeEncodeError:
        return Kept(None, refused=f"{shown}: its name is not UTF-8")
    if not source.named and _secret_name(source.path, root, name):
        return Kept(
            None,
            refused=f"{name} holds secrets by its name: list it in strategy.yaml if it must be kept",
            unwanted=True,
        )
    if not stat.S_ISREG(now.st_mode):
        return Kept(None, refused=f"{name} is not a regular file", unwanted=True)
    if now.st_size > FILE_LIMIT:
        return Kept(
            None, refused=f"{name} has {now.st_size:,} bytes, more than the {FILE_LIMIT:,} a file may have"
        )
    try:
        data = _read(source.path)
    except OSError as error:
        return Kept(None, refused=f"{name}: {error.strerror or error}")
    if data is None:
        return Kept(None, refused=f"{name} changed while it was read")
    if not source.named and (what := _credential(name, data)):
        return Kept(
            None,
            refused=f"{name} may hold a credential ({what}): list it in strategy.yaml if it must be kept",
        )
    return Kept(text(name, data, bool(now.st_mode & stat.S_IXUSR)), data)


def _secret_name(path: Path, root: Path, name: str) -> bool:
    """Judge the file by its own name and, where it is a link, by what it leads to."""
    return secret_name(name) or secret_name(path.resolve().relative_to(root.resolve()).as_posix())


def _credential(name: str, data: bytes) -> str | None:
    what = credential(data, name)
    if what is None and name.endswith(".ipynb"):
        # In its JSON, a line that begins after "\\n" or holds \\" may look like another.
        what = credential("\n".join(cell_texts(data)).encode(errors="replace"))
        what = what and f"{what.partition(',')[0]}, in a cell"
    return what


def _read(path: Path) -> bytes | None:
    # Opened without waiting, judged by what was opened: the path may be another thing than a moment ago.
    number = os.open(
        path.resolve(), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    )
    with open(number, "rb") as file:
        opened = os.fstat(number)
        data = file.read(FILE_LIMIT + 1) if stat.S_ISREG(opened.st_mode) else b""
        return data if len(data) == opened.st_size and stat.S_ISREG(opened.st_mode) else None


def _process_start() -> float:
    try:
        # Field 22 counts from boot, in ticks; the command's name (field 2) may hold anything, even spaces.
        ticks = int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[19])
        up = float(Path("/proc/uptime").read_bytes().split()[0])
        return time.time() - max(0.0, up - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return time.time()


_started = _process_start()


def _as_loaded(source: Source, kept: Kept, file: CodeFile, now: os.stat_result, before: Kept | None) -> Kept:
    """Return the file as Python loaded it, with a note where the file has changed since."""
    if before is not None and before.file is not None:
        # Python loads a module once: what was read first is what still runs, unless it was loaded again.
        if before.data == kept.data:
            back = before.note == _edited(file.path)  # edited, and now again as it was
            return Kept(file, kept.data, note=None if back else before.note)
        return Kept(before.file, before.data, note=_edited(before.file.path))
    if max(now.st_mtime, now.st_ctime) < _started - 0.05:
        return kept
    runs = _runs(source, kept.data)
    other = other_value(source.module, kept.data) if runs and source.module is not None else None
    if runs and other is None:
        return kept
    known = _remembered(source, kept.data)
    if known is not None:
        return Kept(text(file.path, known, file.executable), known, note=_edited(file.path))
    note = f"{file.path} was edited after Python loaded it: what is kept is the edited file, not what ran"
    if other is not None:
        note = f"{file.path}: {other} is not what the file says: it was edited since, or the program set it"
    return Kept(file, kept.data, note=note)


def _edited(name: str) -> str:
    return f"{name} was edited after Python loaded it: what is kept is the source that ran"


def _gone(source: Source, root: Path, seen: _Seen | None, why: str) -> Kept:
    shown = _shown(source.path, root)
    if not source.codes and source.module is None:
        return Kept(None, refused=f"{shown} does not exist")
    note = f"{shown} {why}: what is kept is the source that ran"
    if seen is not None and seen.kept.file is not None:
        return Kept(seen.kept.file, seen.kept.data, note=note)
    data = _remembered(source, None)
    name = name_in(root, source.path)
    if data is None or name is None:
        return Kept(None, refused=f"{shown} {why}, and its source is not known")
    if not source.named and (_secret_name(source.path, root, name) or _credential(name, data)):
        return Kept(None, refused=f"{shown} may hold a credential")
    return Kept(text(name, data), data, note=note)


def _remembered(source: Source, now: bytes | None) -> bytes | None:
    """Return the source that Python loaded if someone still knows it: archiver, linecache or a loader."""
    for data in _known_sources(source):
        if data and data != now and (not source.codes or _holds(data, source.codes)):
            return data
    return None


def _known_sources(source: Source) -> Iterator[bytes | None]:
    if SCRIPT is not None and SCRIPT[0] == str(source.path):
        yield SCRIPT[1]
    names = {str(source.path), *(code.co_filename for code in source.codes)}
    cached = getattr(sys.modules.get("linecache"), "cache", {})
    for name in names:
        entry = cached.get(name)
        if entry is not None and len(entry) == 4:
            yield "".join(entry[2]).encode()
    if not source.path.exists():
        spec = getattr(source.module, "__spec__", None)
        get_source = getattr(getattr(spec, "loader", None), "get_source", None)
        try:
            found = get_source(spec.name) if get_source is not None and spec is not None else None
        except (ImportError, OSError):
            found = None
        yield found.encode() if isinstance(found, str) else None


def _runs(source: Source, data: bytes) -> bool:
    """Tell whether what Python runs came from these bytes, as far as can be told without running them."""
    module = source.module
    if module is None and not source.codes:
        return True
    if "Rewriting" in type(getattr(module, "__loader__", None)).__name__:
        return True  # pytest compiles another text than the file's
    if SCRIPT is not None and SCRIPT[0] == str(source.path) and module is main_module() and SCRIPT[1] != data:
        return False
    codes = source.codes or tuple(_functions(module, str(source.path)))
    if not _holds(data, codes):
        return False
    return any(code.co_name == "<module>" for code in codes) or _compiled_from(module, data)


def _holds(data: bytes, codes: tuple[CodeType, ...]) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = compile(data, "<captured>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    parts = {whole}
    waiting = [whole]
    while waiting:
        nested = [const for const in waiting.pop().co_consts if isinstance(const, CodeType)]
        parts.update(nested)
        waiting.extend(nested)
    return parts.issuperset(codes)


def _functions(module: ModuleType | None, name: str) -> Iterator[CodeType]:
    for value in list(vars(module).values()) if module is not None else ():
        for inner in (value, *(list(vars(value).values()) if isinstance(value, type) else ())):
            if isinstance(inner, FunctionType) and inner.__code__.co_filename == name:
                yield inner.__code__


def _compiled_from(module: ModuleType | None, data: bytes) -> bool:
    """Tell whether the bytecode that Python keeps of the module, where it does, is that of the source."""
    cached = None if sys.dont_write_bytecode else getattr(module, "__cached__", None)
    try:
        bytecode = Path(cached).read_bytes() if isinstance(cached, str) else b""
        kept = marshal.loads(bytecode[16:]) if len(bytecode) > 16 else None  # noqa: S302  # Python has run it
    except (OSError, ValueError, EOFError, TypeError):
        return True
    return not isinstance(kept, CodeType) or _holds(data, (kept,))
