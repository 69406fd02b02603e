"""Results in the formats that people have, read into an archive; what was read is never changed.

Each format has a reader that gives batches; a batch becomes a run. The run remembers the fingerprint of what it was
made from, so that a second import finds it. What can't be read is named in the report, with the reason, and never taken
for empty; nothing of a damaged file is saved.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from archiver.base.run_id import SECOND
from archiver.errors import ArchiverError, ConfigError, FormatError, IntegrityError, NotFoundError
from archiver.format import layout
from archiver.format.detail import Kept
from archiver.format.model import Record
from archiver.format.text import dumps
from archiver.format.values import plain
from archiver.interop.importing.batch import (
    DAMAGED,
    IMPORTED,
    PRESENT,
    SKIPPED,
    Batch,
    Outcome,
    Result,
    fingerprint,
)
from archiver.interop.importing.find import METRICS, Findings, Found, find
from archiver.interop.importing.freqtrade import read_freqtrade
from archiver.interop.importing.lean import read_lean
from archiver.interop.importing.run_folder import read_run_folder
from archiver.interop.importing.source import Source, open_source
from archiver.interop.importing.spool import Spool
from archiver.interop.importing.tables import read_table
from archiver.interop.importing.tiered import read_tiered
from archiver.interop.importing.universe_json import read_universe
from archiver.runs.all_records import Records
from archiver.runs.records import origin
from archiver.runs.write import Draft, add_code, draft_run
from archiver.store import Store

__all__ = [
    "Known",
    "Outcome",
    "Report",
    "Source",
    "find",
    "import_into",
    "import_results",
    "known_imports",
    "open_source",
]


@dataclass(slots=True)
class Report:
    """What an import did, in order."""

    outcomes: list[Outcome] = field(default_factory=list)

    def of(self, status: str) -> list[Outcome]:
        """Return the outcomes of one status: imported, present, skipped or damaged."""
        return [outcome for outcome in self.outcomes if outcome.status == status]

    @property
    def ok(self) -> bool:
        """Whether nothing was damaged."""
        return not self.of(DAMAGED)


def import_results(
    source: Source,
    save: Callable[[Draft], Record],
    known: Known | None = None,
    *,
    top_n: int = 50,
    findings: Findings | None = None,
    step: Callable[[float], None] | None = None,
) -> Report:
    """Read everything in a source and save it as runs.

    Arguments:
        source: what to read.
        save: writes a draft.
        known: what the archive has, from `known_imports`.
        top_n: how many details to keep where a format has those of all strategies; details in files of their own are
            all kept.
        findings: what `find` has found in the source, where it was called already.
        step: is told bytes as they are done.

    Returns what was imported, present, skipped and damaged. Raises ConfigError where there is nothing to import.
    """
    findings = findings or find(source)
    report = Report()
    importer = _Importer(save, known or Known(), top_n, report.outcomes)
    for group in findings.groups:
        importer.take(source, group)
        if step is not None:
            step(group.size)
    report.outcomes += [Outcome(key, SKIPPED, why) for key, why in findings.left]
    return report


def import_into(
    store: Store,
    path: str | os.PathLike[str],
    save: Callable[[Draft], Record],
    *,
    top_n: int = 50,
    step: Callable[[float], None] | None = None,
) -> Report:
    """Import what is at a path or URL into the archive of a store. See `Archive.import_from`."""
    from archiver.config.settings import load_settings

    source = open_source(path, load_settings(url=os.fspath(path)).storage_options)
    report = import_results(source, save, known_imports(store), top_n=top_n, step=step)
    if all(outcome.status == SKIPPED for outcome in report.outcomes):
        first = report.outcomes[0]
        why = first.why if first.why.startswith(first.source) else f"{first.source}: {first.why}"
        raise ConfigError(f"nothing to import at {source.url}: {why}")
    return report


@dataclass(slots=True)
class Known:
    """What an archive has: the run of each fingerprint that an import left, and the moments taken in each universe."""

    runs: dict[str, str] = field(default_factory=dict)
    moments: set[tuple[str, datetime]] = field(default_factory=set)
    left_out: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    """What was damaged or skipped in the files of a fingerprint; their second import says so again."""


def known_imports(store: Store) -> Known:
    """Return what earlier imports left in an archive, pruned runs that can be undeleted among it."""
    records = Records(store)
    known = Known()
    without_details: dict[str, str] = {}
    for record in (*records.read(layout.TRASH), *records.read(layout.RUNS)):
        known.moments.add((record.universe, record.created))
        facts = origin(record)
        if facts is not None:
            known.runs[facts["fingerprint"]] = record.run
            known.left_out[facts["fingerprint"]] = facts.get(_LEFT_OUT, [])
            without_details[facts.get(_METRICS, "")] = record.run
    known.runs = without_details | known.runs
    return known


_LEFT_OUT = "left_out"
_METRICS = "metrics_fingerprint"
_OWN_FACTS = ("format", "source", "fingerprint", _METRICS, _LEFT_OUT)


class _SaveError(Exception):
    """The archive's store failed, which is no fault of the source."""

    def __init__(self, error: ArchiverError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(slots=True)
class _Importer:
    """Turns groups of files into runs, and keeps the report."""

    save: Callable[[Draft], Record]
    known: Known
    top_n: int
    outcomes: list[Outcome]
    folder: str = ""
    """Where the files of the group at hand lie."""

    def take(self, source: Source, group: Found) -> None:
        """Import one group; what is wrong with it goes into the report."""
        name = group.key or METRICS
        told = len(self.outcomes)
        self.folder = group.folder
        try:
            # Rows wait on disk for their universe's turn, and results whose name came before for a run of their own.
            with Spool() as rows, Spool() as waiting:
                for batch in self._batches(source, group, rows):
                    self._import(batch, waiting)
            if len(self.outcomes) == told:
                self.outcomes.append(Outcome(name, SKIPPED, "it holds no strategies"))
        except _SaveError as failed:
            raise failed.error from None
        except FormatError as error:
            self.outcomes.append(Outcome(name, SKIPPED, str(error)))
        except (IntegrityError, ConfigError, NotFoundError) as error:
            self.outcomes.append(Outcome(name, DAMAGED, str(error)))
        except RecursionError:
            self.outcomes.append(Outcome(name, DAMAGED, f"{name} is nested too deeply to be results"))
        except OSError as error:
            self.outcomes.append(Outcome(name, DAMAGED, f"{name} cannot be read: {error.strerror}"))
        except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
            # Whatever else a stranger's file may hold: the others are imported all the same.
            self.outcomes.append(Outcome(name, DAMAGED, f"{name} is not what its name says: {error!r}"[:200]))

    def _batches(self, source: Source, group: Found, rows: Spool) -> Iterator[Batch]:
        if group.form == "tiered-json":
            return read_tiered(source, group, rows, self.outcomes)
        if group.form == "universe-json":
            return read_universe(source, group, rows, self.outcomes)
        if group.form == "parquet":
            return read_table(source, group, rows, self.outcomes)
        if group.form == "lean":
            return read_lean(source, group, self.outcomes)
        if group.form == "freqtrade":
            return read_freqtrade(source, group, rows, self.outcomes)
        return read_run_folder(source, group, rows, self.outcomes)

    def _import(self, batch: Batch, waiting: Spool) -> None:
        """Save a batch as a run, and names that repeat as later ones. The first is saved last: it stands for all."""
        if batch.fingerprint in self.known.runs:
            run = self.known.runs[batch.fingerprint]
            left = self.known.left_out.get(batch.fingerprint, ())
            self.outcomes += [_told_again(one, self.folder) for one in left]
            why = f"imported before, as {run}"
            self.outcomes.append(Outcome(batch.key, PRESENT, why, batch.universe, run))
            return
        told = len(self.outcomes)
        kept = None if batch.kept is None else batch.kept()
        first = self._draft(batch, kept, batch.fingerprint, waiting, layer=1)
        if not first.record.strategies and len(self.outcomes) == told:
            self.outcomes.append(Outcome(batch.key, SKIPPED, "it holds no strategies", batch.universe))
            return
        facts = {f"its {key}" if key in _OWN_FACTS else key: value for key, value in batch.facts.items()}
        facts |= {"format": batch.form, "source": batch.key}
        left_out = [_to_tell_again(outcome, self.folder) for outcome in self.outcomes[told:]]
        layer = 1
        while (name := _waiting(batch, layer)) in waiting.counts:
            again = replace(batch, results=partial(waiting.values, name))
            names = {result["strategy_name"] for result in waiting.values(name)}
            own = None if kept is None else [one for one in kept if one.strategy in names]
            digest = fingerprint(batch.fingerprint, str(layer))
            draft = self._draft(again, own, digest, waiting, layer=layer + 1)
            if digest not in self.known.runs:
                self._save(batch, draft, facts, digest)
            layer += 1
        if batch.metrics_fingerprint:
            # The metrics alone, imported later, would hide these details.
            facts[_METRICS] = batch.metrics_fingerprint
        if left_out:
            facts[_LEFT_OUT] = self.known.left_out[batch.fingerprint] = left_out
        self._save(batch, first, facts, batch.fingerprint)
        if batch.metrics_fingerprint:
            self.known.runs.setdefault(batch.metrics_fingerprint, first.record.run)

    def _draft(
        self, batch: Batch, kept: list[Kept] | None, digest: str, waiting: Spool, *, layer: int
    ) -> Draft:
        created = batch.created
        # What is read later counts as newer: a name that came again, a file that was repaired.
        while (batch.universe, created) in self.known.moments:
            created += timedelta(microseconds=1)
        self.known.moments.add((batch.universe, created))
        draft = draft_run(
            batch.universe,
            _first_of_each(batch.results(), waiting, _waiting(batch, layer)),
            top_n=self.top_n if kept is None else max((one.rank for one in kept), default=0),
            note=f"imported from {batch.key}",
            kept=kept,
            created=created,
            run=f"{created:{SECOND}}-{digest[:8]}",
        )
        add_code(draft, batch.code, batch.blobs)
        return draft

    def _save(self, batch: Batch, draft: Draft, facts: dict[str, Any], digest: str) -> None:
        params = dumps(plain({"imported": {**facts, "fingerprint": digest}}, batch.key))
        draft.record = replace(draft.record, params=params)
        try:
            record = self.save(draft)
        except ArchiverError as error:
            raise _SaveError(error) from error
        self.known.runs[digest] = record.run
        found = Outcome(
            batch.key, IMPORTED, "", record.universe, record.run, record.strategies, len(record.details)
        )
        self.outcomes.append(found)


def _to_tell_again(outcome: Outcome, folder: str) -> dict[str, str]:
    """Return what a run keeps of an outcome: files by their place in the folder, which may move."""
    file = outcome.source.removeprefix(folder).lstrip("/")
    why = outcome.why.removeprefix(outcome.source)
    return {"file": file, "status": outcome.status, "why": why if why == outcome.why else file + why}


def _told_again(one: dict[str, str], folder: str) -> Outcome:
    source = f"{folder}/{one['file']}".lstrip("/")
    why = one["why"].removeprefix(one["file"])
    return Outcome(source, one["status"], why if why == one["why"] else source + why)


def _waiting(batch: Batch, layer: int) -> str:
    return f"{batch.fingerprint} {layer}"


def _first_of_each(results: Iterable[Result], waiting: Spool, later: str) -> Iterator[Result]:
    """Pass on the first result of each name; those that repeat one wait."""
    seen: set[Any] = set()
    for result in results:
        name = result.get("strategy_name")
        if isinstance(name, str) and name in seen:
            waiting.add(later, result)
        else:
            seen.add(name)
            yield result
