"""Looks at many runs read columns, of packs that nothing touches no more than is asked for: they say what all records say."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from archiver.archive import Archive
from archiver.errors import ArchiverError, ConfigError
from archiver.format import layout
from archiver.query.selection import Ask, take
from archiver.retention.gc import collect
from archiver.retention.trash import Move, put_away
from archiver.runs.details import without_details
from archiver.runs.packed.metrics import Rows
from archiver.runs.read import Reader
from archiver.runs.records import run_of
from archiver.runs.tags import read_tags
from archiver.runs.write import Writer, draft_run
from archiver.store import Store, open_store
from tests.stores import MovedStore, forget_memory, fresh_store, snapshot

_BEGAN = datetime.now(UTC) - timedelta(days=30)


def save(store: Store, rng: random.Random, span: int = 40) -> None:
    """Save a run that was made in one of so many seconds, of one of two universes."""
    created = _BEGAN + timedelta(seconds=rng.randrange(span), microseconds=rng.randrange(10**6))
    names = rng.sample(["p", "q", "r", "s", "t"], rng.randint(1, 3))
    rows: list[dict[str, Any]] = [{"strategy_name": name, **metrics(rng)} for name in names]
    rows[0]["trades"] = [{"pnl": 1.0}]
    draft = draft_run(rng.choice(["a", "b"]), rows, top_n=1, created=created)
    Writer(store).commit(draft, rng.choice([(), ("t",), ("t", "pinned")]))


def metrics(rng: random.Random) -> dict[str, Any]:
    """Make metrics: some are not there, some now and then no number, or of another type."""
    return {
        "sharpe_ratio": rng.choice([rng.randint(0, 3) / 2, rng.random(), float("nan")]),
        **({"n_trades": rng.randint(0, 9)} if rng.random() < 0.8 else {}),
        **({"odd": rng.choice([1, 1.5, "text", None])} if rng.random() < 0.2 else {}),
        **({"params": {"fast": rng.randint(1, 3)}} if rng.random() < 0.5 else {}),
    }


def change(store: MovedStore, rng: random.Random) -> None:
    """Do something that changes which records count, or where they lie."""
    archive = Archive(store)
    runs = archive.run_ids()
    run = rng.choice(runs)
    acts: list[Callable[[], object]] = [
        lambda: save(store, rng),
        lambda: save(store, rng, 90),
        archive.compact,
        archive.compact,
        lambda: put_away(store, [Move(run)]) if len(runs) > 2 else None,
        lambda: put_away(store, [Move(run, partial(without_details, why="test"))]),
        lambda: archive.undelete(archive.trash()[0].id),
        lambda: archive.tag(run, rng.choice(["t", "other", "pinned"])),
        lambda: archive.untag(run, "t"),
        lambda: collect(store, grace="0d", apply=True),
        lambda: store.move(hours=2),
        lambda: twice(store, rng),
    ]
    with suppress(ArchiverError, IndexError):
        rng.choice(acts)()


def twice(store: MovedStore, rng: random.Random) -> None:
    """Let two packers pack the same runs: both packs stay."""
    before = snapshot(store)
    forget_memory("twin")
    twin = open_store("memory://twin/archive")
    for key, data in before.items():
        twin.put(key, data)
    Archive(twin).compact()
    Archive(store).compact()
    for key, data in snapshot(twin).items():
        if key.startswith(layout.PACKS) and key not in before:
            store.put(key, data)


def plain(store: Store) -> dict[str, Any]:
    """Say of all runs, from their records, what looks are asked for."""
    archive = Archive(store)
    records = archive.records()
    tags = read_tags(store, {record.run: record.tags for record in records})
    runs = [run_of(record, tags.get(record.run, ())) for record in records]

    def rows(universe: str | None, **which: Any) -> Any:
        own = [record for record in records if universe in (None, record.universe)]
        return Reader(store).metrics(own, **which)

    return {"runs": runs, "rows": rows}


def shown(run: Any) -> Any:
    """Return what is alike of a run, loose or packed: the record has another size in a pack."""
    return run.id, run.universe, run.created, run.strategies, run.detailed, run.tags, run.details, run.note


def check(store: Store, rng: random.Random) -> None:
    """Compare every look with what all records say."""
    expected = plain(store)
    narrowed = [(None, None), ("a", None), ("none", None), (None, "t"), ("b", "pinned")]
    for universe, tag in narrowed:
        limit = rng.choice([None, 0, 1, 3, 10])
        own = [
            shown(run)
            for run in expected["runs"]
            if universe in (None, run.universe) and (tag is None or tag in run.tags)
        ]
        assert [shown(run) for run in Archive(store).runs(universe, tag, limit=limit)] == own[:limit]
    runs = expected["runs"]
    archive = Archive(store)
    assert archive.run_count() == len(archive.run_ids()) == len(archive.all_runs()) == len(runs)
    assert archive.run_count("a") == sum(run.universe == "a" for run in runs)
    assert archive.created([run.id for run in runs]) == {run.id: run.created for run in runs}
    check_order(store, expected["rows"])
    for columns in ([], ["params", "n_trades"], ["odd", "sharpe_ratio"]):
        which: dict[str, Any] = rng.choice([{}, {}, {"newest": "universe"}, {"history": True}])
        check_rows(
            store,
            expected["rows"],
            {"universe": rng.choice([None, "b"]), **which},
            columns,
            rng.choice([0, 2, 9]),
        )


def check_rows(store: Store, rows: Any, which: dict[str, Any], columns: list[str], limit: int) -> None:
    """Compare the rows that are asked for, all of them and the best, with those of all records."""
    every = list(dict.fromkeys([*columns, "sharpe_ratio"]))
    whole = outcome(lambda: rows(columns=every, **which))
    told = outcome(lambda: Archive(store).load_metrics(columns=every, **which))
    # A column that only rows which do not count have is one that nobody has, or an empty one.
    assert isinstance(whole, str) or said(told) == said(whole)
    best = outcome(
        lambda: Archive(store).load_metrics(columns=columns, sort="sharpe_ratio,-run", limit=limit, **which)
    )
    if isinstance(told, str):
        assert best == told
        return
    first = take(told, Ask(sort=(("sharpe_ratio", True), ("run", False))))[:limit]
    first = first if "sharpe_ratio" in columns else first.drop_columns(["sharpe_ratio"])
    assert (best.schema, repr(best.to_pylist())) == (first.schema, repr(first.to_pylist()))


def check_order(store: Store, rows: Any) -> None:
    """Compare the order of the columns that rows which count say something in."""
    orders = []
    for table in (rows(None, columns=None), Archive(store).load_metrics()):
        filled = [name for name in table.column_names if table[name].null_count < len(table)]
        orders.append([name for name in filled if "odd" not in name])
    assert orders[0] == orders[1]


def outcome(load: Callable[[], Any]) -> Any:
    """Return a table, or the kind of error that came instead."""
    try:
        return load()
    except ConfigError as error:
        return type(error).__name__


def said(table: Any) -> Any:
    """Return what the rows of a table say; where what is odd about `odd` stands, rows that do not count decide, too."""
    if isinstance(table, str):
        return table
    return [
        {
            name: value if value == value else "NaN"
            for name, value in row.items()
            if value is not None and "odd" not in name
        }
        for row in table.to_pylist()
    ]


SEEDS = [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 150))]


@pytest.mark.parametrize("seed", SEEDS)
def test_looks_say_what_all_records_say(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr("archiver.format.packs.GROUP", rng.choice([1, 2, 4096]))
    store = MovedStore(fresh_store())
    Archive(store).create()
    for _ in range(rng.randint(2, 12)):
        save(store, rng)
    for _ in range(2):
        for _ in range(6):
            change(store, rng)
        check(store, rng)


def test_metrics_that_were_read_of_packs_do_not_stay_beside_their_table() -> None:
    store = MovedStore(fresh_store())
    Archive(store).create()
    for at in range(10):
        draft = draft_run("u", [{"strategy_name": f"{at} {n}", "n": n} for n in range(16)], top_n=1)
        Writer(store).commit(draft)
    assert Archive(store).compact() == 10
    archive = Archive(open_store(store.url))
    before = pa.total_allocated_bytes()
    table = archive.load_metrics(columns=["n"])
    rows = table.num_rows
    assert rows == 160
    assert pa.total_allocated_bytes() - before > 8 * rows
    del table
    assert pa.total_allocated_bytes() - before < 8 * rows


def test_the_rows_of_packs_that_are_taken_are_in_order_and_told_by_what_was_joined() -> None:
    store = MovedStore(fresh_store())
    archive = Archive(store)
    archive.create()
    rng = random.Random(2)
    for _ in range(12):
        save(store, rng)
    archive.compact()
    seen = archive.all_runs()
    rows = Rows(archive.reader, seen.larger, seen.packed, ["n_trades"], history=True)
    assert np.any(np.diff(rows.places) < 0)
    expected = rows.take(rows.places)
    assert rows.taken().equals(expected)
    assert rows.joined.equals(expected)
