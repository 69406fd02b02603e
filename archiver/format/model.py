"""What an archive is made of, as frozen values. No behaviour beyond what a value can tell of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Ref:
    """What a record says of an object: key, size in bytes, sha256 in hex, and of its parts.

    `parts` holds (end offset, sha256) of contiguous byte ranges that cover the object, so that a range that
    was read alone can be verified; empty where the object is always read whole. With `plain`, size and sha256
    describe the plain bytes, and the object is one zstd frame of them.
    """

    key: str
    size: int
    sha256: str
    parts: tuple[tuple[int, str], ...] = ()
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Detail:
    """One strategy of the TOP N: its name, rank (1 is best), and its row group in the detail object."""

    strategy: str
    rank: int
    group: int


@dataclass(frozen=True, slots=True)
class CodeFile:
    """One captured file: POSIX path relative to the project root, size, sha256 of its plain bytes, executable bit."""

    path: str
    size: int
    sha256: str
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Code:
    """What a record says of a run's code.

    `how` is entry, imports, listed, notebook, cells, lines or none; `reason` says why where there is none.
    `provenance` is plain JSON data: context, entry, argv, git, seed, data. `texts` are objects under `code/`
    like the files: `environment` (Python, platform, project root, packages) and git's `diff`.
    """

    how: str
    files: tuple[CodeFile, ...] = ()
    texts: tuple[CodeFile, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One committed save of a universe's results.

    `created` is aware UTC; `strategies` and `detailed` are counts; `bytes` is the stored size of its
    record, metrics, details and tapes; `tags` is sorted; `archived` names the bundle that holds its details, and
    `details` says what has become of them: kept, removed by a policy, expired, in a bundle, lost, none were given. `open` says that it may still grow.
    """

    id: str
    universe: str
    created: datetime
    strategies: int
    detailed: int
    bytes: int
    tags: tuple[str, ...] = ()
    top_n: int = 0
    rank_by: str | None = None
    note: str | None = None
    archived: str | None = None
    details: str = ""
    open: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A run's own object: everything needed to find, verify, read and judge the run.

    `inline` is the run's tier 1 as JSON text where it is small, else `tier1` points to it. `metrics` maps each
    numeric metric to its (least, greatest) finite value in the run. `names` is the sha256 of the sorted
    strategy names. `detail_removed` names the policy that removed tier 2; `archived` the bundle that holds it.
    """

    run: str
    universe: str
    created: datetime
    strategies: int
    top_n: int
    rank_by: str | None = None
    inline: str | None = None
    tier1: Ref | None = None
    tier2: Ref | None = None
    details: tuple[Detail, ...] = ()
    tapes: tuple[Ref, ...] = ()
    code: Code | None = None
    metrics: dict[str, tuple[float, float]] = field(default_factory=dict)
    names: str = ""
    params: str | None = None
    note: str | None = None
    detail_removed: str | None = None
    archived: str | None = None
    inline_detail: bytes | None = field(default=None, repr=False)
    """Tier 2, where it stands in the record: see `archiver.format.inline`."""
    tags: tuple[str, ...] = ()
    """Those given at the save, sorted; what was changed since, `archiver.runs.tags` knows."""
    clocks: tuple[Ref, ...] = ()
    files: tuple[Ref, ...] = ()
    format: int = 1
    """2 where older archivers would lose something of it, or read it wrongly."""
    size: int = 0
    """Bytes of the record object itself, known once it was written or listed; not part of what is stored."""
    parts: tuple[Record, ...] = field(default=(), repr=False)
    """Of a run that is still open: what was added so far. Not part of what is stored: each is an object of its own."""
    open: bool = False
    """Whether the run may still grow; not part of what is stored."""

    @property
    def has_detail(self) -> bool:
        """Whether details can be read: from an object of their own, from the record, or from parts."""
        held = self.tier2 is not None or self.inline_detail is not None
        return held or any(part.has_detail for part in self.parts)

    @property
    def detail_bytes(self) -> int:
        """Bytes of its details as they are stored: of their object, or of their share of the record."""
        if self.tier2 is not None:
            return self.tier2.size
        return len(self.inline_detail or b"") * 3 // 4


def run_document(run: Run) -> dict[str, Any]:
    """Return what every JSON document says of a run."""
    return {
        "id": run.id,
        "universe": run.universe,
        "created": run.created,
        "strategies": run.strategies,
        "detailed": run.detailed,
        "bytes": run.bytes,
        "tags": list(run.tags),
        **({"open": True} if run.open else {}),
    }
