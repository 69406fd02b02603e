"""What git knows of a project: commit, branch, the diff of tracked files, and which files it ignores.

Commit and branch are read from git's own files. A git process is started only for the diff and for ignored
files, and only when the repository or the captured files have changed since the last time.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterable, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from archiver.capture.diffs import applicable, dirty_modules, with_end_as_comment
from archiver.capture.project import TICK, few, too_wide
from archiver.capture.secrets import credential

if TYPE_CHECKING:
    from collections.abc import Iterator

DIFF_LIMIT = 2**20
"""Bytes of a diff that are kept."""
_SAID_LIMIT = 4096
"""Bytes that are read of what git says of a failure."""
_PATIENCE = 10.0
"""Seconds after which git, on a huge or far repository, is given up."""

# What a hook or an outer git command may have set, and would mean another repository; and what changes a diff.
_ELSEWHERE = frozenset(
    f"GIT_{name}"
    for name in (
        *("DIR", "WORK_TREE", "IMPLICIT_WORK_TREE", "COMMON_DIR", "INDEX_FILE", "OBJECT_DIRECTORY", "PREFIX"),
        *(
            "ALTERNATE_OBJECT_DIRECTORIES",
            "GRAFT_FILE",
            "SHALLOW_FILE",
            "NO_REPLACE_OBJECTS",
            "REPLACE_REF_BASE",
        ),
        *("CONFIG", "CONFIG_PARAMETERS", "NAMESPACE", "DIFF_OPTS", "EXTERNAL_DIFF"),
    )
)

State = tuple[object, ...]


class Repo(NamedTuple):
    """A work tree and the folders that git keeps beside it; `common` differs for linked work trees."""

    top: Path
    folder: Path
    common: Path


class Diff(NamedTuple):
    """The changes of tracked files against the last commit; `dirty` is None where git could not tell."""

    dirty: bool | None
    text: bytes = b""
    cut: bool = False
    note: str | None = None


@lru_cache(maxsize=256)
def repo_of(root: Path) -> Repo | None:
    """Return the repository whose work tree the root is in, or None; one of all that is at home is no project's."""
    for top in (root, *root.parents):
        if too_wide(top):
            return None
        dot = top / ".git"
        if dot.is_dir():
            return Repo(top, dot, dot)
        if dot.is_file():
            link = _line(dot).removeprefix("gitdir: ")
            folder = top / link
            common = folder / (_line(folder / "commondir") or ".")
            return Repo(top, folder, common)
    return None


def _line(path: Path) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline(4096).strip()
    except OSError:
        return ""


@lru_cache(maxsize=4096)
def judges(root: Path, name: str, repo: Repo) -> tuple[tuple[Repo, str], ...]:
    """Return who may ignore a file below the root, and what each calls it, from the innermost repository out.

    Links are resolved, for git looks beyond none. Outside of `repo` nobody judges.
    """
    try:
        path, top = (root / name).resolve(), repo.top.resolve()
    except (OSError, RuntimeError):
        return ((repo, name),)
    found: list[tuple[Repo, str]] = []
    while path != top and path.is_relative_to(top):
        inner = repo_of(path.parent)
        if inner is None or inner.top == top:
            return (*found, (repo, path.relative_to(top).as_posix()))
        found.append((inner, path.relative_to(inner.top).as_posix()))
        path = inner.top
    return tuple(found) or ((repo, name),)


def state(repo: Repo) -> State:
    """Return what changes when the commit, the branch, the index or the repository's own ignored names do."""
    ref = _line(repo.folder / "HEAD")
    places = [repo.folder / "index"]
    places += [repo.common / name for name in ("packed-refs", "info/exclude", "reftable/tables.list")]
    if ref.startswith("ref: "):
        places.append(repo.common / ref.removeprefix("ref: "))
    return ref, *map(_stamp, places)


def rules_of(repo: Repo, folder: Path) -> State:
    """Return what changes when the files do that say which names in a folder of a work tree are ignored."""
    return tuple(_stamp(repo.top / place / ".gitignore") for place in (folder, *folder.parents))


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        now = path.stat()
    except OSError:
        return 0, 0, 0
    return now.st_mtime_ns, now.st_size, now.st_ino


def head(repo: Repo) -> tuple[str | None, str | None]:
    """Return commit and branch; the commit is None before the first, the branch when detached."""
    ref = _line(repo.folder / "HEAD")
    if not ref.startswith("ref: "):
        return ref or None, None
    ref = ref.removeprefix("ref: ")
    if ref == "refs/heads/.invalid":  # reftable: only git reads those
        commit = _run(repo, ["rev-parse", "--verify", "-q", "HEAD"])
        branch = _run(repo, ["symbolic-ref", "--short", "-q", "HEAD"])
        return commit or None, branch or None
    return _line(repo.common / ref) or _packed(repo, ref), ref.removeprefix("refs/heads/")


def _packed(repo: Repo, ref: str) -> str | None:
    try:
        with open(repo.common / "packed-refs", encoding="utf-8", errors="replace") as file:
            for line in file:
                commit, _, name = line.rstrip("\n").partition(" ")
                if name == ref:
                    return commit
    except OSError:
        pass
    return None


class Questions:
    """The two questions that need git itself: one process each, no shell."""

    def __init__(self, repo: Repo, *, commit: bool, inside: str = "") -> None:
        """Take the repository, whether it has a `commit` to compare with, and where it lies `inside` of another."""
        self._repo = repo
        self._commit = commit
        self._inside = inside
        self.failed: str | None = None
        """Why git could not answer, as it says itself."""
        self._diff: subprocess.Popen[bytes] | None = None

    def start_diff(self) -> None:
        """Let git compare while there is something else to do."""
        self._diff = self._diff or self._start(_diff_words(self._commit, self._inside))

    def _start(self, words: list[str], *, stdin: bool = False) -> subprocess.Popen[bytes] | None:
        try:
            return _popen(self._repo, words, stdin=stdin)
        except OSError as error:
            self.failed = self._of(f"git could not be started ({error.strerror or error})")
            return None

    def _why(self, words: list[str]) -> str:
        """Return what git says of a failure, asked once more, in one line; what to do, where it does not say."""
        said = b""
        with (
            suppress(OSError),
            _popen(self._repo, words, stdin=True, errors=True) as process,
            _deadline(process),
        ):
            said = process.communicate()[1][:_SAID_LIMIT]
        text = said.decode(errors="replace")
        cause = re.search(r"(?m)^(?:fatal|error): (.*)$", text)
        if cause is None or credential(said):
            return "see what `git status` says in the project"
        remedy = re.search(r"git config --global --add safe\.directory \S.*", text)
        return f"{cause[1].strip()}{f' (`{remedy[0].strip()}` trusts it)' if remedy else ''}"

    def ignored(self, names: Iterable[str]) -> frozenset[str] | None:
        """Return those of the names (relative to the work tree) that git ignores; None where it cannot tell."""
        words = ["check-ignore", "-z", "--stdin"]
        process = self._start(words, stdin=True)
        if process is None:
            return None
        with _deadline(process):
            answer, _ = process.communicate(b"".join(os.fsencode(name) + b"\0" for name in names))
        if process.returncode not in (0, 1):
            self.failed = self._of(f"git could not tell which files it ignores: {self._why(words)}")
            return None
        return frozenset(os.fsdecode(name) for name in answer.split(b"\0") if name)

    def diff(self) -> Diff:
        """Return the changes of tracked files, those in submodules too, without those that may hold a credential."""
        self.start_diff()
        if self._diff is None:
            return Diff(None, note=f"{self.failed}: no diff")
        with self._diff, _deadline(self._diff) as late:
            text = self._diff.stdout.read(DIFF_LIMIT + 1) if self._diff.stdout else b""
            cut = len(text) > DIFF_LIMIT
            if cut:
                _kill(self._diff)
        if late.is_set():
            return Diff(None, note=self._of(f"git did not answer within {_PATIENCE:.0f} s: no diff"))
        if not cut and self._diff.returncode not in (0, 1):
            return Diff(
                None,
                note=self._of(
                    f"git could not make a diff: {self._why(_diff_words(self._commit, self._inside))}"
                ),
            )
        if not text:
            return Diff(not self._commit, note=self.failed)
        text, modules = dirty_modules(text)
        kept = applicable(text[:DIFF_LIMIT])
        notes = [self.failed]
        for name in modules:
            inner, note = self._module(os.fsdecode(name).removeprefix(self._inside))
            kept += inner
            notes.append(note)
        cut = cut or len(kept) > DIFF_LIMIT
        kept = with_end_as_comment(kept, DIFF_LIMIT) if cut else kept
        if cut:
            notes.insert(0, self._of(f"the diff of tracked files is cut at {DIFF_LIMIT:,} bytes"))
        return Diff(True, kept, cut, "; ".join(filter(None, notes)) or None)

    def _of(self, note: str) -> str:
        """Say of which submodule a note is, where it is of one."""
        return f"{self._inside.rstrip('/')}, a git submodule: {note}" if self._inside else note

    def _module(self, name: str) -> tuple[bytes, str | None]:
        """Return the changes in a submodule, and a note on those that are not in them."""
        top = self._repo.top / name
        repo = repo_of(top)
        inside = f"{self._inside}{name}/"
        questions = Questions(repo or self._repo, commit=bool(repo and head(repo)[0]), inside=inside)
        if repo is None or repo.top != top:
            return b"", questions._of("it has changes that are not known")
        found = questions.diff()
        untracked = questions.untracked()
        notes = [found.note, questions._of(f"not tracked: {few(untracked)}") if untracked else None]
        if not found.text and not any(notes):
            notes.append(questions._of("it has changes that are not known"))
        return found.text, "; ".join(filter(None, notes)) or None

    def untracked(self) -> list[str]:
        """Return the files and folders that git neither tracks nor ignores; none where it cannot tell."""
        return self._names(["ls-files", "-z", "--others", "--exclude-standard", "--directory"])

    def tracked(self) -> list[str]:
        """Return the tracked files, those of submodules too; none where git cannot tell."""
        top = f"{self._repo.top}{os.sep}"
        return [top + name for name in self._names(["ls-files", "-z", "--recurse-submodules"])]

    def _names(self, words: list[str]) -> list[str]:
        process = self._start(words)
        if process is None:
            return []
        with process, _deadline(process):
            answer = process.stdout.read() if process.stdout else b""
        return [os.fsdecode(name) for name in answer.split(b"\0") if name]


class Tracked:
    """The files that git tracks, of which it can be told without git whether they change."""

    def __init__(self, paths: Sequence[str]) -> None:
        """Take the files."""
        self._paths = paths
        self._missing: list[str] = []

    def changed_since(self, at: int) -> bool:
        """Tell whether one was written after a time in nanoseconds, or has come or gone since the last call."""
        missing: list[str] = []
        newest = 0
        for path in self._paths:
            try:
                newest = max(newest, _written(path))
            except OSError:
                missing.append(path)
        gone, self._missing = missing != self._missing, missing
        return gone or newest > at - TICK


def written_after(path: Path, at: int) -> bool:
    """Tell whether a file was written after a time in nanoseconds, or is gone."""
    try:
        return _written(path) > at - TICK
    except OSError:
        return True


def _written(path: str | Path) -> int:
    now = os.lstat(path)
    # The time of writing can be set to any; where there is one of the change, that tells.
    return now.st_ctime_ns if os.name == "posix" else now.st_mtime_ns


def _diff_words(commit: bool, inside: str) -> list[str]:
    words = [
        "-c",
        "diff.noprefix=false",
        "-c",
        "diff.mnemonicPrefix=false",
        "-c",
        "diff.submodule=short",
        "diff",
    ]
    words += ["--no-color", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none"]
    # The lines that tell of a move have no prefix.
    words += (
        [f"--src-prefix=a/{inside}", f"--dst-prefix=b/{inside}", "--no-renames"]
        if inside
        else ["--find-renames"]
    )
    return [*words, "HEAD", "--"] if commit else [*words, "--cached", "--"]


def _popen(
    repo: Repo, words: Iterable[str], *, stdin: bool = False, errors: bool = False
) -> subprocess.Popen[bytes]:
    keep = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    settings = {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "LC_ALL": "C",
    }
    return subprocess.Popen(  # noqa: S603  # words of ours; names go through standard input
        ["git", "-c", "core.fsmonitor=false", *words],  # noqa: S607  # the user's own git, from PATH
        cwd=repo.top,
        env={**keep, **settings},
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if errors else subprocess.DEVNULL,
        start_new_session=True,  # where git is a script, what it starts must end with it
        close_fds=False,  # lets Python use vfork, whose cost does not grow with this process's memory
    )


@contextmanager
def _deadline(process: subprocess.Popen[bytes]) -> Iterator[threading.Event]:
    late = threading.Event()

    def end() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(_PATIENCE, end)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _kill(process: subprocess.Popen[bytes]) -> None:
    if os.name == "posix":
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _run(repo: Repo, words: list[str]) -> str:
    try:
        with _popen(repo, words) as process, _deadline(process):
            answer = process.stdout.read(4096) if process.stdout else b""
            return answer.decode(errors="replace").strip()
    except OSError:
        return ""
