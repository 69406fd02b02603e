"""A run's record as bytes: strict JSON in one zstd frame with a checksum. Absent means None or empty.

What is read may be damaged or hostile: the size of a frame's content is looked at before it is unpacked, and the
type of every field is checked here, once. So whoever holds a Record need not look again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from itertools import pairwise
from typing import Any

import orjson
import zstandard

from archiver.errors import ConfigError, FormatError, IntegrityError
from archiver.format import fields as check
from archiver.format.layout import quote
from archiver.format.model import Code, CodeFile, Detail, Record, Ref
from archiver.format.text import loads

FORMAT = 2
"""The newest format that is read; a record that older archivers read as well is of format 1."""
MOST_STORED = 64 << 20
"""Bytes of a record as it is stored, at most."""
_LEVEL = 9
_contexts = threading.local()
_PIECE = 1 << 20
_NUMBERS = (float, int)
_OF_DETAILS = ("strategy", "rank", "group")
_MOST_PLAIN, _FEW_PLAIN, _RATIO = 256 << 20, 4 << 20, 64
# Verifying alone would only say again what reading has said.
ASIDE = "`archiver verify --repair` sets it aside"


def compress(data: bytes, level: int = _LEVEL) -> bytes:
    """Return one zstd frame with the size and a checksum of its content."""
    compressors: dict[int, zstandard.ZstdCompressor] = _contexts.__dict__.setdefault("compressors", {})
    if level not in compressors:
        compressors[level] = zstandard.ZstdCompressor(level=level, write_checksum=True)
    return bytes(compressors[level].compress(data))


def most_plain(stored: int, *, few: int = _FEW_PLAIN, ratio: int = _RATIO) -> int:
    """Return how many plain bytes a frame of so many bytes may hold: real ones shrink by less, bombs by thousands."""
    return min(_MOST_PLAIN, few + ratio * stored)


def decompress(
    data: bytes, key: str, advice: str = "run `archiver verify --read-data`", *, most: int | None = None
) -> bytes:
    """Return the content of a zstd frame.

    most: plain bytes it may hold; None: as many as a record of its size. Raises IntegrityError, naming the key and
    what to do, when it is damaged or claims to hold more.
    """
    most = most_plain(len(data)) if most is None else most
    try:
        if zstandard.frame_content_size(data) > most:
            raise IntegrityError(f"{key} is damaged: it claims to hold more than {most:,} bytes; {advice}")
        return bytes(_decompressor().decompress(data, max_output_size=most, allow_extra_data=False))
    except zstandard.ZstdError as error:
        raise IntegrityError(f"{key} is damaged: {error}; {advice}") from None


def unpacked(data: bytes, size: int) -> Iterator[bytes]:
    """Yield the content of a frame in pieces, and no more than shows that it is larger than `size`.

    What claims to be small may unpack to anything. Raises zstandard.ZstdError for damage.
    """
    with zstandard.ZstdDecompressor().stream_reader(data) as reader:
        while size >= 0 and (piece := reader.read(min(_PIECE, size + 1))):
            size -= len(piece)
            yield piece


def _decompressor() -> zstandard.ZstdDecompressor:
    """Return this thread's context: making one takes longer than reading a record."""
    if not hasattr(_contexts, "decompressor"):
        _contexts.decompressor = zstandard.ZstdDecompressor()
    return _contexts.decompressor


def encode_record(record: Record) -> bytes:
    """Write a record. Raises ConfigError for one that is too large to be read again."""
    fields: dict[str, Any] = {
        "format": record.format,
        "run": record.run,
        "universe": record.universe,
        "created": record.created.astimezone(UTC).isoformat(),
        "strategies": record.strategies,
        "top_n": record.top_n,
        "rank_by": record.rank_by,
        "rows": record.inline,
        "tier1": ref_fields(record.tier1),
        "tier2": ref_fields(record.tier2),
        "details": _details(record.details),
        "tapes": [ref_fields(ref) for ref in record.tapes],
        "clocks": [ref_fields(ref) for ref in record.clocks],
        "files": [ref_fields(ref) for ref in record.files],
        "code": _code(record.code),
        "metrics": {name: list(bounds) for name, bounds in record.metrics.items()},
        "names": record.names,
        "params": record.params,
        "note": record.note,
        "detail_removed": record.detail_removed,
        "archived": record.archived,
        "detail": None if record.inline_detail is None else record.inline_detail.decode(),
        "tags": list(record.tags),
    }
    text = _json({key: value for key, value in fields.items() if value not in (None, [], {}, "")})
    data = compress(text)
    if len(data) > MOST_STORED or len(text) > most_plain(len(data)):
        raise ConfigError(
            f"the record of {record.run} would have {len(text):,} bytes, more than a reader takes: give smaller params"
            " or a shorter note, or keep fewer details"
        )
    return data


def encode_code(code: Code) -> bytes:
    """Write the part of a record that tells of its code. Raises what `encode_record` would raise for it."""
    return _json(_code(code) or {})


def _json(fields: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(fields)
    except TypeError:
        # A file's name or an argument that is not Unicode: it is for people, so an escape does.
        return orjson.dumps(_escaped(fields))


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    return value


def decode_record(data: bytes, key: str) -> Record:
    """Read a record. Raises IntegrityError when it is damaged, FormatError when it is of a newer format."""
    return decode_both(data, key)[0]


def decode_both(data: bytes, key: str) -> tuple[Record, dict[str, Any]]:
    """Read a record as `decode_record` does, and its JSON."""
    if len(data) > MOST_STORED:
        raise IntegrityError(f"{key} is damaged: a record has at most {MOST_STORED:,} bytes; {ASIDE}")
    plain = decompress(data, key, ASIDE)
    try:
        fields = check.members(orjson.loads(plain), "record")
        version = fields.get("format")
        if type(version) is int and version > FORMAT:
            raise FormatError(f"{key} is of format {version}: upgrade archiver to read it")
        if type(version) is not int or version < 1:
            raise check.FieldError("format", f"1 to {FORMAT}", version)
        return _record(fields, len(data)), fields
    except ValueError as error:
        why = error if isinstance(error, check.FieldError) else "it is not JSON"
        raise IntegrityError(f"{key} is damaged: it holds no record ({why}); {ASIDE}") from None


def rows_of(record: Record) -> list[dict[str, Any]]:
    """Return the rows that a record of a small run holds as text, none for a larger run.

    Raises IntegrityError where the text is no list of rows of different strategies, as many as the record says.
    """
    if record.inline is None:
        return []
    rows = _text_of(record, "rows", record.inline)
    try:
        names = {
            check.text(check.members(row, f"rows[{at}]").get("strategy_name"), f"rows[{at}].strategy_name")
            for at, row in enumerate(check.items(rows, "rows"))
        }
    except check.FieldError as error:
        raise _damaged(record, str(error)) from None
    if not len(names) == len(rows) == record.strategies:
        raise _damaged(record, f"`rows` has {len(names):,} strategies, not {record.strategies:,}")
    found: list[dict[str, Any]] = rows
    return found


def params_of(record: Record) -> dict[str, Any] | None:
    """Return the parameters of a run. Raises IntegrityError where the record's text is no JSON object."""
    if record.params is None:
        return None
    try:
        return check.members(_text_of(record, "params", record.params), "params")
    except check.FieldError as error:
        raise _damaged(record, str(error)) from None


def _text_of(record: Record, field: str, text: str) -> Any:
    try:
        return check.shallow(loads(text), field)
    except check.FieldError as error:
        raise _damaged(record, str(error)) from None
    except (ValueError, RecursionError):
        raise _damaged(record, f"`{field}` is no JSON text") from None


def _damaged(record: Record, why: str) -> IntegrityError:
    return IntegrityError(f"the record of {record.run} is damaged: {why}; {ASIDE}")


def _record(fields: dict[str, Any], size: int) -> Record:
    return Record(
        run=check.text(fields.get("run"), "run"),
        universe=_name(fields.get("universe"), "universe"),
        created=check.moment(fields.get("created"), "created"),
        strategies=check.count(fields.get("strategies"), "strategies"),
        top_n=check.count(fields.get("top_n", 0), "top_n", 2**63 - 1),
        rank_by=check.maybe_text(fields.get("rank_by"), "rank_by"),
        inline=check.maybe_text(fields.get("rows"), "rows"),
        tier1=to_ref(fields.get("tier1"), "tier1"),
        tier2=to_ref(fields.get("tier2"), "tier2"),
        details=_to_details(check.members(fields.get("details"), "details")),
        tapes=check.each(check.items(fields.get("tapes"), "tapes"), "tapes", _some_ref),
        clocks=check.each(check.items(fields.get("clocks"), "clocks"), "clocks", _some_ref),
        files=check.each(check.items(fields.get("files"), "files"), "files", _plain_ref),
        format=fields["format"],
        code=_to_code(fields.get("code")),
        metrics=to_ranges(check.members(fields.get("metrics"), "metrics")),
        names=check.text(fields.get("names", ""), "names"),
        params=check.maybe_text(fields.get("params"), "params"),
        note=check.maybe_text(fields.get("note"), "note"),
        detail_removed=check.maybe_text(fields.get("detail_removed"), "detail_removed"),
        archived=check.maybe_text(fields.get("archived"), "archived"),
        inline_detail=_to_inline(check.maybe_text(fields.get("detail"), "detail")),
        tags=check.each(check.items(fields.get("tags"), "tags"), "tags", _to_tag),
        size=size,
    )


def _to_inline(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "replace")


def _to_tag(value: Any, at: str) -> str:
    """Return a tag: what could be the name of one, for it is shown, filtered by, and made a key of."""
    try:
        quote(check.text(value, at))
    except ConfigError:
        raise check.FieldError(at, "a tag", value) from None
    return str(value)


def _name(value: Any, field: str) -> str:
    if not check.text(value, field):
        raise check.FieldError(field, "a name", value)
    return str(value)


def ref_fields(ref: Ref | None) -> dict[str, Any] | None:
    """Return what a record says of an object."""
    if ref is None:
        return None
    fields: dict[str, Any] = {"key": ref.key, "size": ref.size, "sha256": ref.sha256}
    return fields | ({"parts": [list(part) for part in ref.parts]} if ref.parts else {})


def to_ref(value: Any, field: str) -> Ref | None:
    """Read what a record says of an object. Raises FieldError."""
    return None if value is None else _some_ref(value, field)


def _some_ref(value: Any, field: str) -> Ref:
    if value is None:
        raise check.FieldError(field, "an object", value)
    fields = check.members(value, field)
    size = check.count(fields.get("size"), f"{field}.size")
    parts = check.each(check.items(fields.get("parts"), f"{field}.parts"), f"{field}.parts", _part)
    ends = [end for end, _ in parts]
    if ends and (ends[0] <= 0 or ends[-1] != size or any(a >= b for a, b in pairwise(ends))):
        raise check.FieldError(f"{field}.parts", "parts that cover the object", value)
    return Ref(
        _name(fields.get("key"), f"{field}.key"),
        size,
        check.sha256(fields.get("sha256"), f"{field}.sha256"),
        parts,
    )


def _plain_ref(value: Any, field: str) -> Ref:
    return replace(_some_ref(value, field), plain=True)


def _part(value: Any, field: str) -> tuple[int, str]:
    if type(value) is not list or len(value) != 2:
        raise check.FieldError(field, "an end and a sha256", value)
    return check.count(value[0], field), check.sha256(value[1], field)


def _to_details(fields: dict[str, Any]) -> tuple[Detail, ...]:
    names, ranks, groups = (check.items(fields.get(name), f"details.{name}") for name in _OF_DETAILS)
    if not len(names) == len(ranks) == len(groups):
        raise check.FieldError("details", "lists of one length", fields)
    check.all_of(str, names, "details.strategy")
    for name, numbers in (("rank", ranks), ("group", groups)):
        check.all_of(int, numbers, f"details.{name}")
        if numbers and not 0 <= min(numbers) <= max(numbers) <= check.MOST:
            raise check.FieldError(f"details.{name}", "counts", numbers)
    return tuple(map(Detail, names, ranks, groups))


def to_ranges(fields: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Read the least and the greatest value of each metric. Raises FieldError."""
    ranges: dict[str, tuple[float, float]] = {}
    for name, bounds in fields.items():
        if type(bounds) is list and len(bounds) == 2:
            low, high = bounds
            if type(low) in _NUMBERS and type(high) in _NUMBERS:
                ranges[name] = (low, high)
                continue
        raise check.FieldError(f"metrics.{name[:80]}", "the least and the greatest value", bounds)
    return ranges


def _details(details: tuple[Detail, ...]) -> dict[str, Any] | None:
    if not details:
        return None
    return {
        "strategy": [detail.strategy for detail in details],
        "rank": [detail.rank for detail in details],
        "group": [detail.group for detail in details],
    }


def _code(code: Code | None) -> dict[str, Any] | None:
    if code is None:
        return None
    fields = {
        "how": code.how,
        "files": [_file(file) for file in code.files],
        "texts": [_file(file) for file in code.texts],
        "provenance": code.provenance,
        "warnings": list(code.warnings),
        "reason": code.reason,
    }
    return {key: value for key, value in fields.items() if value not in (None, [], {})}


def _file(file: CodeFile) -> list[Any]:
    return [file.path, file.size, file.sha256, *([True] if file.executable else [])]


def _to_code(value: Any) -> Code | None:
    if value is None:
        return None
    fields = check.members(value, "code")
    return Code(
        how=check.text(fields.get("how"), "code.how"),
        files=check.each(check.items(fields.get("files"), "code.files"), "code.files", _to_file),
        texts=check.each(check.items(fields.get("texts"), "code.texts"), "code.texts", _to_file),
        provenance=_to_provenance(check.members(fields.get("provenance"), "code.provenance")),
        warnings=tuple(
            check.all_of(str, check.items(fields.get("warnings"), "code.warnings"), "code.warnings")
        ),
        reason=check.maybe_text(fields.get("reason"), "code.reason"),
    )


def _to_provenance(fields: dict[str, Any]) -> dict[str, Any]:
    """Return plain data of any kind, but for the members that pages and commands know."""
    check.all_of(str, check.items(fields.get("argv"), "code.provenance.argv"), "code.provenance.argv")
    git = check.members(fields.get("git"), "code.provenance.git")
    for name in ("commit", "branch"):
        check.maybe_text(git.get(name), f"code.provenance.git.{name}")
    if type(git.get("dirty")) not in (bool, type(None)):
        raise check.FieldError("code.provenance.git.dirty", "true or false", git["dirty"])
    found: dict[str, Any] = check.shallow(fields, "code.provenance")
    return found


def _to_file(value: Any, field: str) -> CodeFile:
    if (
        type(value) is not list
        or len(value) not in (3, 4)
        or (len(value) == 4 and type(value[3]) is not bool)
    ):
        raise check.FieldError(field, "a path, a size, a sha256 and whether it is executable", value)
    return CodeFile(
        check.text(value[0], field), check.count(value[1], field), check.sha256(value[2], field), *value[3:]
    )
