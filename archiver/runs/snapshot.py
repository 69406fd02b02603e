"""The captured code of a run: read, restored and compared."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from archiver.errors import ConfigError, IntegrityError, NotFoundError
from archiver.format import layout
from archiver.format.model import Code, CodeFile
from archiver.format.records import unpacked
from archiver.format.text import loads
from archiver.store import Store

_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))}
)


class Snapshot:
    """A run's code: which files, what they hold, and what else decided the result.

    `how` says how the files were found, and `reason` why there are none; `warnings` what a reader must know.
    """

    def __init__(self, store: Store, code: Code | None, params: str | None = None) -> None:
        """Take a record's `code` and `params`; nothing is read yet."""
        self._store = store
        self._code = code or Code("none", reason="the run was saved without code")
        self._params = params
        self._environment: str | None = None

    @property
    def how(self) -> str:
        """How the files were found: entry, imports, listed, notebook, cells, lines or none."""
        return self._code.how

    @property
    def reason(self) -> str | None:
        """Why no code was captured, where none was."""
        return self._code.reason

    @property
    def files(self) -> tuple[CodeFile, ...]:
        """The captured files: path relative to the project, size in bytes, sha256, executable or not."""
        return self._code.files

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was left out, and what is not quite what ran."""
        return self._code.warnings

    @property
    def provenance(self) -> dict[str, Any]:
        """What else decided the result: context, entry, argv, git, seed, data, Python, platform, root.

        The last three are read from the store once; where that text is damaged or gone, `environment` says so.
        """
        try:
            lines = self.environment().splitlines()
        except IntegrityError as error:
            return {**self._code.provenance, "environment": str(error)}
        head = (line[2:].partition(": ") for line in lines if line.startswith("# "))
        return {**self._code.provenance, **{name: value for name, _, value in head}}

    def read(self, path: str) -> bytes:
        """Return a captured file's exact bytes; also `environment` and `diff`, where no file has that name.

        Raises NotFoundError for a path that was not captured, IntegrityError where the bytes differ.
        """
        for file in (*self._code.files, *self._code.texts):
            if file.path == path:
                return self._bytes(file)
        raise NotFoundError(f"{path} is not among the captured files: `archiver code RUN` shows them")

    def environment(self) -> str:
        """Return the installed packages as requirements lines, under a head of `# name: value` lines."""
        if self._environment is None:
            self._environment = self._text("environment")
        return self._environment

    def requirements(self) -> str:
        """Return the installed packages as lines for `pip install -r`."""
        lines = self.environment().splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("# "))

    def git_diff(self) -> str:
        """Return the changes of tracked files that were not committed, as `git apply` takes them."""
        return self._text("diff")

    def restore(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the files below a folder that is new or empty: exact bytes, paths and executable bits.

        All bytes are read and verified before the first file is written. Returns the files.

        Raises ConfigError for a folder that holds something, IntegrityError for damage or a path that leaves.
        """
        target = Path(folder)
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise ConfigError(f"{target} is no folder: restore code into a new or empty one")
        if any(map(_is_repository, target.resolve().parts)):
            raise ConfigError(
                f"{target} is git's own, which runs what lies there: restore into another folder"
            )
        if target.is_dir() and any(target.iterdir()):
            raise ConfigError(f"{target} is not empty: restore code into a new or empty folder")
        if not self.files:
            raise NotFoundError(f"there is no code to restore: not captured ({self.reason})")
        contents = [(_inside(target, file.path), self._bytes(file), file.executable) for file in self.files]
        both = {path for path, _, _ in contents} & {
            above for path, _, _ in contents for above in path.parents
        }
        if both:
            raise IntegrityError(f"the record holds {min(both)} as file and as folder: nothing was restored")
        bare = _bare_repository([path for path, _, _ in contents])
        if bare is not None:
            raise IntegrityError(
                f"{bare.relative_to(target)} is a repository of git's, which may run it: nothing was restored"
            )
        for path, data, executable in contents:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o777 if executable else 0o666)
                with open(number, "wb") as out:
                    out.write(data)
            except OSError as error:
                raise ConfigError(
                    f"{path} can't be written ({error.strerror}): restore into another folder"
                ) from None
        return [path for path, _, _ in contents]

    def diff(self, other: Snapshot) -> str:
        """Return what changes from this run's code to another's, as a unified diff; empty where nothing does.

        Compares files, then parameters, packages and provenance.
        """
        parts = [*self._file_diffs(other)]
        parts += _lines_diff("params", _pretty(self._params), _pretty(other._params))
        if self._hash("environment") != other._hash("environment"):
            parts += _lines_diff("environment", self.environment(), other.environment())
        mine, theirs = (_json({**each._code.provenance, "how": each.how}) for each in (self, other))
        parts += _lines_diff("provenance", mine, theirs)
        if self._hash("diff") != other._hash("diff"):
            parts.append(
                "changes of tracked files that were not committed differ: read `diff` of both runs\n"
            )
        return "".join(parts)

    def _file_diffs(self, other: Snapshot) -> Iterator[str]:
        mine = {file.path: file for file in self.files}
        theirs = {file.path: file for file in other.files}
        for path in sorted(mine.keys() | theirs.keys()):
            old, new = mine.get(path), theirs.get(path)
            if old and new and (old.sha256, old.executable) == (new.sha256, new.executable):
                continue
            if old and new and old.executable != new.executable:
                yield f"mode of {path}: {_mode(old)} -> {_mode(new)}\n"
            if old is None or new is None or old.sha256 != new.sha256:
                before = self._bytes(old) if old else b""
                after = other._bytes(new) if new else b""
                names = f"a/{path}" if old else "/dev/null", f"b/{path}" if new else "/dev/null"
                yield from _bytes_diff(*names, before, after)

    def _hash(self, name: str) -> str | None:
        return next((file.sha256 for file in self._code.texts if file.path == name), None)

    def _text(self, name: str) -> str:
        file = next((file for file in self._code.texts if file.path == name), None)
        return self._bytes(file).decode("utf-8", "replace") if file is not None else ""

    def _bytes(self, file: CodeFile) -> bytes:
        import zstandard

        key = layout.code_key(file.sha256)
        try:
            stored = self._store.get(key)
        except NotFoundError:
            raise IntegrityError(f"{key} ({file.path}) is gone: run `archiver verify`") from None
        try:
            data = b"".join(unpacked(stored, file.size))
        except zstandard.ZstdError as error:
            raise IntegrityError(f"{key} ({file.path}) is damaged: {error}; run `archiver verify`") from None
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise IntegrityError(
                f"{key} ({file.path}) is damaged: not the bytes saved; run `archiver verify`"
            )
        return data


def _inside(folder: Path, name: str) -> Path:
    """Return where a captured path goes below the folder. Raises IntegrityError where it would leave it."""
    parts = PurePosixPath(name).parts
    foreign = any(char in name for char in ("\\", ":")) if os.name == "nt" else False
    reserved = os.name == "nt" and any(part.split(".")[0].lower() in _RESERVED for part in parts)
    if any(map(_is_repository, parts)):
        raise IntegrityError(
            f"the record holds the path {name!r}, which git would take for its own and run: nothing was restored"
        )
    if not parts or name.startswith("/") or ".." in parts or "\0" in name or foreign or reserved:
        raise IntegrityError(
            f"the record holds the path {name!r}, which leaves {folder}: nothing was restored"
        )
    return folder.joinpath(*parts)


def _is_repository(part: str) -> bool:
    """Tell whether a file system may take a name for `.git`, whose hooks and configuration git runs.

    Case, ends and streams do not count for NTFS, nor do invisible letters for HFS+; both have other names for it.
    """
    visible = "".join(
        char for char in unicodedata.normalize("NFKC", part) if unicodedata.category(char) != "Cf"
    )
    name = re.split(r"[:\\]", visible.lower())
    return any(re.fullmatch(r"\.git|git~\d+|\.gi\d*~\d+", piece.rstrip(" .")) is not None for piece in name)


def _bare_repository(paths: Sequence[Path]) -> Path | None:
    """Return a folder that git takes for a repository without `.git`, as HEAD, objects and refs in it make one."""
    lower = [Path(str(path).lower()) for path in paths]
    folders = {folder for path in lower for folder in path.parents}
    for path, low in zip(paths, lower, strict=True):
        if low.name == "head" and {low.parent / "objects", low.parent / "refs"} <= folders:
            return path
    return None


def _mode(file: CodeFile) -> str:
    return "755" if file.executable else "644"


def _pretty(params: str | None) -> str:
    return "" if params is None else _json(loads(params))


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _bytes_diff(old_name: str, new_name: str, before: bytes, after: bytes) -> list[str]:
    try:
        return _unified(old_name, new_name, before.decode(), after.decode())
    except UnicodeDecodeError:
        return [f"Binary files {old_name} and {new_name} differ\n"]


def _lines_diff(name: str, before: str, after: str) -> list[str]:
    return _unified(f"a/[{name}]", f"b/[{name}]", before, after) if before != after else []


def _unified(old_name: str, new_name: str, before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(_lines(before), _lines(after), old_name, new_name)
    return [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]


def _lines(text: str) -> list[str]:
    """Split at newlines alone, as `patch` does: str.splitlines splits at form feeds and their like, too."""
    *lines, last = text.split("\n")
    return [f"{line}\n" for line in lines] + ([last] if last else [])
