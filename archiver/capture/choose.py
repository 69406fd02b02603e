"""Choosing what a run's code is: the entry, all imports, what is listed, a notebook, or what was typed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from archiver.capture import globs, notebook, strategy_yaml
from archiver.capture.files import take
from archiver.capture.frames import Source, Stack, is_console_script, kind, main_module
from archiver.capture.imports import compiled, loaded, reached
from archiver.capture.project import few, import_root, marked_root, too_wide, within, working_folder
from archiver.config.files import CODE_MODES

Wanted = str | Path | Sequence[str | Path]
"""A mode, or paths, folders and patterns."""


@dataclass
class Choice:
    """The files that are to be captured, and what is to be said of the choice.

    `made` are texts that exist in no file (cells, entered lines). `problems` stop a strict capture, `notes`
    only inform. `reason` says why there is no code where nothing else does.
    """

    root: Path
    how: str
    context: str
    sources: list[Source] = field(default_factory=list)
    made: list[tuple[str, bytes]] = field(default_factory=list)
    entry: Path | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    yaml: strategy_yaml.StrategyYaml | None = None
    reason: str | None = None


def choose(code: Wanted, otherwise: Wanted, stack: Stack) -> Choice:
    """Choose the files for one capture.

    `code` is a mode or paths; `otherwise` is what "auto" means where no strategy.yaml lists files.
    """
    if not _is_mode(code):
        return _given(code, stack)
    ip = notebook.shell()
    choice = _started(stack, ip)
    if code == "auto":
        choice.yaml = strategy_yaml.nearest(_yaml_folders(choice))
        if choice.yaml is not None and choice.yaml.files is not None:
            _use_list(choice, choice.yaml)
            return choice
        code = otherwise
        if not _is_mode(code):
            choice = replace(_given(code, stack), yaml=choice.yaml)
    if choice.reason is None and code == "imports":
        _add_imports(choice)
    if choice.yaml is not None:
        choice.sources.append(Source(choice.yaml.path, named=True))
    return choice


def _yaml_folders(choice: Choice) -> list[Path]:
    """Return where a strategy.yaml counts: beside the started file, beside the caller's, at the root."""
    entries = [choice.entry] if choice.entry else []
    entries += [source.path for source in choice.sources[:1]]
    folders = [path.parent for path in entries if within(choice.root, path)]
    return list(dict.fromkeys([*folders, choice.root]))


def _is_mode(code: Wanted) -> bool:
    return isinstance(code, str) and code in CODE_MODES


def nothing(stack: Stack, reason: str) -> Choice:
    """Return the choice of no file, for which all else is recorded."""
    return Choice(_root(stack.sources(), stack), "none", context_of(stack), entry=stack.main, reason=reason)


def context_of(stack: Stack) -> str:
    """Say in a word or two how Python was started."""
    main = main_module()
    spec = getattr(main, "__spec__", None)
    name = spec.name.removesuffix(".__main__") if spec is not None else "__main__"
    workers = getattr(sys.modules.get("multiprocessing.process"), "parent_process", lambda: None)
    if getattr(sys, "frozen", False) or "__compiled__" in getattr(main, "__dict__", {}):
        return "frozen application"
    if stack.pytest:
        return "pytest"
    if stack.generated is not None:
        return "notebook" if "marimo" in sys.modules else "app"
    if stack.worker or workers() is not None:
        return "worker process"
    if stack.typed is not None:
        prompt = hasattr(sys, "ps1") or sys.flags.interactive
        return "prompt" if prompt else "-c" if stack.typed == "<string>" else "standard input"
    if is_console_script():
        return "console script"
    # A folder or zip file with a __main__.py has that for a name; profilers are Python's own.
    if name != "__main__" and name.partition(".")[0] not in sys.stdlib_module_names:
        return f"-m {name}"
    return "script"


def _started(stack: Stack, ip: object | None) -> Choice:
    """Choose by how the program was started: the files on the stack, a notebook, or the entered lines."""
    sources = stack.sources()
    if ip is not None:
        return _from_shell(ip, sources)
    context = context_of(stack)
    choice = Choice(_root(sources, stack), "entry", context, sources)
    choice.entry = stack.main or stack.generated or (sources[-1].path if sources else None)
    if stack.generated is not None:
        _add_unsaved(choice, stack.generated)
    if context == "frozen application":
        choice.sources, choice.reason = [], "a frozen application does not hold its sources"
    elif context == "prompt":
        lines = notebook.entered_lines()
        if lines:
            choice.how = "lines"
            choice.made.append(("lines.py", "\n".join([*lines, ""]).encode("utf-8", "backslashreplace")))
        else:
            choice.notes.append("the lines entered at the prompt are not known")
    elif context in ("-c", "standard input"):
        choice.notes.append(f"the program text given by {context} is in no file")
    if not choice.sources and not choice.made and choice.reason is None:
        choice.reason = choice.notes.pop() if choice.notes else "no file of yours made the call"
    return choice


def _add_unsaved(choice: Choice, path: Path) -> None:
    """Keep the cells that marimo ran and that the notebook, as saved, lacks."""
    kept = take(Source(path), choice.root)
    cells = notebook.marimo_unsaved(kept.data) if kept.file is not None else []
    if cells:
        choice.made.append((f"{path.stem}.executed.py", notebook.as_script(cells)))
        choice.notes.append(
            f"{path.name} as saved lacks cells that ran: the executed cells are kept beside it"
        )


def _from_shell(ip: object, sources: list[Source]) -> Choice:
    kernel = notebook.is_kernel(ip)
    cells = notebook.executed(ip)
    path = notebook.path_of(ip) if kernel else None
    root = _root(sources, None, (path.parent if path else working_folder()))
    choice = Choice(root, "cells" if kernel else "lines", "notebook" if kernel else "IPython", sources)
    kept = take(Source(path), root) if path is not None else None
    missing: list[notebook.Cell] | None = cells
    if path is not None and kept is not None:
        if kept.file is None:
            choice.notes.append(f"{kept.refused}; the executed cells are kept in its place")
        else:
            missing = notebook.unsaved(kept.data, cells)
    if path is not None and missing is not None and (not cells or len(missing) < len(cells)):
        choice.how, choice.entry = "notebook", path
        choice.sources.append(Source(path))
        if missing:
            choice.notes.append(
                f"{path.name} as saved lacks cells that ran: the executed cells are kept beside it"
            )
    if missing or choice.how != "notebook":
        name = f"{path.stem}.executed.py" if path else "cells.py" if kernel else "lines.py"
        if cells:
            choice.made.append((name, notebook.as_script(cells)))
    if not choice.sources and not choice.made:
        choice.reason = "no cell was executed"
    return choice


def _root(sources: list[Source], stack: Stack | None, folder: Path | None = None) -> Path:
    """Find the project that the started script, or else the nearest of the files, belongs to."""
    anchor = next((s for s in sources if stack is not None and s.path == stack.main), None)
    anchor = anchor or (sources[0] if sources and folder is None else None)
    folder = folder or (anchor.path.parent if anchor else working_folder())
    marked = marked_root(folder)
    if marked is not None:
        return marked
    if anchor is not None:
        spec = getattr(anchor.module, "__spec__", None)
        folder = import_root(anchor.path, getattr(spec, "name", None))
    # Unmarked, and started from above: the working folder is the project if the files need it to be.
    here = working_folder()
    strays = any(not within(folder, s.path) and within(here, s.path) for s in sources)
    return here if strays and within(here, folder) and not too_wide(here) else folder


def _given(code: Wanted, stack: Stack) -> Choice:
    """Choose the files that an argument lists; outside of the caller's project they are one of their own."""
    given = [os.fspath(name) for name in ([code] if isinstance(code, str | Path) else code)]
    names = [name for name in given if name]
    here = working_folder()
    found, problems = strategy_yaml.listed(here, names)
    if len(names) < len(given):
        problems.append("code names an empty path: give a file, a folder or a pattern")
    starts = [here / globs.plain_part(name) for name in names]
    folders = [path if path.is_dir() else path.parent for path in starts]
    plain = [folder for folder in folders if ".." not in folder.parts] or [here]
    sources = stack.sources()
    root = _root(sources, stack)
    if not any(within(root, folder) for folder in plain):
        common = Path(os.path.commonpath(plain))
        common = plain[0] if too_wide(common) else common
        # What is installed (the demo's own strategies) belongs to no project, whatever lies above it.
        root = (marked_root(common) if kind(str(common / "any.py")) == "user" else None) or common
    choice = Choice(root, "listed", context_of(stack), _as_running(found, sources), problems=problems)
    if isinstance(code, str) and code.isidentifier() and not (here / code).exists():
        choice.sources = []
        choice.problems = [f"code={code!r} is neither one of {', '.join(CODE_MODES)} nor a file"]
    choice.entry = stack.main
    return choice


def _use_list(choice: Choice, yaml: strategy_yaml.StrategyYaml) -> None:
    found, problems = yaml.sources()
    choice.sources = _as_running(found, choice.sources)
    choice.how, choice.made, choice.reason = "listed", [], None
    choice.problems += problems


def _as_running(listed: list[Source], running: list[Source]) -> list[Source]:
    """Tell of listed files what Python runs from them, so that a file edited since is noticed."""
    known = {source.path: source for source in (*loaded(), *running)}
    out = []
    for source in listed:
        path = Path(os.path.normpath(source.path))
        out.append(known[path]._replace(named=source.named) if path in known else source)
    return out


def _add_imports(choice: Choice) -> None:
    """Add every local module that is loaded, and those that the chosen sources name."""
    known = {source.path: source for source in choice.sources}
    outside: list[str] = []
    for source in loaded():
        if within(choice.root, source.path):
            known.setdefault(source.path, source)
        elif source.path not in known:
            outside.append(str(source.path))
    if outside:
        choice.notes.append(f"{few(sorted(outside))}: loaded, but outside of the project {choice.root}")
    start = [(path, *taken) for path in known if (taken := _source_of(known[path], choice.root))]
    start += [(choice.root / name, data, f"{name}:{hash(data)}") for name, data in choice.made]

    def wanted(path: Path) -> tuple[bytes, str] | None:
        return _source_of(Source(path), choice.root) if kind(str(path)) == "user" else None

    found = reached(start, choice.root, wanted)
    choice.sources = [*known.values(), *map(Source, found)]
    choice.notes += [
        f"{path.name} is compiled: its source is not known"
        for path in compiled()
        if within(choice.root, path)
    ]
    choice.how = "imports"


def _source_of(source: Source, root: Path) -> tuple[bytes, str] | None:
    kept = take(source, root)
    if kept.file is None or not kept.file.path.endswith((".py", ".pyw")):
        return None
    return kept.data, kept.file.sha256
