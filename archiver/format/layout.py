"""Keys: where every object of an archive lives, and how names become safe parts of keys."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from hashlib import blake2b, sha256
from typing import NamedTuple
from urllib.parse import unquote

from archiver.base.run_id import RUN_ID, SECOND
from archiver.errors import ConfigError

ARCHIVE = "archive.json"
RUNS = "runs/"
TIER1 = "tier1/"
TIER2 = "tier2/"
TAPES = "tapes/"
CLOCKS = "clocks/"
CODE = "code/"
FILES = "files/"
SHARED = (TAPES, CLOCKS, CODE, FILES)
"""Objects that are named by their content, and so belong to many runs."""
DATA = (TIER1, TIER2, *SHARED)
"""What records refer to: without a record that does, it is garbage."""
FRAMES = (CODE, FILES)
"""Of these, what is a zstd frame, named by the sha256 of its plain bytes."""
TAGS = "tags/"
UNTAGGED = "untagged/"
"""Markers of tags that a record gives its run, and that were taken off since."""
MARKERS = (TAGS, UNTAGGED)
CATALOG = "catalog/"
TRASH = "trash/"
OPEN = "open/"
REVISED = "revised/"
"""Records that take the place of those in `runs/` or in a pack."""
PACKS = "packs/"
MASKS = "masks/"
"""Runs that were freed and that a pack still holds."""
BUNDLES = "bundles/"
QUARANTINE = "quarantine/"
"""Records that `verify --repair` set aside; `gc` keeps what they reach."""
AREAS = (RUNS, REVISED, PACKS, MASKS, OPEN, TRASH, QUARANTINE, *DATA, *MARKERS, CATALOG, BUNDLES)
"""All that archiver makes but ARCHIVE lies below one of these; whoever judges what is ours begins with them, and takes away."""
VERIFIED = "catalog/verified.json"
"""What the last verify that read data found."""
RECORD_SUFFIX = ".json.zst"
SEGMENT_SUFFIX = ".jsonl.zst"

_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_RECORD = re.compile(rf"(runs/|trash/|quarantine/runs/|quarantine/trash/)({RUN_ID})\.json\.zst")
_OTHERS = re.compile(
    rf"(?P<tier1>tier1/)(?P<u1>universe=[^/]+)/(?P<r1>{RUN_ID})(?:\.[0-9a-f]{{8}})?\.parquet"
    rf"|(?P<tier2>tier2/)(?P<u2>universe=[^/]+)/(?P<r2>{RUN_ID})(?:\.[0-9a-f]{{8}})?/detail\.parquet"
    r"|(?P<tapes>tapes/)(?P<t2>[0-9a-f]{2})/(?P<t64>(?P=t2)[0-9a-f]{62})\.parquet"
    r"|(?P<clocks>clocks/)(?P<k2>[0-9a-f]{2})/(?P<k64>(?P=k2)[0-9a-f]{62})\.parquet"
    r"|(?P<files>files/)(?P<f2>[0-9a-f]{2})/(?P<f64>(?P=f2)[0-9a-f]{62})\.zst"
    r"|(?P<code>code/)(?P<c2>[0-9a-f]{2})/(?P<c64>(?P=c2)[0-9a-f]{62})\.zst"
    rf"|(?P<tags>tags/|untagged/)(?P<tag>[^/]+)/(?P<rt>{RUN_ID})"
    rf"|(?P<catalog>catalog/)(?P<span>{RUN_ID}--{RUN_ID}--[0-9a-f]{{8}})\.jsonl\.zst"
    r"|(?P<bundles>bundles/)(?P<bundle>[^/]+)\.tar\.zst"
    rf"|(?P<open>open/)(?P<ro>{RUN_ID})/(?:(?P<at>start|[0-9]{{20}}-[0-9a-f]{{8}})\.json\.zst|(?P<shut>closed))"
    rf"|(?P<revised>revised/)(?P<rr>{RUN_ID})/(?P<version>[0-9a-f]{{8}}-[0-9a-f]{{8}})\.json\.zst"
    rf"|(?P<packs>packs/)(?P<stem>{RUN_ID}--{RUN_ID}--[0-9a-f]{{8}})\.(?:json\.zst|(?:records|metrics)\.parquet)"
    rf"|(?P<masks>masks/)(?P<rm>{RUN_ID})"
    r"|(?P<trash>trash/)(?P<claim>[0-9a-f]{16}\.claim|probe-[0-9a-f]+)"
)
_CUT = re.compile(r"[A-Za-z0-9_.%-]{200,213}~[0-9a-f]{16}")
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


class Key(NamedTuple):
    """What a key that archiver knows stands for; a part that it does not have is empty.

    `area` is the prefix it lies below, `run` the run it belongs to, `name` the tag, the bundle, the quoted universe, the
    sha256, the span of a segment, `claim` and `probe` in the trash, `start`, `part` and `closed` of an open run, the
    revision and nonce of a record, or what the objects of a pack have in common.
    """

    area: str
    run: str = ""
    name: str = ""


def parse(key: str) -> Key | None:
    """Read a key; None for one that archiver would not have made: the one reader of keys, for all who list them.

    What it does not know is somebody else's, or of a later version: it is neither read nor deleted.
    """
    if (found := _RECORD.fullmatch(key)) is not None:
        return Key(found[1], found[2])
    if (found := _OTHERS.fullmatch(key)) is not None:
        return _other(found)
    if key in (ARCHIVE, VERIFIED):
        return Key(key)
    return None


def _other(found: re.Match[str]) -> Key | None:
    if found["tier1"]:
        return Key(TIER1, found["r1"], found["u1"]) if _is_universe(found["u1"]) else None
    if found["tier2"]:
        return Key(TIER2, found["r2"], found["u2"]) if _is_universe(found["u2"]) else None
    if found["tapes"]:
        return Key(TAPES, name=found["t64"])
    if found["clocks"]:
        return Key(CLOCKS, name=found["k64"])
    if found["files"]:
        return Key(FILES, name=found["f64"])
    if found["code"]:
        return Key(CODE, name=found["c64"])
    if found["catalog"]:
        return Key(CATALOG, name=found["span"])
    if found["open"]:
        return Key(OPEN, found["ro"], found["shut"] or ("start" if found["at"] == "start" else "part"))
    if found["revised"]:
        return Key(REVISED, found["rr"], found["version"])
    if found["packs"]:
        return Key(PACKS, name=found["stem"])
    if found["masks"]:
        return Key(MASKS, found["rm"])
    if found["trash"]:
        return Key(TRASH, name="claim" if found["claim"].endswith("claim") else "probe")
    name = _name(found["tag"] or found["bundle"])
    if name is None:
        return None
    return Key(found["tags"], found["rt"], name) if found["tags"] else Key(BUNDLES, name=name)


def _name(quoted: str) -> str | None:
    """Return the name that a part of a key stands for, None where `quote` makes no such part."""
    if _PLAIN.fullmatch(quoted) is not None:
        return quoted if len(quoted) <= _MAX_QUOTED else None
    try:
        name = unquote_name(quoted)
        return name if quote(name) == quoted else None
    except (UnicodeDecodeError, ConfigError):
        return None


def _is_universe(part: str) -> bool:
    quoted = part.removeprefix("universe=")
    return _name(quoted) is not None or _CUT.fullmatch(quoted) is not None


def new_run_id(now: datetime | None = None) -> str:
    """Make a run id: UTC second and 32 random bits, so it sorts by time and needs no lock."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:{SECOND}}-{secrets.token_hex(4)}"


def record_key(run: str) -> str:
    """Return the key of a run's record."""
    return f"{RUNS}{run}{RECORD_SUFFIX}"


def trash_key(run: str) -> str:
    """Return the key of a pruned run's record."""
    return f"{TRASH}{run}{RECORD_SUFFIX}"


def revised_key(run: str, revision: int) -> str:
    """Make the key of a record that takes the place of one of a lower revision; the first has 1."""
    return f"{REVISED}{run}/{revision:08x}-{secrets.token_hex(4)}{RECORD_SUFFIX}"


def version_of(key: str) -> tuple[int, str]:
    """Return the revision and nonce of a record by its key, in `runs/` 0 and none: of a run's records the greatest counts."""
    found = parse(key)
    if found is None or found.area != REVISED:
        return 0, ""
    revision, _, nonce = found.name.partition("-")
    return int(revision, 16), nonce


def mask_key(run: str) -> str:
    """Return the key of the mark that says that a run was freed though a pack holds it."""
    return f"{MASKS}{run}"


def new_pack_stem(first: str, last: str) -> str:
    """Make what the keys of a pack's objects begin with, given its oldest and its newest run."""
    return f"{PACKS}{first}--{last}--{secrets.token_hex(4)}"


def pack_span(key: str) -> tuple[str, str]:
    """Return the oldest and the newest run of a pack, by the key of any of its objects."""
    oldest, newest, _ = key.removeprefix(PACKS).split("--")
    return oldest, newest


def quarantine_key(key: str) -> str:
    """Return the key that a record is set aside as, given the one it had."""
    return f"{QUARANTINE}{key}"


def claim_key(run: str | None = None) -> str:
    """Return the key of an object that says which runs somebody moves to the trash, or back, just now.

    run: the one that comes back, so that who tries again takes the same key; None makes a new one.
    """
    return f"{TRASH}{secrets.token_hex(8) if run is None else f'{digest(run):016x}'}.claim"


def run_of_record(key: str) -> str | None:
    """Return the run id of a record's key (in `runs/`, `trash/` or set aside), or None when the key is no record's."""
    found = _RECORD.fullmatch(key)
    return None if found is None else found[2]


def tier1_key(universe: str, run: str, made_of: str = "") -> str:
    """Return the key of the metrics of a larger run; made_of: what tells two makers of one run apart, 8 hex digits."""
    return f"{TIER1}{universe_part(universe)}/{run}{made_of and '.'}{made_of}.parquet"


def tier2_key(universe: str, run: str, made_of: str = "") -> str:
    """Return the key of a run's details; made_of: as for `tier1_key`."""
    return f"{TIER2}{universe_part(universe)}/{run}{made_of and '.'}{made_of}/detail.parquet"


def start_key(run: str) -> str:
    """Return the key of what was given at the start of an open run."""
    return f"{OPEN}{run}/start{RECORD_SUFFIX}"


def closed_key(run: str) -> str:
    """Return the key that says that a run takes no part any more."""
    return f"{OPEN}{run}/closed"


def new_part_key(run: str, now: datetime | None = None) -> str:
    """Make the key of a part of an open run: parts sort by the moment they were made."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{OPEN}{run}/{moment:%Y%m%d%H%M%S%f}-{secrets.token_hex(4)}{RECORD_SUFFIX}"


def _content_key(area: str, sha256: str, suffix: str) -> str:
    return f"{area}{sha256[:2]}/{sha256}{suffix}"


def tape_key(sha256: str) -> str:
    """Return the key of a tape, named by its content."""
    return _content_key(TAPES, sha256, ".parquet")


def clock_key(sha256: str) -> str:
    """Return the key of a clock, named by its content."""
    return _content_key(CLOCKS, sha256, ".parquet")


def file_key(sha256: str) -> str:
    """Return the key of a file of a strategy, named by the sha256 of its plain bytes."""
    return _content_key(FILES, sha256, ".zst")


def code_key(sha256: str) -> str:
    """Return the key of a captured text, named by the sha256 of its plain bytes."""
    return _content_key(CODE, sha256, ".zst")


def tag_key(tag: str, run: str) -> str:
    """Return the key of the marker that says a run has a tag."""
    return f"{TAGS}{quote(tag)}/{run}"


def untagged_key(tag: str, run: str) -> str:
    """Return the key of the marker that says a run has lost a tag that its record gives it."""
    return f"{UNTAGGED}{quote(tag)}/{run}"


def bundle_key(name: str) -> str:
    """Return the default home of a bundle."""
    return f"{BUNDLES}{quote(name)}.tar.zst"


def digest(text: str) -> int:
    """Return 64 bits that stand for a key where a million of them must be held in memory."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
