"""Notebooks and prompts: the notebook's own file where it is known, else what was entered."""

from __future__ import annotations

import ast
import json
import os
import re
import sys
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

_PATIENCE = 1.0
"""Seconds that a Jupyter server on this machine has to answer."""


def shell() -> Any | None:
    """Return the running IPython shell, or None."""
    ipython = sys.modules.get("IPython")
    get = getattr(ipython, "get_ipython", None)
    return get() if get is not None else None


def is_kernel(ip: Any) -> bool:
    """Tell whether the shell belongs to a notebook's kernel rather than to a terminal."""
    return getattr(ip, "kernel", None) is not None


class Cell(NamedTuple):
    """An executed cell: as it was typed, and as Python (another text only where it holds magics)."""

    typed: str
    python: str


def executed(ip: Any) -> list[Cell]:
    """Return the cells in the order they were entered, the one that runs now included."""
    history = getattr(ip, "history_manager", None)
    typed = list(getattr(history, "input_hist_raw", ()))[1:]
    parsed = list(getattr(history, "input_hist_parsed", ()))[1:]
    pairs = zip(typed, parsed, strict=False)
    return [Cell(text, text if _is_python(text) else plain) for text, plain in pairs if text.strip()]


@lru_cache(maxsize=4096)
def _is_python(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True


def as_script(cells: list[Cell]) -> bytes:
    """Join cells to one Python file with the cell markers that editors and jupytext know."""
    text = "\n\n".join("# %%\n" + cell.python.strip("\n") for cell in cells) + "\n"
    return text.encode("utf-8", "backslashreplace")


def path_of(ip: Any) -> Path | None:
    """Return the running notebook's file, as VS Code, the kernel's start or the Jupyter server tells it."""
    for candidate in _candidates(ip):
        if candidate.suffix == ".ipynb" and candidate.is_file():
            return candidate.absolute()
    return None


def _candidates(ip: Any) -> Iterator[Path]:
    named = getattr(ip, "user_ns", {}).get("__vsc_ipynb_file__")
    if isinstance(named, str) and named:
        yield Path(named)
        return
    session = os.environ.get("JPY_SESSION_NAME")
    if session:
        yield Path(session)
        # JupyterLab has added a random part behind the name, and some servers give it relative to their root.
        yield Path(re.sub(r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "", session))
    yield from _from_server(ip)


_sessions: dict[str, Path | None] = {}


def _from_server(ip: Any) -> Iterator[Path]:
    connection = str(getattr(ip, "config", {}).get("IPKernelApp", {}).get("connection_file", ""))
    match = re.fullmatch(r"kernel-(.+)\.json", Path(connection).name)
    if match is None:
        return
    kernel = match[1]
    known = _sessions.get(kernel)
    if kernel not in _sessions or (known is not None and not known.exists()):
        _sessions[kernel] = known = next(_asked(kernel), None)
    if known is not None:
        yield known


def _asked(kernel: str) -> Iterator[Path]:
    for server in _servers():
        for session in _get_sessions(server):
            if session.get("kernel", {}).get("id") == kernel:
                name = session.get("path") or session.get("notebook", {}).get("path") or ""
                yield Path(server.get("root_dir") or server.get("notebook_dir") or "", name)


def _servers() -> list[dict[str, Any]]:
    try:
        from jupyter_core.paths import jupyter_runtime_dir
    except ImportError:
        return []
    found = []
    for pattern in ("jpserver-*.json", "nbserver-*.json"):
        for path in Path(jupyter_runtime_dir()).glob(pattern):
            try:
                server = json.loads(path.read_bytes())
            except (OSError, ValueError):
                continue
            if isinstance(server, dict) and str(server.get("url", "")).startswith(("http://", "https://")):
                found.append(server)
    return found


def _get_sessions(server: dict[str, Any]) -> list[dict[str, Any]]:
    from urllib.request import Request, urlopen

    request = Request(f"{server['url'].rstrip('/')}/api/sessions")  # noqa: S310  # http(s) only, see _servers
    token = server.get("token") or os.environ.get("JUPYTERHUB_API_TOKEN")
    if token:
        request.add_header("Authorization", f"token {token}")
    try:
        with urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310  # the same
            found = json.loads(answer.read(2**22))
    except (OSError, ValueError):
        return []
    return [session for session in found if isinstance(session, dict)] if isinstance(found, list) else []


def unsaved(notebook: bytes, cells: list[Cell]) -> list[Cell] | None:
    """Return the executed cells that the saved notebook does not hold; None where it can't be read."""
    known = _sources(notebook)
    return None if known is None else [cell for cell in cells if cell.typed.strip() not in known]


@lru_cache(maxsize=4)
def _sources(notebook: bytes) -> frozenset[str] | None:
    try:
        saved = json.loads(notebook)["cells"]
        texts = [cell.get("source", "") for cell in saved if cell.get("cell_type") == "code"]
        return frozenset(("".join(text) if isinstance(text, list) else str(text)).strip() for text in texts)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def marimo_unsaved(notebook: bytes) -> list[Cell]:
    """Return the cells that marimo has compiled and that the saved notebook does not hold."""
    cached = getattr(sys.modules.get("linecache"), "cache", {})
    texts = ["".join(cached[name][2]) for name in list(cached) if "__marimo__cell_" in name]
    saved = _unindented(notebook.decode(errors="replace"))
    return [Cell(text, text) for text in texts if _unindented(text) not in saved]


def _unindented(text: str) -> str:
    # In the file a cell is the body of a function, but for what stands in texts of many lines.
    return "\n".join(filter(None, map(str.strip, text.splitlines())))


def cell_texts(notebook: bytes) -> list[str]:
    """Return what people read in a notebook: the sources of its cells and the texts of their outputs."""
    try:
        saved = json.loads(notebook)["cells"]
        parts = [cell.get("source") for cell in saved]
        for output in (output for cell in saved for output in cell.get("outputs", ())):
            parts += [output.get("text"), *(output.get("data") or {}).values()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
    joined = ("".join(map(str, part)) if isinstance(part, list) else part for part in parts)
    return [text for text in joined if isinstance(text, str)]


def entered_lines() -> list[str]:
    """Return the lines entered at Python's own prompt in this session; empty where they can't be told."""
    cached = getattr(sys.modules.get("linecache"), "cache", {})
    numbered = [
        (int(m[1]), name)
        for name in list(cached)
        if (m := re.fullmatch(r"<(?:python-input|stdin)-(\d+)>", name))
    ]
    if numbered:  # Python 3.13 keeps what was entered, for its tracebacks
        return ["".join(cached[name][2]).rstrip("\n") for _, name in sorted(numbered)]
    readline = sys.modules.get("readline")
    if readline is None:
        return []
    lines = [readline.get_history_item(at + 1) or "" for at in range(readline.get_current_history_length())]
    before = _earlier_sessions()
    return lines[len(before) :] if lines[: len(before)] == before else []


def _earlier_sessions() -> list[str]:
    """Return the history file's lines, which Python loaded into the same list before the prompt came up."""
    name = os.environ.get("PYTHON_HISTORY") if sys.version_info >= (3, 13) else None
    path = Path(name) if name else Path.home() / ".python_history"
    try:
        lines = path.read_text(errors="surrogateescape").splitlines()
    except (OSError, RuntimeError):
        return []
    if lines and lines[0] == "_HiStOrY_V2_":  # libedit's own header and escapes
        lines = [re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), line) for line in lines[1:]]
    return lines
