"""Reading the members of one JSON object from a stream, in the memory that its largest single value takes.

Python's own parser does the parsing, value by value: NaN, Infinity, big ints and float bits come as Python wrote them.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

from archiver.errors import IntegrityError

BEGIN = object()
"""Stands for the beginning of a streamed value, also of one without items."""
_CHUNK = 1 << 20
_TAIL = 64
"""A value cut off by the end of what was read fails within so many characters of that end, unless in a string."""
_SUFFIX = 3
_SPACE = " \t\n\r"


def members(file: BinaryIO, streamed: Collection[str] = (), name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (key, value) for each member of the JSON object in a file, in order.

    Arguments:
        file: read from where it stands, to its end.
        streamed: keys whose value is a list (or an object) that may be large: yields (key, BEGIN), then (key, item)
            for each item (or (key, (name, value)) for each member).
        name: how errors name the file.

    Raises IntegrityError, naming the file and the place, for anything that is not one whole JSON object.
    """
    text = _Text(file, name)
    text.expect("{")
    for key in _keys(text, "}"):
        if key in streamed and text.peek() in ("[", "{"):
            yield key, BEGIN
            for item in _items(text):
                yield key, item
        else:
            yield key, text.value()
    text.end()


def elements(file: BinaryIO, name: str = "") -> Iterator[Any]:
    """Yield each element of the JSON list in a file. Raises IntegrityError like `members`."""
    text = _Text(file, name)
    if text.peek() != "[":
        raise text.damaged("not a list")
    yield from _items(text)
    text.end()


def first_character(file: BinaryIO) -> str:
    """Return the first character of a JSON text that is no space."""
    return _Text(file, "").peek()


def _items(text: _Text) -> Iterator[Any]:
    opening = text.take()
    if opening == "[":
        if text.peek() == "]":
            text.take()
            return
        while True:
            yield text.value()
            if text.separator("]"):
                return
    for key in _keys(text, "}"):
        yield key, text.value()


def _keys(text: _Text, closing: str) -> Iterator[str]:
    """Yield each key of an object; the consumer reads its value before it asks for the next."""
    if text.peek() == closing:
        text.take()
        return
    while True:
        key = text.value()
        if not isinstance(key, str):
            raise text.damaged("a key is not a string")
        text.expect(":")
        yield key
        if text.separator(closing):
            return


class _Text:
    """A window of decoded text that moves through the file."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._scan = json.JSONDecoder().raw_decode
        self._buffer = ""
        self._at = 0
        self._before = 0
        self._ended = False

    def peek(self) -> str:
        """Return the next character that is no space, and stay before it; empty at the end."""
        while True:
            while self._at < len(self._buffer):
                if self._buffer[self._at] not in _SPACE:
                    return self._buffer[self._at]
                self._at += 1
            if not self._more(_CHUNK):
                return ""

    def take(self) -> str:
        """Return the next character that is no space, and go past it."""
        found = self.peek()
        self._at += 1
        return found

    def expect(self, wanted: str) -> None:
        """Go past a character. Raises IntegrityError for another."""
        found = self.peek()
        if found != wanted:
            raise self.damaged(
                f"{wanted!r} expected, " + (f"not {found!r}" if found else "but the file ends")
            )
        self._at += 1

    def separator(self, closing: str) -> bool:
        """Go past a comma, or past the closing bracket; tell whether it was the latter."""
        if self.peek() == closing:
            self._at += 1
            return True
        self.expect(",")
        return False

    def end(self) -> None:
        """Make sure that nothing follows."""
        if self.peek():
            raise self.damaged("something follows the end")

    def value(self) -> Any:
        """Parse the next value, reading on until it is whole."""
        if not self.peek():
            raise self.damaged("the file ends too early")
        while True:
            try:
                value, end = self._scan(self._buffer, self._at)
            except json.JSONDecodeError as error:
                cut = error.pos >= len(self._buffer) - _TAIL or error.msg.startswith("Unterminated string")
                # Twice as much each time: a large value is parsed anew a few times, not for every chunk.
                if not cut or not self._more(max(_CHUNK, len(self._buffer) - self._at)):
                    raise self.damaged(error.msg, error.pos) from None
                continue
            except (ValueError, RecursionError) as error:
                raise self.damaged(str(error)) from None
            if len(self._buffer) - end < _SUFFIX and isinstance(value, int | float) and self._more(_CHUNK):
                continue  # `1` may go on as `1.5`, and `1.5` as `1.5e-7`
            self._at = end
            return value

    def damaged(self, why: str, at: int | None = None) -> IntegrityError:
        """Return the error that names the file and the place."""
        place = self._before + (self._at if at is None else at)
        return IntegrityError(f"{self._name or 'the JSON'} is damaged at character {place:,}: {why}")

    def _more(self, size: int) -> bool:
        """Drop what was consumed and read on; False at the end of the file."""
        if self._ended:
            return False
        data = self._file.read(size)
        try:
            read = self._decode.decode(data, final=not data)
        except UnicodeDecodeError as error:
            before = data[: error.start].decode("utf-8", "replace")
            raise self.damaged(f"not UTF-8 ({error.reason})", len(self._buffer) + len(before)) from None
        self._ended = not data
        if self._at > _CHUNK or self._at == len(self._buffer):
            self._before += self._at
            self._buffer = self._buffer[self._at :]
            self._at = 0
        self._buffer += read
        return True
