"""Files of a strategy: a tear sheet, a log, a picture. Whatever they are given as, bytes; stored once, by content."""

from __future__ import annotations

import io
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Any

from archiver.errors import ConfigError, IntegrityError
from archiver.format.columnar import class_name
from archiver.format.records import compress, decompress
from archiver.format.values import place

MOST_FILE = 64 << 20
"""Bytes that one file may have."""
_MOST_NAME = 200
_LEVEL = 9
_FORBIDDEN = frozenset('/\\:*?"<>|')


@dataclass(frozen=True, slots=True)
class File:
    """A file: its name, size in bytes, the sha256 of its content and its media type; with its content while it is saved."""

    name: str
    size: int
    sha256: str
    type: str
    data: bytes | None = None

    def told(self) -> dict[str, Any]:
        """Return what is said of it beside its name."""
        return {"size": self.size, "sha256": self.sha256, "type": self.type}


def check_name(name: Any, where: str, *, file: bool = False) -> str:
    """Return the name of a curve, table or file. Raises ConfigError for one that could not be written out again.

    file: as the name of a file in any folder of any system.
    """
    if not isinstance(name, str):
        raise ConfigError(f"{where} has the name {name!r}: give a text")
    bad = not name or not name.isprintable() or len(name.encode("utf-8", "replace")) > _MOST_NAME
    if bad or not _is_unicode(name):
        raise ConfigError(
            f"{where} has the name {name[:40]!r}: give 1 to {_MOST_NAME} bytes of printable text"
        )
    if file and (_FORBIDDEN & set(name) or name.startswith(" ") or name.endswith((" ", "."))):  # fmt: skip
        raise ConfigError(
            f"{where} has the name {name!r}: give a plain file name, without folders, as in 'tearsheet.html'"
        )
    return str.__str__(name)


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def files_of(strategy: str, given: Any) -> dict[str, File]:
    """Return the files that were given with a strategy, with their content as it is now.

    Raises ConfigError, naming strategy and file, for a name or content that cannot be kept.
    """
    where = place(strategy, "files")
    files: dict[str, File] = {}
    for name, value in _items(given, where):
        own = check_name(name, where, file=True)
        data = _content(own, value, f"{where}.{own}")
        if len(data) > MOST_FILE:
            raise ConfigError(
                f"{where}.{own} has {len(data):,} bytes: at most {MOST_FILE:,} are kept; store it elsewhere, and its"
                " place in the archive"
            )
        kind = mimetypes.guess_type(own)[0] or "application/octet-stream"
        files[own] = File(own, len(data), sha256(data).hexdigest(), kind, data)
    return files


def _items(given: Any, where: str) -> list[tuple[Any, Any]]:
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where} is a {type(given).__name__}: give a dict of name and value")
    return list(given.items())


def _content(name: str, value: Any, where: str) -> bytes:
    if isinstance(value, str):
        try:
            return str.__str__(value).encode()
        except UnicodeEncodeError:
            raise ConfigError(f"{where} is text that is not valid Unicode: give bytes") from None
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, PurePath):
        return _read(Path(value), where)
    if isinstance(value, io.BytesIO):
        return value.getvalue()
    if isinstance(value, io.StringIO):
        return value.getvalue().encode()
    kinds = {class_name(base) for base in type(value).__mro__}
    try:
        if ("matplotlib", "Figure") in kinds or ("matplotlib", "FigureBase") in kinds:
            out = io.BytesIO()
            value.savefig(out, format=PurePath(name).suffix[1:].lower() or "png")
            return out.getvalue()
        if ("plotly", "BaseFigure") in kinds:
            # A page brings plotly.js: it opens offline, and in ten years (decision 090).
            text = value.to_json() if name.lower().endswith(".json") else value.to_html(include_plotlyjs=True)
            return str(text).encode()
    except Exception as error:  # a figure draws with its user's own code and fonts
        why = " ".join(str(error).split())[:200]
        raise ConfigError(f"{where}: the figure cannot be drawn ({type(error).__name__}: {why})") from error
    raise ConfigError(
        f"{where} is a {type(value).__name__}: give text, bytes, a pathlib.Path, or a figure of matplotlib or plotly"
    )


def _read(path: Path, where: str) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MOST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"{where}: {path} cannot be read: {error.strerror or error}") from None


def pack_file(data: bytes) -> bytes:
    """Return a file's content as it is stored."""
    return compress(data, _LEVEL)


def unpack_file(stored: bytes, file: File, key: str) -> bytes:
    """Return a file's content. Raises IntegrityError where it is not what its name says."""
    data = decompress(stored, key, most=min(file.size, MOST_FILE))
    if len(data) != file.size or sha256(data).hexdigest() != file.sha256:
        raise IntegrityError(
            f"{key} is damaged: its content is not what its name says; run `archiver verify --read-data`"
        )
    return data
