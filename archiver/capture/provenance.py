"""What else decides a result: Python, the platform, installed packages, git, and the command line."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from archiver.capture import git
from archiver.capture.frames import kind
from archiver.capture.secrets import masked
from archiver.errors import ConfigError
from archiver.format.values import plain

_ARGV_LIMIT = 4096
_GIVEN_LIMIT = 16_384
_GIVEN_LEVELS = 100
_GIVEN_UP = 60.0
"""Seconds after which a git that failed is asked again."""

_LOOK = 5.0
"""Seconds between two looks at the tracked files, at least."""

Stamps = tuple[tuple[str, int], ...]
_packages: tuple[Stamps, str] | None = None


def machine() -> dict[str, str]:
    """Return Python's version and the platform."""
    name = sys.implementation.name
    version = ".".join(map(str, sys.version_info[:3]))
    system = os.uname() if hasattr(os, "uname") else None
    platform = f"{system.sysname} {system.release} {system.machine}" if system else sys.platform
    return {"python": version if name == "cpython" else f"{name} {version}", "platform": platform}


def environment(root: Path) -> bytes:
    """Return what hardly ever changes as one text: a requirements file, with a head of `# name: value` lines.

    Installed packages are read again only after an installation.
    """
    global _packages  # noqa: PLW0603  # one environment in a process
    folders = [entry for entry in dict.fromkeys(sys.path) if entry and kind(f"{entry}{os.sep}x") == "library"]
    stamps = tuple((folder, _changed(folder)) for folder in folders)
    if _packages is None or _packages[0] != stamps:
        found: dict[str, str] = {}
        for folder in folders:
            for name, line in _installed(folder):
                found.setdefault(name, line)
        _packages = stamps, "".join(f"{found[name]}\n" for name in sorted(found))
    head = {**machine(), "root": str(root).replace("\n", "\\n")}
    text = "".join(f"# {name}: {value}\n" for name, value in head.items()) + _packages[1]
    return text.encode("utf-8", "backslashreplace")


def _changed(folder: str) -> int:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0


_METADATA = re.compile(r"([A-Za-z0-9][A-Za-z0-9._]*)-([A-Za-z0-9!+._]+?)(?:-py\d[^-]*)?\.(?:dist|egg)-info")


def _installed(folder: str) -> Iterator[tuple[str, str]]:
    # The names of the metadata folders hold name and version: reading 150 METADATA files takes 50 ms.
    try:
        entries = os.listdir(folder)  # noqa: PTH208  # names are all we need
    except OSError:
        return
    for entry in entries:
        match = _METADATA.fullmatch(entry) if entry.endswith("-info") else None
        if match is not None:
            name = re.sub(r"[._]+", "-", match[1])
            yield name.lower(), _origin(f"{folder}/{entry}/direct_url.json", name) or f"{name}=={match[2]}"


def _origin(path: str, name: str) -> str | None:
    """Return the line of a package that came from version control or a folder, else None.

    No index has the latter: a name there may be a stranger's.
    """
    try:
        with open(path, "rb") as file:
            data = json.load(file)
    except (OSError, ValueError):
        return None
    if not isinstance(data, dict) or not isinstance(data.get("url"), str):
        return None
    url = re.sub(r"://[^/@]*@", "://", data["url"])
    if "dir_info" in data:
        return f"#{name} installed from {url}"
    info = data.get("vcs_info")
    if not info:
        return None
    return f"{name} @ {info.get('vcs', 'git')}+{url}@{info.get('commit_id', '')}"


def argv() -> list[str]:
    """Return the command line, credentials masked, cut where it is very long."""
    words = masked([word for word in sys.argv if isinstance(word, str)])
    out: list[str] = []
    left = _ARGV_LIMIT
    for word in words:
        left -= len(word)
        if left < 0:
            return [*out, "..."]
        out.append(word.encode(errors="surrogateescape").decode(errors="backslashreplace"))
    return out


class _TooMuchError(Exception):
    pass


def given(value: Any, what: str) -> tuple[Any, str | None]:
    """Return what the user gave (`seed`, `data`) as data that a record can hold, and a warning where it differs.

    What JSON cannot hold, such as an integer of more than 64 bits, becomes text where it stands.
    """
    changed: list[str] = []
    try:
        kept = _keepable(value, what, changed)
        if len(orjson.dumps(kept)) > _GIVEN_LIMIT:
            raise _TooMuchError
    except _TooMuchError:
        return None, f"{what} is not kept: give a fingerprint of at most {_GIVEN_LIMIT:,} bytes, not the data"
    except Exception:  # noqa: BLE001  # a value of the user's may do anything when it is looked at
        changed.append(what)
        kept = _as_text(value)
    return kept, f"{what} is kept as text where it is not plain JSON data" if changed else None


def _keepable(value: Any, where: str, changed: list[str], depth: int = 0) -> Any:
    if depth > _GIVEN_LEVELS:
        raise ValueError(f"{where} is nested too deep")
    if hasattr(type(value), "__len__") and len(value) > _GIVEN_LIMIT:
        raise _TooMuchError  # before a table of millions of rows is turned into lists
    if isinstance(value, Mapping):
        if any(not isinstance(key, str) for key in value):
            changed.append(where)
        return {_unicode(key): _keepable(item, where, changed, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_keepable(item, where, changed, depth + 1) for item in value]
    try:
        value = plain(value, where)
    except ConfigError:
        changed.append(where)
        return _as_text(value)
    if isinstance(value, list | dict):  # a table or an array
        return _keepable(value, where, changed, depth + 1)
    wide = isinstance(value, int) and not -(2**63) <= value < 2**64
    if wide or (isinstance(value, float) and not math.isfinite(value)):
        changed.append(where)
        return _as_text(value)
    return _unicode(value) if isinstance(value, str) else value


def _unicode(value: object) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()


def _as_text(value: object) -> str:
    try:
        return _unicode(repr(value))[:256]
    except Exception:  # noqa: BLE001  # a repr of the user's own
        return f"<{type(value).__name__}>"


class _Known:
    """What git has said of a repository in one state."""

    def __init__(self, state: git.State, commit: str | None, branch: str | None) -> None:
        self.state, self.commit, self.branch = state, commit, branch
        self.ignored: dict[str, tuple[git.State, bool]] = {}
        self.ask_again = 0.0
        self.failed: str | None = None
        self.contents: dict[Path, str] | None = None
        self.diff = git.Diff(None)
        self.tracked: git.Tracked | None = None
        self.asked_ns = 0
        self.look_again = 0.0


_known: dict[git.Repo, _Known] = {}


class GitFacts:
    """What a record says of git. While a repository and the captured files stay as they are, git is not asked."""

    def __init__(self, repo: git.Repo, *, diff: bool = True) -> None:
        """Start what needs no list of files; `diff`: the diff too."""
        state = git.state(repo)
        known = _known.get(repo)
        if known is None or known.state != state:
            known = _known[repo] = _Known(state, *git.head(repo))
        self._known = known
        self._repo = repo
        self._questions = git.Questions(repo, commit=known.commit is not None)
        if diff and (known.contents is None or self._edited()):
            known.contents = None
            known.asked_ns = time.time_ns()
            known.look_again = time.monotonic() + _LOOK
            self._questions.start_diff()

    def _edited(self) -> bool:
        """Tell whether a tracked file, captured or not, has changed since git compared; looks now and then only."""
        known = self._known
        if time.monotonic() < known.look_again:
            return False
        if known.tracked is None:
            known.tracked = git.Tracked(self._questions.tracked())
        now = time.monotonic()
        edited = known.tracked.changed_since(known.asked_ns)
        known.look_again = time.monotonic() + max(_LOOK, 20 * (time.monotonic() - now))
        return edited

    def ignored(self, names: Iterable[str]) -> dict[str, bool]:
        """Tell of each name (relative to the work tree) whether git ignores it; of none that git cannot tell."""
        answers = self._known.ignored
        folders = {name: Path(name).parent for name in names}
        rules = {folder: git.rules_of(self._repo, folder) for folder in set(folders.values())}
        unknown = [
            name for name, folder in folders.items() if answers.get(name, (None, False))[0] != rules[folder]
        ]
        if unknown and time.monotonic() >= self._known.ask_again:
            hits = self._questions.ignored(unknown)
            if hits is None:
                self._known.ask_again = time.monotonic() + _GIVEN_UP
                self._known.failed = self._questions.failed
            else:
                answers.update({name: (rules[folders[name]], name in hits) for name in unknown})
        return {name: answers[name][1] for name in folders if name in answers}

    @property
    def failed(self) -> str | None:
        """Why git could not tell what it ignores, when it was asked last and could not."""
        return self._known.failed

    def diff(self, contents: Mapping[Path, str]) -> git.Diff:
        """Return the changes of tracked files; `contents`, the captured files and their hashes, tell of new ones."""
        known = self._known
        if known.contents is not None and any(self._is_news(*one) for one in contents.items()):
            known.contents, known.asked_ns = None, time.time_ns()
        if known.contents is None:
            known.contents, known.diff = {}, self._questions.diff()
        known.contents.update(contents)
        return known.diff

    def _is_news(self, path: Path, sha256: str) -> bool:
        before = (self._known.contents or {}).get(path)
        return git.written_after(path, self._known.asked_ns) if before is None else before != sha256

    def about(self) -> dict[str, Any]:
        """Return commit, branch, and whether tracked files have changes, once `diff` was asked for."""
        about: dict[str, Any] = {"commit": self._known.commit, "branch": self._known.branch}
        about["dirty"] = self._known.diff.dirty
        return {**about, "diff_cut": True} if self._known.diff.cut else about


def ignored(
    root: Path, names: Iterable[str], repo: git.Repo, facts: GitFacts
) -> tuple[set[str], set[str], str]:
    """Return which files below the root git ignores, of which it cannot tell, and why not.

    A file in a work tree within `repo` (a submodule, a clone) is that repository's to judge, and its folder is
    the outer one's.
    """
    asked = {name: list(git.judges(root, name, repo)) for name in names}
    wanted: dict[git.Repo, dict[str, None]] = {}
    for judge, path in (pair for pairs in asked.values() for pair in pairs):
        wanted.setdefault(judge, {})[path] = None
    asked_of = {judge: facts if judge == repo else GitFacts(judge, diff=False) for judge in wanted}
    answers = {judge: asked_of[judge].ignored(paths) for judge, paths in wanted.items()}
    said = {name: [answers[judge].get(path) for judge, path in pairs] for name, pairs in asked.items()}
    hits = {name for name, told in said.items() if True in told}
    unknown = {name for name, told in said.items() if None in told} - hits
    why = dict.fromkeys(one.failed for one in asked_of.values() if one.failed) if unknown else ()
    return hits, unknown, "; ".join(why)
