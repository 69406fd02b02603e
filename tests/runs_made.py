"""Archives with runs of every kind for tests that move runs, and what a reader sees of one."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

import archiver
from archiver.archive import Archive
from archiver.format import layout
from archiver.format.model import Detail
from archiver.format.parquet import write_parquet
from archiver.format.records import encode_record
from archiver.runs.write import draft_run
from archiver.store import Store
from tests.benchmarks import workload

LONG_NAME = "universe with a name / that is long enough to need more than a plain header " + "x" * 100


def fill(archive: Archive, code: Path | None = None) -> list[str]:
    """Save runs: a small one, one with metrics of its own object and tapes, two that share code, a long name."""
    captured: Any = "none" if code is None else [code]
    return [
        archive.save_universe_results("small", [workload.small_run(1, 0, 20, 50)], code="none").id,
        archive.save_universe_results("large", workload.universe(3, 400, 3, 20, 3000), 3, code=captured).id,
        archive.save_universe_results(
            "large", workload.universe(4, 30, 2, 20, 3000), 2, tags=["nightly", "a/b"], code=captured
        ).id,
        archive.save_universe_results(
            LONG_NAME, [{"strategy_name": "only", "sharpe_ratio": 1.0}], code="none"
        ).id,
    ]


def seen(archive: Archive, runs: list[str]) -> dict[str, Any]:
    """Return all that a reader can see of some runs."""
    view: dict[str, Any] = {}
    for run in sorted(runs):
        found = archive.run(run)
        details = archive.detailed_strategies(run=run)
        code = archive.code(run)
        view[run] = (
            replace(found, bytes=0),
            archive.load_metrics(run=run).to_pylist().__repr__(),
            [repr(archive.load_strategy(name, universe, run)) for universe, name in details],
            {file.path: hashlib.sha256(code.read(file.path)).hexdigest() for file in code.files},
        )
    return view


def everything(store: Store, *, but: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Return every object of a store, those below some prefixes left out."""
    return {
        entry.key: store.get(entry.key) for entry in store.list() if not entry.key.startswith(but or ("\n",))
    }


def many(store: Store, count: int, size: int = 25_000) -> list[str]:
    """Put records of many runs, each with its own random details, faster than saving them would be."""
    archive = Archive(store)
    archive.create()
    draft = draft_run("u", [workload.small_run(1, 0, 5, 20)], top_n=0)
    made = []
    for at in range(count):
        run = layout.new_run_id(draft.record.created + timedelta(seconds=at))
        key = layout.tier2_key("u", run)
        text = random.Random(at).randbytes(size).hex()  # which zstd packs to its bytes again
        data, ref = write_parquet(
            [pa.table({"strategy_name": ["s"], "trades_text": [text]})], {}, parts="group"
        )
        record = replace(draft.record, run=run, tier2=replace(ref, key=key), details=(Detail("s", 1, 0),))
        store.put(key, data)
        store.put(layout.record_key(run), encode_record(record))
        made.append(run)
    return made


def opened(url: str | Path, **options: Any) -> Archive:
    """Open an archive by its URL."""
    return archiver.open(url, **options)
