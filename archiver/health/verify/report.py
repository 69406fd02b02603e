"""What a verify found, and what is remembered of the last one."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from archiver.errors import NotFoundError, StorageError
from archiver.format import layout
from archiver.store import Store

_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong: the run, the object, and what is wrong with it."""

    run: str
    key: str
    what: str
    newer: bool = False
    """Whether it is no damage, but of a later version of archiver."""


@dataclass
class Report:
    """What verify found. `ok` says whether nothing is damaged."""

    runs: int = 0
    objects: int = 0
    read: int = 0
    """Objects whose bytes were read."""
    bytes: int = 0
    """Bytes that were read."""
    problems: list[Problem] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    """Runs whose details a rule of the bucket removed."""
    archived: list[str] = field(default_factory=list)
    """Runs whose details are in a bundle instead."""
    bundles: dict[str, str] = field(default_factory=dict)
    """The bundle of each archived run."""
    quarantined: list[str] = field(default_factory=list)
    """Records that `repair` set aside."""
    reduced: list[str] = field(default_factory=list)
    """Runs whose details are gone, which `repair` wrote down in their records."""

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged; expired and archived details are not damage."""
        return not self.problems

    @property
    def newer(self) -> bool:
        """Whether there are problems, and a later version of archiver has none of them."""
        return bool(self.problems) and all(problem.newer for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Verified:
    """What the last verify that read data found.

    `moment` is aware UTC; `share` says which part of the objects it was to read, 0 to 1; `damaged` are the keys of the
    first objects with problems; the others are counts.
    """

    moment: datetime
    share: float
    runs: int
    read: int
    bytes: int
    problems: int
    damaged: tuple[str, ...] = ()


def last_verified(store: Store) -> Verified | None:
    """Return what the last remembered verify that read data found, or None where none is known."""
    with suppress(NotFoundError, ValueError, TypeError, KeyError):
        fields = json.loads(store.get(layout.VERIFIED))
        moment, damaged = datetime.fromisoformat(fields["moment"]), tuple(map(str, fields.get("damaged", ())))
        return Verified(**fields | {"moment": moment, "damaged": damaged})
    return None


def remember_report(store: Store, report: Report, share: float) -> None:
    """Keep what reading a share of the data found."""
    damaged = tuple(dict.fromkeys(problem.key for problem in report.problems))[:_MOST_NAMED]
    count = len(report.problems)
    found = Verified(datetime.now(UTC), share, report.runs, report.read, report.bytes, count, damaged)
    fields = asdict(found) | {"moment": found.moment.isoformat()}
    # Who may only read verifies all the same.
    with suppress(StorageError):
        store.put(layout.VERIFIED, json.dumps(fields).encode())
