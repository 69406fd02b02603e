"""Open runs: what was acknowledged is in the run, whoever finishes it, wherever somebody dies, whatever is at work."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import archiver
from archiver.archive import Archive
from archiver.errors import ConfigError, RunFinishedError, RunNotFoundError
from archiver.format import layout
from archiver.format.inline import InlineTable, encode_inline
from archiver.runs.open import OpenRun, resume_run
from archiver.store import Store
from tests.conftest import Cli
from tests.faults import CALLS, FAULT, failing
from tests.same import same
from tests.stores import PAIRED, MovedStore, fresh_store, interleaved, interleavings, result, snapshot


def begin(store: Store, **how: Any) -> OpenRun:
    return Archive(store, code="none").start("u", **{"top_n": 2, **how})


def names(store: Store) -> list[str]:
    return sorted(Archive(store).load_metrics()["strategy_name"].to_pylist())


def test_an_open_run_is_read_like_any_other(archive: Archive) -> None:
    run = archive.start("u", top_n=2, tags=["search"], params={"a": 1}, note="hello", code="none")
    assert archive.runs()[0].strategies == 0
    for at in range(5):
        run.add(result(f"S{at}", float(at), bars=60))
    (shown,) = archive.runs()
    assert (shown.id, shown.strategies, shown.detailed, shown.open) == (run.id, 5, 2, True)
    assert (shown.tags, shown.note, shown.top_n, shown.rank_by) == (("search",), "hello", 2, "sharpe_ratio")
    assert archive.load_metrics(sort="sharpe_ratio")["strategy_name"].to_pylist() == [
        "S4",
        "S3",
        "S2",
        "S1",
        "S0",
    ]
    assert archive.detailed_strategies() == [("u", "S4"), ("u", "S3")]
    live = archive.load_strategy("S4")
    assert same(live["trades"], result("S4", 4.0, bars=60)["trades_detailed"])
    assert archive.load_trades("S3").num_rows == 2
    assert archive.run(run.id[:20]).id == run.id
    finished = run.finish()
    assert (finished.id, finished.strategies, finished.detailed, finished.open) == (run.id, 5, 2, False)
    assert archive.runs() == [finished]
    assert same(archive.load_strategy("S4"), live)
    assert archive.record(run.id).params == '{"a":1}'
    assert archive.verify(read_data=True).ok


def test_a_finished_run_is_what_a_save_of_all_results_makes(
    archive: Archive, results: list[dict[str, Any]]
) -> None:
    saved = archive.save_universe_results("saved", results, top_n=5, code="none")
    run = archive.start("open", top_n=5, code="none")
    for at in range(0, len(results), 50):
        run.add(results[at : at + 50])
    run.finish()
    one, other = archive.load_metrics("saved"), archive.load_metrics("open")
    own = ["universe", "run"]
    assert same(one.drop_columns(own).to_pylist(), other.drop_columns(own).to_pylist())
    best = [name for _, name in archive.detailed_strategies("saved")]
    assert [name for _, name in archive.detailed_strategies("open")] == best
    for name in best:
        ours, theirs = archive.load_strategy(name, "open"), archive.load_strategy(name, "saved")
        assert same({**ours, "universe": ""}, {**theirs, "universe": ""})
    assert archive.run(run.id).rank_by == saved.rank_by


def test_clocks_further_curves_tables_and_files_are_there_while_it_is_open_and_after(
    archive: Archive,
) -> None:
    days = [f"2024-01-{day:02d}" for day in range(1, 9)]
    given = {
        "strategy_name": "s",
        "sharpe_ratio": 1.0,
        "curves": {
            "equity": (days, [100.0 + at for at in range(8)]),
            "benchmark": [[day, 1.0 * at] for at, day in enumerate(days)],
            "exposure": [0.5, None, 1.5],
        },
        "tables": {"orders": [{"id": 1, "px": 2.5}, {"id": 2, "px": None}], "odd": [{"a": [1]}, {"b": {}}]},
        "files": {"note.txt": b"hello"},
    }
    keys = ("equity_curve", "curves", "tables", "files", "trades")
    saved = archive.save_universe_results("whole", [given], code="none")
    wanted = {key: archive.load_strategy("s", run=saved.id)[key] for key in keys}
    assert wanted["curves"]["equity"][0] == ["2024-01-01", 100.0]
    run = archive.start("u", code="none")
    run.add(given)
    for _ in ("open", "finished"):
        found = archive.load_strategy("s", run=run.id)
        assert same({key: found[key] for key in keys}, wanted)
        assert archive.load_curve("s", "benchmark", run=run.id)["time"].null_count == 0
        assert archive.load_table("s", "orders", run=run.id).num_rows == 2
        assert archive.load_file("s", "note.txt", run=run.id) == b"hello"
        run.finish()


def test_a_part_is_one_object_and_the_worse_keep_no_details(archive: Archive) -> None:
    run = archive.start("u", top_n=2, code="none")
    sizes = []
    for score in (3.0, 2.0, 1.0):
        before = set(snapshot(archive.store))
        run.add(result(f"S{score}", score))
        (made,) = set(snapshot(archive.store)) - before
        sizes.append(b"detail" in _plain(archive.store.get(made)))
    assert sizes == [True, True, False]


def _plain(data: bytes) -> bytes:
    from archiver.format.records import decompress

    return decompress(data, "x")


def test_the_block_finishes_and_an_exception_keeps_what_came_before(archive: Archive) -> None:
    with archive.start("u", code="none") as run:
        run.add(result("S1"))
    assert not archive.run(run.id).open
    with pytest.raises(ZeroDivisionError) as caught, archive.start("u", code="none") as second:  # noqa: PT012
        second.add(result("S2"))
        _ = 1 / 0
    assert second.id in caught.value.__notes__[0]
    assert archive.run(second.id).open
    again = archive.resume(second.id)
    again.add(result("S3"))
    assert again.finish().strategies == 2


def test_what_was_added_last_counts(archive: Archive) -> None:
    run = archive.start("u", code="none")
    run.add(result("S", 1.0))
    archive.resume(run.id).add({"strategy_name": "S", "sharpe_ratio": 2.0})
    assert archive.detailed_strategies() == []
    assert run.finish().strategies == 1
    assert archive.load_metrics()["sharpe_ratio"].to_pylist() == [2.0]
    with pytest.raises(ConfigError, match="two results are called 'S'"):
        run.add(result("S", 3.0))


def test_a_closed_run_takes_nothing_and_finishing_again_changes_nothing(archive: Archive) -> None:
    run = archive.start("u", code="none")
    with pytest.raises(ConfigError, match="nothing was added"):
        archive.resume(run.id).finish()
    # Closing is a one-way door, also where there was nothing yet.
    with pytest.raises(RunFinishedError):
        run.add(result("S1"))
    run = archive.start("u", code="none")
    run.add(result("S1"))
    first = run.finish()
    with pytest.raises(RunFinishedError, match="takes no results any more"):
        run.add(result("S2"))
    assert run.finish() == first == archive.finish(run.id)
    with pytest.raises(RunFinishedError, match="is finished"):
        archive.resume(run.id)
    with pytest.raises(RunNotFoundError):
        resume_run(archive.store, "20250101T000000Z-00000000")


def test_bad_results_are_refused_whole(archive: Archive) -> None:
    run = archive.start("u", code="none")
    with pytest.raises(ConfigError):
        run.add([result("S1"), {"strategy_name": "S2", "bad": object()}])
    with pytest.raises(ConfigError):
        run.add("nothing")
    assert archive.runs()[0].strategies == 0
    for wrong in ({"top_n": -1}, {"rank_by": "-"}, {"params": [1]}):
        with pytest.raises(ConfigError):
            archive.start("u", code="none", **wrong)  # type: ignore[arg-type]  # that is the point


def test_parts_go_by_gc_and_nothing_of_an_open_run_does() -> None:
    store = fresh_store()
    archive = Archive(store, code="none")
    run = begin(store)
    run.add(result("S1", bars=60))
    archive.gc("0s", apply=True)
    assert archive.load_strategy("S1")["trades"][0]["price_history"]["close"]
    archive.tag(run.id, "kept")
    run.finish()
    archive.gc("0s", apply=True)
    assert [key for key in snapshot(store) if key.startswith(layout.OPEN)] == []
    assert archive.runs()[0].tags == ("kept",)
    assert archive.load_strategy("S1")["trades"][0]["price_history"]["close"]
    assert archive.verify(read_data=True).ok


def test_a_finished_run_that_was_removed_does_not_come_back_as_an_open_one() -> None:
    store = fresh_store()
    run = begin(store)
    run.add(result("S1"))
    run.finish()
    archive = Archive(store)
    archive.apply(archive.plan_prune(archiver.Policy(keep_last=0), allow_empty=True), max_remove=1)
    assert archive.runs() == []
    with pytest.raises(RunNotFoundError):
        run.finish()


@pytest.mark.parametrize("packed", [False, True], ids=["loose", "packed"])
def test_a_gc_that_dies_brings_no_removed_run_back_as_an_open_one(packed: bool) -> None:
    store = fresh_store()
    run = begin(store)
    run.add(result("S1"))
    run.add(result("S2"))
    run.finish()
    archive = Archive(store)
    if packed:
        later = MovedStore(store)
        later.move(hours=2)
        assert Archive(later).compact() == 1
    archive.apply(archive.plan_prune(archiver.Policy(keep_last=0), allow_empty=True), max_remove=1)
    before = snapshot(store)

    def collect(store: Store) -> None:
        Archive(store).gc("0s", apply=True, allow_empty=True)

    for store, _ in failing(lambda: fresh_store(before), collect):
        assert Archive(store).runs() == []
    assert [key for key in snapshot(store) if key.startswith((layout.OPEN, layout.TRASH))] == []


@FAULT
@CALLS
def test_whatever_call_of_finish_fails_the_next_one_ends_it(die: bool, when: str, every: int) -> None:
    store = fresh_store()
    run = begin(store)
    for at in range(3):
        run.add(result(f"S{at}", float(at), bars=60))
    before = snapshot(store)

    def finish(store: Store) -> None:
        resume_run(store, run.id).finish()

    for store, _ in failing(lambda: fresh_store(before), finish, die=die, when=when, every=every):
        assert names(store) == ["S0", "S1", "S2"]
        archive = Archive(store)
        assert archive.finish(run.id).detailed == 2
        assert archive.verify(read_data=True).ok
        assert archive.load_strategy("S2")["trades"][0]["price_history"]


def test_whatever_call_of_add_dies_the_result_is_whole_or_not_there() -> None:
    store = fresh_store()
    run = begin(store)
    run.add(result("S0", bars=60))
    before = snapshot(store)

    def add(store: Store) -> None:
        resume_run(store, run.id).add(result("S1", 2.0, bars=70))

    for store, died in failing(lambda: fresh_store(before), add):
        assert names(store) == ["S0", "S1"] or (died and names(store) == ["S0"])
        finished = Archive(store).finish(run.id)
        assert Archive(store).load_strategy("S0")["trades"]
        assert finished.strategies == len(names(store))


@pytest.mark.parametrize("every", PAIRED)
def test_an_add_and_a_finish_at_every_interleaving(every: int) -> None:
    store = fresh_store()
    run = begin(store)
    run.add(result("S0"))
    before = snapshot(store)
    done: list[bool] = []

    def add(store: Store) -> None:
        try:
            resume_run(store, run.id).add(result("S1", 2.0))
            done.append(True)
        except RunFinishedError:
            done.append(False)

    def finish(store: Store) -> None:
        OpenRun(store, run._start).finish()

    for store in interleavings(lambda: fresh_store(before), lambda _: add, lambda _: finish, every):
        Archive(store).finish(run.id)
        found = names(store)
        assert found == ["S0", "S1"] if done[-1] else "S0" in found
        assert Archive(store).verify(read_data=True).ok
    assert {*done} == {True, False}


def test_two_finishes_at_every_interleaving() -> None:
    store = fresh_store()
    run = begin(store)
    for at in range(3):
        run.add(result(f"S{at}", float(at)))
    before = snapshot(store)
    at = 0
    while True:
        store = fresh_store(before)
        first, _ = interleaved(
            store,
            lambda s: OpenRun(s, run._start).finish(),
            lambda s: OpenRun(s, run._start).finish(),
            at,
            at,
        )
        archive = Archive(store)
        assert names(store) == ["S0", "S1", "S2"]
        assert archive.verify(read_data=True).ok
        assert archive.load_strategy("S2")["trades"]
        if first.calls <= at:
            break
        at += 1


def _trials(run: OpenRun, worker: int) -> int:
    for at in range(10):
        run.add(result(f"S{worker}_{at}", worker + at / 10))
    return worker


def test_threads_and_processes_add_to_one_run(archive: Archive) -> None:
    run = archive.start("u", top_n=3, code="none")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda worker: _trials(run, worker), range(4)))
    with ProcessPoolExecutor(2) as processes:
        list(processes.map(_trials, [run, run], [4, 5]))
    assert pickle.loads(pickle.dumps(run)).id == run.id
    assert archive.runs()[0].strategies == 60
    assert run.finish().strategies == 60
    assert [name for _, name in archive.detailed_strategies()] == ["S5_9", "S5_8", "S5_7"]


def test_a_killed_search_keeps_every_trial_it_was_told_of(archive: Archive, tmp_path: Path) -> None:
    run = archive.start("u", top_n=5, code="none")
    script = tmp_path / "search.py"
    script.write_text(
        "import sys, archiver\n"
        "run = archiver.open(sys.argv[1]).resume(sys.argv[2])\n"
        "for at in range(10**6):\n"
        "    run.add({'strategy_name': f'S{at}', 'sharpe_ratio': at * 1.0})\n"
        "    print(at, flush=True)\n"
    )
    search = subprocess.Popen(
        [sys.executable, str(script), str(archive.store.url), run.id],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert search.stdout is not None
    for _ in range(20):
        search.stdout.readline()
    os.kill(search.pid, signal.SIGKILL)
    rest = search.stdout.read()
    search.stdout.close()
    search.wait()
    told = 20 + rest.count(b"\n")
    (shown,) = archive.runs()
    assert told <= shown.strategies <= told + 1
    assert archive.finish(run.id).strategies == shown.strategies


def test_a_damaged_part_is_named_and_hides_only_its_run(archive: Archive) -> None:
    archive.save_universe_results("other", [result("O1")], code="none")
    run = archive.start("u", code="none")
    run.add(result("S1"))
    run.add(result("S2"))
    key = next(entry.key for entry in archive.store.list(layout.OPEN) if "start" not in entry.key)
    archive.store.put(key, b"no record")
    fresh = archiver.open(archive.store.url)
    with pytest.raises(archiver.IntegrityError, match=key):
        fresh.runs()
    told: list[archiver.Unread] = []
    assert {one.universe for one in fresh.runs(errors=told.append)} == {"other", "u"}
    assert [one.run for one in told] == [run.id]
    with pytest.raises(archiver.IntegrityError, match=key):
        fresh.finish(run.id)


def test_details_that_are_no_table_are_damage() -> None:
    import pyarrow as pa

    table = pa.table({"a": [1, 2]})
    data = encode_inline([table], {"tier": 2})
    assert InlineTable(data, "k").read() == table
    assert InlineTable(data, "k").read(groups=[0], columns=["a"]) == table
    for wrong in (b"", b"AAAA", data[:-8], b"\xff" + data[1:], data.lower()):
        with pytest.raises(archiver.IntegrityError, match="k is damaged"):
            InlineTable(wrong, "k")


def test_the_command_finishes_and_lists_say_open(archive: Archive, command: Cli) -> None:
    run = archive.start("u", code="none")
    run.add(result("S1"))
    url = str(archive.store.url)
    assert "open, 1" in command("ls", "--url", url)[1]
    assert command("finish", run.id[:18], "--url", url)[0] == 0
    assert "open" not in command("ls", "--url", url)[1]
    assert command("finish", run.id, "--url", url)[0] == 0
    assert command("finish", "20250101T000000Z-00000000", "--url", url)[0] == 10


def test_every_kind_of_store_holds_open_runs(store: Store) -> None:
    run = begin(store)
    began = time.monotonic()
    run.add(result("S1", bars=60))
    run.add([result("S2", 2.0), result("S3", 0.5)])
    assert names(store) == ["S1", "S2", "S3"]
    assert run.finish().detailed == 2
    assert Archive(store).verify(read_data=True).ok
    assert time.monotonic() >= began
