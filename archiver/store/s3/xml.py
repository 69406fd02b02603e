"""What S3 says and hears in XML: a page of a listing, what a bulk deletion failed at, why a request was refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET
from xml.parsers import expat
from xml.sax.saxutils import escape

from archiver.store.failures import TruncatedError

_READ = frozenset(("Key", "Size", "LastModified", "IsTruncated", "NextContinuationToken", "EncodingType"))
"""What is read of a listing."""
_ROOT = "/"


class Found(NamedTuple):
    """An object in a listing."""

    name: str
    size: int
    modified: datetime


class Page(NamedTuple):
    """Part of a listing, and where the next part begins: None after the last one."""

    objects: list[Found]
    following: str | None


def read_page(body: bytes) -> Page:
    """Read an answer to ListObjectsV2. Raises TruncatedError for anything else."""
    # A tree of elements takes twice as long.
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    objects: list[Found] = []
    of_page: dict[str, str] = {}
    of_object: dict[str, str] = {}
    texts: list[str] = []
    inside = of_page

    def start(name: str, _: object) -> None:
        nonlocal inside
        if name in _READ:
            texts.clear()
            parser.CharacterDataHandler = texts.append
        elif name == "Contents":
            inside = of_object
        elif not of_page:
            of_page[_ROOT] = name

    def end(name: str) -> None:
        nonlocal inside
        if name in _READ:
            parser.CharacterDataHandler = None
            text = "".join(texts)
            if name == "Key" and not text:
                raise ValueError("an object without a name")
            inside[name] = text
        elif name == "Contents":
            found = Found(of_object["Key"], int(of_object["Size"]), _moment(of_object["LastModified"]))
            objects.append(found)
            of_object.clear()
            inside = of_page

    parser.StartElementHandler, parser.EndElementHandler = start, end
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, LookupError, ValueError):
        raise TruncatedError("an answer that is no whole listing") from None
    more = of_page.get("IsTruncated", "").strip().lower()
    if of_page.get(_ROOT) != "ListBucketResult" or more not in ("true", "false"):
        raise TruncatedError("an answer that is no listing")
    if of_page.get("EncodingType") == "url":
        objects = [
            found._replace(name=unquote_plus(found.name)) if _quoted(found.name) else found
            for found in objects
        ]
    return Page(objects, of_page.get("NextContinuationToken", "") if more == "true" else None)


def _quoted(name: str) -> bool:
    return "%" in name or "+" in name


def _refuse_doctype(*_: object) -> None:
    raise ValueError("a document type, which could define entities that grow")


def read_failures(body: bytes) -> list[dict[str, str]]:
    """Read an answer to DeleteObjects: Key, Code and Message of what was not deleted. Raises TruncatedError."""
    root = _parse(body, "DeleteResult")
    space = root.tag.removesuffix("DeleteResult")
    return [_fields(item) for item in root.iterfind(f"{space}Error")]


def write_deletion(names: Iterable[str]) -> bytes:
    """Return the body of DeleteObjects, which is to answer with failures only."""
    objects = "".join(f"<Object><Key>{escape(name)}</Key></Object>" for name in names)
    return (
        f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{objects}<Quiet>true</Quiet></Delete>'
    ).encode()


def can_be_written(name: str) -> bool:
    """Tell whether XML can name an object; it knows no control characters, and changes line ends."""
    return name.isprintable() or not any(mark < " " or mark in "\x7f\ufffe\uffff" for mark in name)


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return why a request was refused, as botocore would say it."""
    try:
        said = _fields(_parse(body, "Error"))
    except TruncatedError:
        said = {}
    said.setdefault("Code", str(status))
    return {"Error": said, "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": dict(headers)}}


def is_error(body: bytes) -> bool:
    """Tell whether an answer of status 200 is a refusal that came too late for another status."""
    return b"<Error" in body[:1000] and b"<DeleteResult" not in body[:1000]


def _parse(body: bytes, name: str) -> ET.Element:
    # Without a document type there are no entities that could grow or fetch; in an encoding of two bytes it would not be seen.
    if b"<!DOCTYPE" in body or b"\0" in body:
        raise TruncatedError("an answer with a document type, which S3 never sends")
    try:
        root = ET.fromstring(body)  # noqa: S314 - see above
    except (ET.ParseError, ValueError, LookupError):
        raise TruncatedError("an answer that is no XML") from None
    if root.tag.rpartition("}")[2] != name:
        raise TruncatedError(f"an answer that is no {name}")
    return root


def _fields(item: ET.Element) -> dict[str, str]:
    return {child.tag.rpartition("}")[2]: child.text or "" for child in item}


def _moment(text: str) -> datetime:
    """Read a time, to the second: HEAD tells no more, LIST of some servers does, and they must agree."""
    if text.endswith("Z"):
        return datetime.fromisoformat(text[:19] + "+00:00")
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(microsecond=0)
