"""The lifecycle configuration of a bucket: its XML cut into rules, each with its very bytes and what they mean."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET
from xml.parsers import expat
from xml.sax.saxutils import escape

from archiver.errors import StorageError

EMPTY = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LifecycleConfiguration>'
)
Meaning = tuple[str, Any]
"""An element as (name, text), or (name, its parts sorted): equal for documents that say the same."""


@dataclass(frozen=True, slots=True)
class Move:
    """A change of storage class after so many days, or on a date."""

    storage_class: str
    days: int | None = None
    date: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its bytes, and what of it matters here. Numbers are days or bytes; None is "not said"."""

    id: str
    xml: bytes
    meaning: Meaning
    enabled: bool
    prefix: str
    tags: tuple[tuple[str, str], ...] = ()
    larger: int | None = None
    smaller: int | None = None
    expire_days: int | None = None
    expire_date: datetime | None = None
    markers: bool = False
    moves: tuple[Move, ...] = ()
    old_days: int | None = None
    abort_days: int | None = None
    known: bool = True

    @property
    def removes(self) -> bool:
        """Whether the rule removes objects that are current."""
        return self.expire_days is not None or self.expire_date is not None


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration, in which the rules stand at `spans` of the bytes."""

    xml: bytes
    rules: tuple[Rule, ...]
    spans: tuple[tuple[int, int], ...]
    end: int

    def replaced(self, without: Iterable[Rule], more: Iterable[Rule]) -> bytes:
        """Return the bytes without some rules and with more at the end; everything else stays byte for byte."""
        gone = set(map(id, without))
        parts, at = [], 0
        for rule, (begin, end) in zip(self.rules, self.spans, strict=True):
            if id(rule) in gone:
                parts.append(self.xml[at:begin])
                at = end
        parts.append(self.xml[at : self.end])
        parts.extend(rule.xml for rule in more)
        parts.append(self.xml[self.end :])
        return b"".join(parts)

    @property
    def meaning(self) -> list[Meaning]:
        """What all the rules say, in an order of its own."""
        return sorted((rule.meaning for rule in self.rules), key=repr)


def parse(xml: bytes | None) -> Document:
    """Read a configuration; None is one without rules. Raises StorageError for what is none."""
    text = EMPTY if xml is None else xml
    try:
        spans, end = _spans(text)
        elements = [item for item in ET.fromstring(text) if _name(item) == "Rule"]  # noqa: S314 - the bucket's own server sent it
        rules = [_rule(item, text[begin:stop]) for item, (begin, stop) in zip(elements, spans, strict=True)]
    except (expat.ExpatError, ET.ParseError, ValueError) as error:
        raise StorageError(
            f"the bucket's lifecycle rules cannot be read ({error}): nothing was changed; report this"
        ) from None
    if not rules and text != EMPTY:
        return parse(None)  # perhaps one empty tag, which has no place for rules
    return Document(text, tuple(rules), tuple(spans), end)


def rule(xml: str) -> Rule:
    """Read one rule that was written here, as the server will read it."""
    return parse(EMPTY.replace(b"></", b">" + xml.encode() + b"</")).rules[0]


class Xml(str):
    """Text that is XML already."""

    __slots__ = ()


def element(name: str, *content: str | int) -> Xml:
    """Write an element around text, which is escaped, or around other elements."""
    inner = "".join(part if isinstance(part, Xml) else escape(str(part)) for part in content)
    return Xml(f"<{name}>{inner}</{name}>")


def _spans(xml: bytes) -> tuple[list[tuple[int, int]], int]:
    """Find where each rule begins and ends, and where the end tag of the whole begins."""
    reader = expat.ParserCreate(namespace_separator=" ")
    depth = 0
    begin = 0
    spans: list[tuple[int, int]] = []
    end = [0]

    def opened(name: str, _attributes: Any) -> None:
        nonlocal depth, begin
        if depth == 0 and name.rpartition(" ")[2] != "LifecycleConfiguration":
            raise ValueError(f"it begins with {name.rpartition(' ')[2]}")
        if depth == 1:
            begin = reader.CurrentByteIndex
        depth += 1

    def closed(name: str) -> None:
        nonlocal depth
        depth -= 1
        at = reader.CurrentByteIndex
        if depth == 1 and name.rpartition(" ")[2] == "Rule":
            # `<Rule/>` is reported with its end at the place where it begins.
            spans.append((begin, xml.index(b">", at) + 1))
        elif depth == 0:
            end[0] = at

    reader.StartElementHandler, reader.EndElementHandler = opened, closed
    reader.Parse(xml, True)
    return spans, end[0]


def _rule(item: ET.Element, xml: bytes) -> Rule:
    fields = {_name(part): part for part in item}
    filters = [part for name in ("Filter",) if name in fields for part in fields[name].iter()]
    found = {_name(part): part.text or "" for part in filters if not len(part)}
    expiration = _texts(fields.get("Expiration"))
    old = _texts(fields.get("NoncurrentVersionExpiration"))
    abort = _texts(fields.get("AbortIncompleteMultipartUpload"))
    own_prefix = fields["Prefix"].text if "Prefix" in fields else None
    return Rule(
        id=_text(fields.get("ID")),
        xml=xml,
        meaning=_meaning(item),
        enabled=_text(fields.get("Status")) == "Enabled",
        prefix=found.get("Prefix", "") or own_prefix or "",
        tags=tuple(_tag(part) for part in filters if _name(part) == "Tag"),
        larger=_int(found.get("ObjectSizeGreaterThan")),
        smaller=_int(found.get("ObjectSizeLessThan")),
        expire_days=_int(expiration.get("Days")),
        expire_date=_date(expiration.get("Date")),
        markers=expiration.get("ExpiredObjectDeleteMarker", "").strip().lower() == "true",
        moves=tuple(_move(_texts(part)) for part in item if _name(part) == "Transition"),
        old_days=_int(old.get("NoncurrentDays")),
        abort_days=_int(abort.get("DaysAfterInitiation")),
        known={_name(part) for part in item} <= _KNOWN and {_name(part) for part in filters} <= _FILTERS,
    )


_SAYS_NOTHING = [("ExpiredObjectDeleteMarker", "false")]
"""What some servers add to what they were sent."""
_NAMES = {"ID", "Prefix", "Key", "Value"}
_KNOWN = {
    "ID",
    "Status",
    "Prefix",
    "Filter",
    "Expiration",
    "Transition",
    "NoncurrentVersionExpiration",
    "NoncurrentVersionTransition",
    "AbortIncompleteMultipartUpload",
}
_FILTERS = {
    "Filter",
    "And",
    "Prefix",
    "Tag",
    "Key",
    "Value",
    "ObjectSizeGreaterThan",
    "ObjectSizeLessThan",
}


def _meaning(item: ET.Element) -> Meaning:
    name = _name(item)
    if not len(item):
        return name, _plain(name, item.text or "")
    parts = [_meaning(part) for part in item]
    parts = [part for part in parts if part not in _SAYS_NOTHING]
    if name == "Rule":
        parts = _one_filter(parts)
    return name, tuple(sorted(parts, key=repr))


def _one_filter(parts: list[Meaning]) -> list[Meaning]:
    """Write the older `<Prefix>` of a rule, an empty filter and a missing one in the one way they are all the same."""
    prefix = next((value for name, value in parts if name == "Prefix"), "")
    parts = [part for part in parts if part[1] != "" or part[0] in ("Filter", "Prefix")]
    if ("Filter", (("Prefix", prefix),)) in parts:
        return [part for part in parts if part[0] != "Prefix"]
    if next((value for name, value in parts if name == "Filter"), "") in ("", (("Prefix", ""),)):
        rest = [part for part in parts if part[0] not in ("Filter", "Prefix")]
        return [*rest, ("Filter", (("Prefix", prefix),))]
    return [part for part in parts if part[0] != "Prefix" or part[1]]


def _plain(name: str, text: str) -> str:
    """Write a value in one way: servers add fractions of a second, zeros and capitals."""
    if name in _NAMES:
        return text
    text = text.strip()
    if name == "Date" and (moment := _date(text)) is not None:
        return moment.isoformat()
    if name == "ExpiredObjectDeleteMarker":
        return text.lower()
    return str(int(text)) if text.isdigit() else text


def _name(item: ET.Element) -> str:
    return item.tag.rpartition("}")[2]


def _text(item: ET.Element | None) -> str:
    return "" if item is None else (item.text or "")


def _texts(item: ET.Element | None) -> dict[str, str]:
    return {} if item is None else {_name(part): part.text or "" for part in item}


def _tag(item: ET.Element) -> tuple[str, str]:
    texts = _texts(item)
    return texts.get("Key", ""), texts.get("Value", "")


def _move(texts: dict[str, str]) -> Move:
    return Move(texts.get("StorageClass", "").strip(), _int(texts.get("Days")), _date(texts.get("Date")))


def _int(text: str | None) -> int | None:
    return int(text) if text else None


def _date(text: str | None) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text.strip())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
