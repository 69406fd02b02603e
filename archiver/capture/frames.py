"""Which files of the user's led to a call: the frames from the call down to the script that was started."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import NamedTuple

_OWN = str(Path(__file__).parents[1]) + os.sep
_SCHEME = sysconfig.get_paths()
_BIN = (_SCHEME["scripts"], sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")))


def _folders(*names: str) -> tuple[str, ...]:
    """Return each folder, as named and with links resolved, as the beginning of what lies in it."""
    return tuple({str(form) + os.sep for name in names for form in (Path(name), Path(name).resolve())})


_SCRIPTS = _folders(*_BIN)
_LIBRARY = _folders(*(_SCHEME[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")))
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
# Debuggers and test runners of editors start the user's script from files that lie anywhere; a user's own
# folder may have the same name, so what else lies in it decides.
_LAUNCHERS = ((f"{os.sep}debugpy{os.sep}", "_vendored"), (f"{os.sep}pydev{os.sep}", "pydevd.py"))
_DOES_MORE = rb"(?m)^[ \t]*(?:def|class|for|while|with)\b"
_RUNNERS = f"{os.sep}helpers{os.sep}pycharm{os.sep}"
_WORKERS = ("distributed.worker", "joblib.", "loky.", "concurrent.futures.process", "multiprocessing.pool")
_BY_VALUE = "<dynamic-code>"  # what cloudpickle calls the file of a function that it sent to a worker
# The files that a Jupyter kernel and marimo name their cells after.
_CELL = re.compile(r"[/\\]ipykernel_\d+[/\\]|[/\\]__marimo__cell_[^/\\]*$")
_MARIMO = "__marimo__cell_"
# They run a file of the user's as code that they have made of it: that is not what Python would make of it.
_GENERATORS = frozenset({"marimo", "streamlit"})

_kinds: dict[str, str] = {}


class Source(NamedTuple):
    """A file to capture: where it is, whether the user listed it by name, and what Python runs from it."""

    path: Path
    named: bool = False
    codes: tuple[CodeType, ...] = ()
    module: ModuleType | None = None


class Stack:
    """What the frames tell: the user's files, nearest first, the started script, and how Python runs."""

    def __init__(self, main: Path | None = None) -> None:
        """Start with nothing but the started script."""
        self.main = main
        self.files: dict[str, tuple[list[CodeType], ModuleType | None]] = {}
        self.depth = 1
        self.typed: str | None = None
        """The name of a text that is no file and made the call: `<stdin>`, `<string>` (of -c), a cell."""
        self.generated: Path | None = None
        """The notebook or app whose file is run as code that its program has made of it."""
        self.pytest = False
        self.worker = False

    def belongs_to_file(self, frame: FrameType) -> None:
        """Take the file whose namespace a frame of generated code runs in, and nothing of how the code looks."""
        name = frame.f_globals.get("__file__")
        if isinstance(name, str) and kind(name) == "user":
            self.files[name] = ([], None)
            self.generated = self.generated or Path(name).absolute()

    def sources(self) -> list[Source]:
        """Return the user's files on the way from the started script to the call, that script among them."""
        found = [
            Source(Path(name).absolute(), codes=tuple(codes), module=module)
            for name, (codes, module) in self.files.items()
        ]
        if self.main is not None and all(source.path != self.main for source in found):
            found.append(Source(self.main, module=main_module()))
        return found


def kind(filename: str) -> str:
    """Tell whose the file of a code object is: `own` (archiver's), `library`, `text` (no file) or `user`."""
    known = _kinds.get(filename)
    if known is None:
        if filename.startswith("<") or not filename or _CELL.search(filename):
            known = "text"
        elif filename.startswith(_OWN):
            known = "own"
        elif filename.startswith(_LIBRARY) or _installed(filename) or _launches(filename):
            known = "library"
        else:
            known = "user"
        _kinds[filename] = known
    return known


def _installed(filename: str) -> bool:
    return any(part in filename for part in _PACKAGES) or _is_command(filename)


def _is_command(filename: str) -> bool:
    """Tell whether a file is what an installer writes for a command; a script of the user's may lie beside it."""
    if not filename.startswith(_SCRIPTS):
        return False
    try:
        with open(filename, "rb") as file:
            text = file.read(4096)
    except OSError:
        return True
    return b"sys.exit(" in text and re.search(_DOES_MORE, text) is None


def _launches(filename: str) -> bool:
    """Tell whether a file is an editor's, which starts the user's script."""
    for part, marker in _LAUNCHERS:
        before, found, _ = filename.partition(part)
        if found and Path(before + part, marker).exists():
            return True
    return _RUNNERS in filename


def main_module() -> ModuleType | None:
    """Return the module that was started; in a worker process, the parent's as the worker knows it."""
    return sys.modules.get("__main__")


def main_file() -> Path | None:
    """Return the started script if it is a file of the user's, not a launcher such as pytest's."""
    name = getattr(main_module(), "__file__", None)
    if name is None and hasattr(sys, "ps1"):  # `python -i script` forgets the file once the prompt is up
        name = sys.argv[0] if sys.argv and sys.argv[0].endswith(".py") else None
    return Path(name).absolute() if isinstance(name, str) and kind(name) == "user" else None


def is_console_script() -> bool:
    """Tell whether an installed command (`[project.scripts]`) was started."""
    name = getattr(main_module(), "__file__", None)
    return isinstance(name, str) and _is_command(str(Path(name).absolute()))


def walk() -> Stack:
    """Look at every frame that led here, from the nearest outwards, reading no source."""
    stack = Stack(main=main_file())
    main = main_module()
    main_globals = vars(main) if main is not None else {}
    file = main_globals.get("__file__")
    no_file = not isinstance(file, str) or kind(file) == "text"  # else a file gave the text to exec()
    nearest_is_ours = True
    for frame in _outwards(sys._getframe(1)):
        code = frame.f_code
        name = _filename_of(frame)
        whose = kind(name)
        if whose == "own" and nearest_is_ours and not stack.files:
            stack.depth += 1
            continue
        if whose == "user":
            if name not in stack.files:
                stack.files[name] = ([], _module_of(frame))
            stack.files[name][0].append(code)
        elif whose == "text" and _MARIMO in name:
            stack.belongs_to_file(frame)  # a function of a cell, too
        elif whose == "text" and no_file and nearest_is_ours and frame.f_globals is main_globals:
            stack.typed = stack.typed or code.co_filename
        elif whose == "library":
            module = _name_of(frame)
            stack.pytest = stack.pytest or module.startswith("_pytest.")
            stack.worker = stack.worker or module.startswith(_WORKERS)
        nearest_is_ours = whose in ("own", "user")
        if _is_generated(frame):
            stack.belongs_to_file(frame)
        elif frame.f_globals is main_globals and code.co_name == "<module>":
            break  # what is further out launched the script: a debugger, runpy
    return stack


def _is_generated(frame: FrameType) -> bool:
    outer = frame.f_back
    if outer is None or frame.f_code.co_name != "<module>":
        return False
    return _name_of(outer).partition(".")[0] in _GENERATORS


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _filename_of(frame: FrameType) -> str:
    name = frame.f_code.co_filename
    if name == _BY_VALUE:
        file = frame.f_globals.get("__file__")
        return file if isinstance(file, str) else name
    return name


def _name_of(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")  # a namespace of the user's own may hold anything under it
    return name if isinstance(name, str) else ""


def _module_of(frame: FrameType) -> ModuleType | None:
    """Return the module whose code the frame runs; None for a namespace of its own (a pickled function's)."""
    module = sys.modules.get(_name_of(frame))
    return module if getattr(module, "__dict__", None) is frame.f_globals else None
