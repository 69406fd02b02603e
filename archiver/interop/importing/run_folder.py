"""A folder for each run of an optimiser: YYYYMMDD_HHMMSS_mmm/{results,code,metadata}."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from archiver.errors import IntegrityError
from archiver.format.model import Code
from archiver.interop.importing.batch import (
    NAMES,
    SKIPPED,
    UNIVERSES,
    Batch,
    Outcome,
    fingerprint,
    load_json,
    moment,
)
from archiver.interop.importing.find import Found
from archiver.interop.importing.listed import MOST_CODE, listed_code
from archiver.interop.importing.run_results import RunResults
from archiver.interop.importing.source import Source
from archiver.interop.importing.spool import Spool
from archiver.store.entry import Entry

_STAMP = re.compile(r"(\d{8})_(\d{6})(?:_(\d{1,6}))?")
_MOST_FACTS, _MOST_TEXT = 1 << 20, 64 << 10
"""Bytes of a metadata file that become part of the run's record, which every listing reads."""


def read_run_folder(source: Source, found: Found, spool: Spool, outcomes: list[Outcome]) -> Iterator[Batch]:
    """Yield a batch for each universe of one run folder. `outcomes` takes what is not read of it.

    Raises IntegrityError, naming the file, when its results or metadata are damaged.
    """
    folder = _Folder(source, found, outcomes)
    metadata = folder.metadata()
    results = folder.results(spool)
    code, blobs = folder.code()
    if results.empty:
        raise IntegrityError(f"{found.key}/results holds no results that can be read")
    told = [facts for facts in metadata.values() if isinstance(facts, dict)]
    above = found.key.rpartition("/")[0].rpartition("/")[2] or source.name or "runs"
    named = [universe for universe in results.universes if universe is not None]
    said = _text_of([*told, *results.facts.values()], UNIVERSES) or (named[0] if named else None)
    otherwise = said or above
    name = results.name or _text_of(told, NAMES) or found.key.rpartition("/")[2]
    digests = [
        text for entry in found.entries for text in (entry.key[len(found.key) :], source.sha256(entry.key))
    ]
    facts = {name: facts for name, facts in (("metadata", metadata), ("results", results.facts)) if facts}
    for universe in dict.fromkeys(universe or otherwise for universe in results.universes):
        yield Batch(
            key=found.key,
            form="run-folder",
            universe=universe,
            created=_created(found),
            # The folder above may be renamed: it is no part of the content.
            fingerprint=fingerprint(
                "run-folder", universe if said else "", found.key.rpartition("/")[2], *digests
            ),
            results=partial(results.joined, universe, otherwise, name),
            facts=facts,
            code=code,
            blobs=blobs,
        )


def _text_of(told: list[dict[str, Any]], names: Sequence[str]) -> str | None:
    """Return the first text that facts have under one of the names."""
    texts = (facts[name] for facts in told for name in names if isinstance(facts.get(name), str))
    return next(filter(None, texts), None)


def _created(found: Found) -> datetime:
    latest = max(entry.modified for entry in found.entries)
    match = _STAMP.match(found.key.rpartition("/")[2])
    try:
        assert match is not None  # noqa: S101 - only folders of such names are found
        stamp = datetime.strptime(match[1] + match[2], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        return moment(stamp.replace(microsecond=int((match[3] or "0").ljust(6, "0"))).isoformat(), latest)
    except ValueError:
        return latest


@dataclass(slots=True)
class _Folder:
    """The files of one run folder."""

    source: Source
    found: Found
    outcomes: list[Outcome]

    def _files(self, part: str) -> Iterator[tuple[Entry, str]]:
        prefix = f"{self.found.key}/{part}/"
        for entry in self.found.entries:
            if entry.key.startswith(prefix):
                yield entry, entry.key[len(prefix) :]

    def metadata(self) -> dict[str, Any]:
        """Return metadata files by name: parsed JSON, or text."""
        found: dict[str, Any] = {}
        for entry, name in self._files("metadata"):
            most = _MOST_FACTS if name.endswith(".json") else _MOST_TEXT
            if entry.size > most:
                self.outcomes.append(Outcome(entry.key, SKIPPED, f"larger than {most} bytes"))
            elif name.endswith(".json"):
                found[name] = load_json(self.source.read(entry.key), entry.key)
            else:
                found[name] = self.source.read(entry.key).decode("utf-8", "backslashreplace")
        return found

    def results(self, spool: Spool) -> RunResults:
        """Return what the files of results hold."""
        results = RunResults(self.source, spool, self.outcomes)
        for entry, name in self._files("results"):
            results.read(entry.key, name)
        return results

    def code(self) -> tuple[Code, dict[str, bytes]]:
        """Return the copied code as a run's code, and its bytes by sha256; secrets stay out."""
        files = (
            (entry.key, name, self.source.read(entry.key, MOST_CODE + 1))
            for entry, name in self._files("code")
            if "__pycache__/" not in name and not name.endswith(".pyc")
        )
        return listed_code(files, self.outcomes)
