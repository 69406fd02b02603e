"""What all pages and the API share: the archive as they see it, and the answers that are kept."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from archiver.analysis.portfolio import Portfolio
from archiver.health.verify import Report, verify_packs
from archiver.query.tree import Objects
from archiver.web.reading.data import Data, Metrics, Recent
from archiver.web.reading.detail import Details
from archiver.web.reading.rows import Views
from archiver.web.reading.search import PLATEAU, Searches


@dataclass(frozen=True)
class Site:
    """What all pages share: the archive as they see it, and the answers that are kept."""

    data: Data
    views: Views = field(default_factory=Views)
    searches: Searches = field(default_factory=Searches)
    details: Details = field(init=False)
    objects: Objects = field(init=False)
    portfolios: Recent[Portfolio] = field(default_factory=lambda: Recent(4))
    _checks: Recent[tuple[Report, datetime]] = field(default_factory=lambda: Recent(1))

    def __post_init__(self) -> None:
        """Let everything read from the same archive."""
        object.__setattr__(self, "details", Details(self.data))
        object.__setattr__(self, "objects", Objects(self.data.store))

    def metrics(self, run: str | None, newest: str, *asked: str) -> Metrics:
        """Return metrics as `Data.metrics` does, with the plateau score where what is asked for names it."""
        found = self.data.metrics(run, newest)
        return (
            self.searches.with_plateau(self.data, found) if any(PLATEAU in text for text in asked) else found
        )

    def checked(self) -> tuple[Report, datetime]:
        """Return what a look at the structure found, without reading data, and when that was: at most an hour ago.

        Of many runs it is a look at their packs alone.
        """
        hour, many = int(time.time() // 3600), self.data.has_many()
        look = partial(verify_packs, self.data.store) if many else self.data.archive.verify
        return self._checks.get((self.data.version(), hour), lambda: (look(), datetime.now(UTC)))
