"""Keys: where every object of an archive lives, and how names become safe parts of keys."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from hashlib import blake2b, sha256
from urllib.parse import unquote

from archiver.errors import ConfigError

ARCHIVE = "archive.json"
RUNS = "runs/"
TIER1 = "tier1/"
TIER2 = "tier2/"
TAPES = "tapes/"
CODE = "code/"
TAGS = "tags/"
CATALOG = "catalog/"
TRASH = "trash/"
BUNDLES = "bundles/"
QUARANTINE = "quarantine/"
"""Records that `verify --repair` set aside; `gc` keeps what they reach."""
VERIFIED = "catalog/verified.json"
"""What the last verify that read data found."""
RECORD_SUFFIX = ".json.zst"
SEGMENT_SUFFIX = ".jsonl.zst"

_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
# File systems take 255 bytes a name; what we add to a name in a key (`universe=`, `.parquet`) must still fit.
_MAX_QUOTED = 230


def quote(name: str) -> str:
    """Percent-quote a name so that it is one safe, reversible part of a key.

    Letters, digits, `_`, `-` and `.` stand for themselves, except a leading `.`; every other byte of the
    UTF-8 text is `%XX`. So no name can be `..`, hold a separator, or be read as a pattern.

    Raises ConfigError for an empty name, text that is not valid Unicode, or one too long for a file name.
    """
    quoted = _quoted(name)
    if len(quoted) > _MAX_QUOTED:
        raise ConfigError(f"name {name[:40]!r}... is too long: at most {_MAX_QUOTED} bytes once quoted")
    return quoted


def universe_part(universe: str) -> str:
    """Return the part of a key that stands for a universe: its quoted name.

    One too long for a file name is cut, and ends in `~` and 16 hex digits of its sha256: records have it whole.
    Raises ConfigError for an empty name, or text that is not valid Unicode.
    """
    quoted = _quoted(universe)
    if len(quoted) <= _MAX_QUOTED:
        return f"universe={quoted}"
    kept = _MAX_QUOTED - 17
    while len(_quoted(universe[:kept])) > _MAX_QUOTED - 17:
        kept -= 1
    return f"universe={_quoted(universe[:kept])}~{sha256(universe.encode()).hexdigest()[:16]}"


def _quoted(name: str) -> str:
    try:
        if _PLAIN.fullmatch(name):
            return name
        raw = name.encode()
    except (AttributeError, TypeError):
        raise ConfigError(f"a name is {name!r}: give a text") from None
    except UnicodeEncodeError:
        raise ConfigError(f"name {name!r} is not valid Unicode: use another name") from None
    if not raw:
        raise ConfigError("a name must not be empty")
    return "".join(
        chr(byte) if byte in _SAFE and not (byte == 0x2E and at == 0) else f"%{byte:02X}"
        for at, byte in enumerate(raw)
    )


def unquote_name(quoted: str) -> str:
    """Return the name that `quote` turned into this part of a key."""
    return unquote(quoted, errors="strict")


def new_run_id(now: datetime | None = None) -> str:
    """Make a run id: UTC second and 32 random bits, so it sorts by time and needs no lock."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def is_run_id(text: str) -> bool:
    """Tell whether the text has the shape of a run id."""
    return _RUN_ID.fullmatch(text) is not None


def record_key(run: str) -> str:
    """Return the key of a run's record."""
    return f"{RUNS}{run}{RECORD_SUFFIX}"


def trash_key(run: str) -> str:
    """Return the key of a pruned run's record."""
    return f"{TRASH}{run}{RECORD_SUFFIX}"


def run_of_record(key: str) -> str | None:
    """Return the run id of a key under `runs/` or `trash/`, or None when the key is no record's."""
    name = key.rsplit("/", 1)[-1]
    run = name.removesuffix(RECORD_SUFFIX)
    return run if name.endswith(RECORD_SUFFIX) and is_run_id(run) else None


def tier1_key(universe: str, run: str) -> str:
    """Return the key of the metrics of a larger run."""
    return f"{TIER1}{universe_part(universe)}/{run}.parquet"


def tier2_key(universe: str, run: str) -> str:
    """Return the key of a run's details."""
    return f"{TIER2}{universe_part(universe)}/{run}/detail.parquet"


def tape_key(sha256: str) -> str:
    """Return the key of a tape, named by its content."""
    return f"{TAPES}{sha256[:2]}/{sha256}.parquet"


def code_key(sha256: str) -> str:
    """Return the key of a captured text, named by the sha256 of its plain bytes."""
    return f"{CODE}{sha256[:2]}/{sha256}.zst"


def tag_key(tag: str, run: str) -> str:
    """Return the key of the marker that says a run has a tag."""
    return f"{TAGS}{quote(tag)}/{run}"


def bundle_key(name: str) -> str:
    """Return the default home of a bundle."""
    return f"{BUNDLES}{quote(name)}.tar.zst"


def digest(text: str) -> int:
    """Return 64 bits that stand for a key where a million of them must be held in memory."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
