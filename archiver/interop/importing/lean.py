"""Folders of backtests that Lean (QuantConnect) wrote: `<id>.json`, its order events, its log, the code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from archiver.engines import lean
from archiver.errors import IntegrityError
from archiver.interop.importing.batch import (
    NO_CODE,
    SKIPPED,
    Batch,
    Outcome,
    Result,
    fingerprint,
    load_json,
    moment,
)
from archiver.interop.importing.find import Found
from archiver.interop.importing.listed import MOST_CODE, listed_code
from archiver.interop.importing.source import Source

_EVENTS = "-order-events.json"
_CODE = (".py", ".cs", ".ipynb")


def read_lean(source: Source, found: Found, outcomes: list[Outcome]) -> Iterator[Batch]:
    """Yield the batch of one backtest. Raises IntegrityError where its result is damaged."""
    entry = found.entries[0]
    content = load_json(source.read(entry.key), entry.key)
    if not isinstance(content, dict) or not lean.is_result(content):
        raise IntegrityError(
            f"{entry.key} is no result of Lean that archiver knows: no charts and statistics"
        )
    events: list[Any] = []
    files: dict[str, bytes] = {}
    sources = []
    for other in found.entries[1:]:
        if other.key.endswith(_EVENTS):
            read = load_json(source.read(other.key), other.key)
            events = read if isinstance(read, list) else []
        elif other.key.endswith(_CODE):
            name = other.key.removeprefix(found.folder).lstrip("/").removeprefix("code/")
            sources.append((other.key, name, source.read(other.key, MOST_CODE + 1)))
        elif other.key.endswith("-log.txt"):
            files["log.txt"] = source.read(other.key)
        elif not other.key.endswith("-summary.json"):
            why = "its configuration may hold credentials" if other.key.endswith("/config") else "no result"
            outcomes.append(Outcome(other.key, SKIPPED, why))
    code, blobs = listed_code(sources, outcomes)
    stem = entry.key.rpartition("/")[2].removesuffix(".json")
    universe = lean.universe_of(content)
    configuration = content.get("algorithmConfiguration") or content.get("AlgorithmConfiguration") or {}
    name = str(configuration.get("name") or configuration.get("Name") or stem)
    state = content.get("state") or content.get("State") or {}

    def results() -> Iterator[Result]:
        made = lean.result(content, name, events=events)
        yield {**made, "files": files} if files else made

    yield Batch(
        key=entry.key,
        form="lean",
        universe=universe,
        created=moment(state.get("EndTime"), entry.modified),
        fingerprint=fingerprint("lean", universe, source.sha256(entry.key)),
        results=results,
        code=code if blobs else NO_CODE,
        blobs=blobs,
    )
