"""What S3 says and hears in XML: a page of a listing, what a bulk deletion failed at, why a request was refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from archiver.store.failures import TruncatedError


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
    root = _parse(body, "ListBucketResult")
    space = root.tag.removesuffix("ListBucketResult")
    more = root.findtext(f"{space}IsTruncated")
    if more is None:
        raise TruncatedError("a listing that does not say whether it is complete")
    quoted = root.findtext(f"{space}EncodingType") == "url"
    key, size, modified = (space + name for name in ("Key", "Size", "LastModified"))
    objects = []
    try:
        for item in root.iterfind(f"{space}Contents"):
            name = item.findtext(key, "")
            if not name:
                raise ValueError("no name")
            if quoted and ("%" in name or "+" in name):
                name = unquote_plus(name)
            objects.append(Found(name, int(item.findtext(size, "")), _moment(item.findtext(modified, ""))))
    except ValueError:
        raise TruncatedError("a listing with an object without name, size or time") from None
    following = root.findtext(f"{space}NextContinuationToken") or ""
    return Page(objects, following if more.strip().lower() == "true" else None)


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
