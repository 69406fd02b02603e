"""A run's record as bytes: strict JSON in one zstd frame with a checksum. Absent means None or empty."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import orjson
import zstandard

from archiver.errors import FormatError, IntegrityError
from archiver.format.model import Code, CodeFile, Detail, Record, Ref

FORMAT = 1
_LEVEL = 9
_contexts = threading.local()
_MOST_BYTES = 1 << 30
# One damaged record ends what must know all of them; verifying alone would only say so again.
_ASIDE = "`archiver verify --repair` sets it aside"


def compress(data: bytes, level: int = _LEVEL) -> bytes:
    """Return one zstd frame with the size and a checksum of its content."""
    return bytes(zstandard.ZstdCompressor(level=level, write_checksum=True).compress(data))


def decompress(data: bytes, key: str, advice: str = "run `archiver verify --read-data`") -> bytes:
    """Return the content of a zstd frame. Raises IntegrityError, naming the key and what to do, when it is damaged."""
    try:
        if zstandard.frame_content_size(data) > _MOST_BYTES:
            raise IntegrityError(f"{key} is damaged: it claims to hold more than {_MOST_BYTES} bytes")
        return bytes(_decompressor().decompress(data, max_output_size=_MOST_BYTES, allow_extra_data=False))
    except zstandard.ZstdError as error:
        raise IntegrityError(f"{key} is damaged: {error}; {advice}") from None


def _decompressor() -> zstandard.ZstdDecompressor:
    """Return this thread's context: making one takes longer than reading a record."""
    if not hasattr(_contexts, "decompressor"):
        _contexts.decompressor = zstandard.ZstdDecompressor()
    return _contexts.decompressor


def encode_record(record: Record) -> bytes:
    """Write a record."""
    fields: dict[str, Any] = {
        "format": FORMAT,
        "run": record.run,
        "universe": record.universe,
        "created": record.created.astimezone(UTC).isoformat(),
        "strategies": record.strategies,
        "top_n": record.top_n,
        "rank_by": record.rank_by,
        "rows": record.inline,
        "tier1": _ref(record.tier1),
        "tier2": _ref(record.tier2),
        "details": _details(record.details),
        "tapes": [_ref(ref) for ref in record.tapes],
        "code": _code(record.code),
        "metrics": {name: list(bounds) for name, bounds in record.metrics.items()},
        "names": record.names,
        "params": record.params,
        "note": record.note,
        "detail_removed": record.detail_removed,
        "archived": record.archived,
    }
    return compress(_json({key: value for key, value in fields.items() if value not in (None, [], {}, "")}))


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
    text = decompress(data, key, _ASIDE)
    try:
        fields = orjson.loads(text)
        if fields["format"] > FORMAT:
            raise FormatError(f"{key} is of format {fields['format']}: upgrade archiver to read it")
        return _record(fields, len(data))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"{key} is damaged: it holds no record ({type(error).__name__}); {_ASIDE}"
        ) from None


def _record(fields: dict[str, Any], size: int) -> Record:
    details = fields.get("details", {"strategy": [], "rank": [], "group": []})
    return Record(
        run=fields["run"],
        universe=fields["universe"],
        created=datetime.fromisoformat(fields["created"]),
        strategies=fields["strategies"],
        top_n=fields.get("top_n", 0),
        rank_by=fields.get("rank_by"),
        inline=fields.get("rows"),
        tier1=_to_ref(fields.get("tier1")),
        tier2=_to_ref(fields.get("tier2")),
        details=tuple(map(Detail, details["strategy"], details["rank"], details["group"])),
        tapes=tuple(ref for item in fields.get("tapes", ()) if (ref := _to_ref(item))),
        code=_to_code(fields.get("code")),
        metrics={name: (low, high) for name, (low, high) in fields.get("metrics", {}).items()},
        names=fields.get("names", ""),
        params=fields.get("params"),
        note=fields.get("note"),
        detail_removed=fields.get("detail_removed"),
        archived=fields.get("archived"),
        size=size,
    )


def _ref(ref: Ref | None) -> dict[str, Any] | None:
    if ref is None:
        return None
    fields: dict[str, Any] = {"key": ref.key, "size": ref.size, "sha256": ref.sha256}
    return fields | ({"parts": [list(part) for part in ref.parts]} if ref.parts else {})


def _to_ref(fields: dict[str, Any] | None) -> Ref | None:
    if fields is None:
        return None
    parts = tuple((end, sha256) for end, sha256 in fields.get("parts", ()))
    return Ref(fields["key"], fields["size"], fields["sha256"], parts)


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


def _to_code(fields: dict[str, Any] | None) -> Code | None:
    if fields is None:
        return None
    return Code(
        how=fields["how"],
        files=tuple(CodeFile(*file) for file in fields.get("files", ())),
        texts=tuple(CodeFile(*file) for file in fields.get("texts", ())),
        provenance=fields.get("provenance", {}),
        warnings=tuple(fields.get("warnings", ())),
        reason=fields.get("reason"),
    )
