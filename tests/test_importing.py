"""Old formats come in exactly, once, in bounded memory; what is damaged is named and never taken for empty."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import archiver
from archiver.archive import Archive
from archiver.errors import ConfigError, StorageError
from archiver.interop.importing import import_results, open_source
from archiver.interop.importing.source import StoreSource
from archiver.runs.records import origin
from archiver.store import open_store
from tests import old_formats as old
from tests.conftest import Place
from tests.faults import DiedError, FaultyStore
from tests.imported import named, rows, statuses, take, write_large
from tests.same import same

# -- damage --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1, 30, 400, -2, -1])
def test_a_cut_metrics_file_imports_nothing_and_is_named(archive: Archive, folder: Path, cut: int) -> None:
    old.write_tiered(folder, {"u": old.results("A", 5)})
    path = folder / "all_strategies_metrics.json"
    path.write_bytes(path.read_bytes()[:cut])
    report = take(archive, folder)
    assert statuses(report) == ["damaged"]
    assert "all_strategies_metrics.json is damaged at character" in report.outcomes[0].why
    assert not report.ok
    assert not (folder.parent / "archive").exists()


@pytest.mark.parametrize("text", ["{}", '{"total_strategies": 3}', "[]", '{"strategies": [1]}',
                                  '{"strategies": {"a": {}}}', '{"strategies": null}',
                                  '{"strategies": [{"strategy_name": "a", "universe": "u"}]}'])  # fmt: skip
def test_metrics_without_strategies_are_no_empty_result(archive: Archive, folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "all_strategies_metrics.json").write_text(text)
    report = take(archive, folder)
    assert statuses(report) == ["damaged"]
    assert "all_strategies_metrics.json" in report.outcomes[0].why
    # What Python says of its own types tells users nothing.
    assert not {"indices", "subscriptable:"} & set(report.outcomes[0].why.split())


def test_an_empty_list_of_strategies_is_empty(archive: Archive, folder: Path) -> None:
    old.write_tiered(folder, {})
    assert [(one.status, one.why) for one in take(archive, folder).outcomes] == [
        ("skipped", "it holds no strategies")
    ]


def test_damaged_details_are_named_and_the_rest_comes_in(archive: Archive, folder: Path) -> None:
    listed = old.results("A", 6, trades=1000)
    old.write_tiered(folder, {"u": listed}, top=4)
    details = sorted((folder / "detailed_trades").iterdir())
    whole = details[1].read_bytes()
    details[0].write_bytes(b"")
    details[1].write_bytes(whole[: len(whole) // 2])
    details[2].write_text("[1, 2]")
    report = take(archive, folder)
    assert sorted(outcome.source for outcome in report.of("damaged")) == [
        f"detailed_trades/{path.name}" for path in details[:3]
    ]
    (imported,) = report.of("imported")
    assert (imported.strategies, imported.detailed) == (6, 1)
    details[1].write_bytes(whole)
    again = take(archive, folder)
    assert (again.of("imported")[0].detailed, len(again.of("damaged"))) == (2, 2)
    name = details[1].stem
    assert len(archive.load_strategy(name)["trades"]) == 1000


def test_parts_that_a_detail_cannot_have_are_told(archive: Archive, folder: Path) -> None:
    one = old.results("A", 1)[0]
    old.dump(folder / "detailed_trades/a.json", {**old.detail_of("u", 1, one), "chart": "x"})
    old.dump(folder / "detailed_trades/b.json", old.detail_of("u", 2, one))
    report = take(archive, folder)
    assert [(o.source, o.why) for o in report.of("skipped")] == [
        ("detailed_trades/a.json", "only its chart: a detail has no such part"),
        ("detailed_trades/b.json", f"a second detail of {one['strategy_name']!r} in 'u'"),
    ]


# -- one file a universe -------------------------------------------------------------------------------------


def test_universe_json_comes_in_exactly_with_the_best_details(archive: Archive, folder: Path) -> None:
    listed = old.results("A", 30)
    path = old.write_universe(folder, "universe_001_5min_5lb", listed)
    report = take(archive, folder, top_n=4)
    (imported,) = report.outcomes
    assert (imported.source, imported.strategies, imported.detailed) == (path.name, 30, 4)
    assert same(rows(archive, "universe_001_5min_5lb"), [named(result) for result in listed])
    scores = sorted((r for r in listed if "composite_score" in r), key=lambda r: -r["composite_score"])
    kept = [name for _, name in archive.detailed_strategies()]
    assert kept == [result["strategy_name"] for result in scores[:4]]
    assert same(archive.load_strategy(kept[1]), old.detail_of("universe_001_5min_5lb", 2, scores[1]))
    facts = origin(archive.records()[0])
    assert facts is not None
    assert same(facts["statistics"], {"best_sharpe": old.NAN, "total": 30})
    assert facts["universe_metadata"] == {"interval": 5, "lookback": 5}
    assert statuses(take(archive, path)) == ["present"]


@pytest.mark.parametrize(
    "shape",
    [
        lambda listed: {"results": listed, "universe_name": "late"},
        lambda listed: {"universe_name": "late", "results": {r["strategy_name"]: r for r in listed}},
        lambda listed: {
            "universe": "late",
            "strategies": [
                {
                    "strategy_name": r["strategy_name"],
                    "universe": "late",
                    "metrics": old.metrics_of(r),
                    "trades": r["trades_detailed"],
                    "equity_curve": r["equity_curve"],
                    "drawdown_curve": r["drawdown_curve"],
                }
                for r in listed
            ],
        },
        lambda listed: listed,
    ],
    ids=["universe last", "object of results", "nested", "bare list"],
)
def test_universe_json_in_other_shapes(
    archive: Archive, folder: Path, shape: Callable[[list[Any]], Any]
) -> None:
    listed = old.results("A", 3)
    old.dump(folder / "late_backtest.json", shape(listed))
    assert statuses(take(archive, folder)) == ["imported"]
    assert same(rows(archive, "late"), [named(result) for result in listed])
    best = archive.load_strategy(listed[1]["strategy_name"])
    assert same(best["trades"], listed[1]["trades_detailed"])


def test_a_damaged_file_stops_no_other(archive: Archive, folder: Path) -> None:
    good = old.write_universe(folder, "universe_001", old.results("A", 3))
    cut = old.write_universe(folder, "universe_002", old.results("B", 300))
    cut.write_bytes(cut.read_bytes()[:-5])
    old.dump(folder / "universe_003_backtest.json", {"universe_name": "x"})
    old.dump(folder / "universe_004_backtest.json", {"universe_name": "x", "results": [{"sharpe_ratio": 1}]})
    (folder / "notes.txt").write_text("hello")
    report = take(archive, folder)
    assert [(o.source, o.status) for o in report.outcomes] == [
        (good.name, "imported"),
        (cut.name, "damaged"),
        ("universe_003_backtest.json", "skipped"),
        ("universe_004_backtest.json", "damaged"),
        ("notes.txt", "skipped"),
    ]
    assert "no list of results" in report.outcomes[2].why
    assert "has no strategy_name" in report.outcomes[3].why
    assert [run.universe for run in archive.runs()] == ["universe_001"]


def test_damaged_details_are_named_at_each_import(archive: Archive, folder: Path) -> None:
    listed = old.results("A", 6, trades=1000)
    old.write_tiered(folder / "results", {"u": listed}, top=4)
    cut, odd, whole, _ = sorted((folder / "results/detailed_trades").iterdir())
    cut.write_bytes(cut.read_bytes()[:-200])
    old.dump(odd, {**json.loads(odd.read_text()), "comment": "mine"})
    old.dump(folder / "results/detailed_trades/twice.json", json.loads(whole.read_text()))
    reports = [take(archive, folder)]
    reports.append(take(archive, folder / "results"))
    folder.rename(folder.parent / "moved")
    reports.append(take(archive, folder.parent / "moved"))
    for place, report in zip(("results/", "", "results/"), reports, strict=True):
        left = [one for one in report.outcomes if one.status in ("skipped", "damaged")]
        assert [(one.status, one.source.removeprefix(f"{place}detailed_trades/")) for one in left] == [
            ("damaged", cut.name), ("skipped", odd.name), ("skipped", "twice.json")
        ]  # fmt: skip
        assert left[0].why.startswith(f"{left[0].source} is damaged: ")
        assert (left[1].why, report.ok) == ("only its comment: a detail has no such part", False)
    assert [len(report.of("imported")) for report in reports] == [1, 0, 0]


def test_two_lists_of_trades_are_told_at_each_import(archive: Archive, folder: Path) -> None:
    one: dict[str, Any] = {"strategy_name": "a", "x": 1.0, "trades": [{"n": 1}]}
    listed = [
        {**one, "trades_detailed": [{"n": 2}]},
        {**one, "strategy_name": "b", "trades_detailed": None},
        {**one, "strategy_name": "c", "trades_detailed": [{"n": 1}]},
    ]
    old.write_universe(folder, "u", listed)
    for status in ("imported", "present"):
        (left, done) = sorted(take(archive, folder).outcomes, key=lambda one: one.status, reverse=True)
        assert (left.status, left.source, done.status) == ("skipped", "u_backtest.json", status)
        assert left.why == "the trades of 'a': trades_detailed is there as well, and is taken"
    trades = {name: archive.load_strategy(name)["trades"] for name in "abc"}
    assert trades == {"a": [{"n": 2}], "b": [{"n": 1}], "c": [{"n": 1}]}


@pytest.mark.parametrize("depth", [300, 700, 900, 980, 100_000])
def test_deep_nesting_comes_in_or_is_named(archive: Archive, folder: Path, depth: int) -> None:
    folder.mkdir()
    deep = '{"strategy_name": "s", "x": ' + "[" * depth + "]" * depth + "}"
    (folder / "u_backtest.json").write_text('{"universe_name": "u", "results": [' + deep + "]}")
    report = take(archive, folder)
    assert statuses(report) in (["imported"], ["damaged"])
    if statuses(report) == ["imported"]:
        assert len(rows(archive, "u")) == 1


def test_memory_does_not_grow_with_the_file(archive: Archive, folder: Path) -> None:
    old.write_universe(folder, "small", old.results("A", 1))
    take(archive, folder)  # loads the modules that an import needs
    path = folder / "universe_001_backtest.json"
    size = write_large(path, '{"universe_name": "u", "results": ')
    tracemalloc.start()
    report = take(archive, path, top_n=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.outcomes[0].strategies == 250
    assert peak < size / 2


def test_json_of_another_name_is_told_and_read_where_it_is_named(archive: Archive, folder: Path) -> None:
    old.write_universe(folder, "u", old.results("A", 1))
    for at in range(30):
        (folder / f"chart{at}.png").write_bytes(b"")
    old.dump(folder / "grid.json", [{"params": {"L": 5}, "sharpe_ratio": 1.0}])
    left = {one.source: one.why for one in take(archive, folder).of("skipped")}
    assert left["30 other files"] == "not in a format that archiver knows (30 png)"
    assert "`archiver import` of the file itself" in left["grid.json"]
    assert statuses(take(archive, folder / "grid.json")) == ["imported"]
    assert rows(archive, "grid") == [{"strategy_name": "L=5", "params": {"L": 5}, "sharpe_ratio": 1.0}]


def test_compressed_results_are_named(archive: Archive, folder: Path) -> None:
    folder.mkdir()
    (folder / "u_backtest.json.gz").write_bytes(gzip.compress(b"{}"))
    with pytest.raises(ConfigError, match=r"u_backtest\.json\.gz: compressed: unpack it"):
        take(archive, folder)
    old.write_universe(folder, "u", old.results("A", 1))
    for at in range(30):
        (folder / f"chart{at}.png").write_bytes(b"")
    left = {one.source: one.why for one in take(archive, folder).of("skipped")}
    assert left["u_backtest.json.gz"].startswith("compressed")


def test_facts_of_a_file_never_pass_for_those_of_the_import(archive: Archive, folder: Path) -> None:
    text = {"universe_name": "u", "results": [{"strategy_name": "s"}], "left_out": "x", "format": "v2"}
    old.dump(folder / "u_backtest.json", text)
    assert statuses(take(archive, folder)) == ["imported"]
    assert statuses(take(archive, folder)) == ["present"]
    facts = origin(archive.records()[0])
    assert facts is not None
    assert (facts["its left_out"], facts["its format"], facts["format"]) == ("x", "v2", "universe-json")


# -- places --------------------------------------------------------------------------------------------------


def test_a_bucket_is_read_and_written_as_a_folder_is(moto_place: Place, folder: Path) -> None:
    listed = old.results("A", 20)
    old.write_tiered(folder, {"u": listed})
    source = Place("moto", f"{moto_place.url}/old", moto_place.options)
    store = source.open()
    for path in folder.rglob("*.json"):
        store.put(path.relative_to(folder).as_posix(), path.read_bytes())
    archive = archiver.open(f"{moto_place.url}/new", **moto_place.options)
    assert statuses(take(archive, source.url, storage_options=source.options)) == ["imported"]
    assert same(rows(archive, "u"), [named(result) for result in listed])
    file = f"{source.url}/all_strategies_metrics.json"
    other = archiver.open(f"{moto_place.url}/other", **moto_place.options)
    report = take(other, file, storage_options=source.options)
    assert [(o.status, o.detailed) for o in report.outcomes] == [("imported", 0)]


def test_links_and_odd_files_do_no_harm(archive: Archive, folder: Path) -> None:
    path = old.write_universe(folder, "universe_001", old.results("A", 3))
    kept = path.rename(folder.parent / "elsewhere.json")
    path.symlink_to(kept)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "gone_backtest.json").symlink_to(folder / "nothing")
    report = take(archive, folder)
    assert [(o.source, o.status) for o in report.outcomes] == [
        ("universe_001_backtest.json", "imported"),
        ("loop", "skipped"),
        ("gone_backtest.json", "skipped"),
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(archive: Archive, folder: Path) -> None:
    old.write_universe(folder, "universe_001", old.results("A", 3))
    old.write_universe(folder, "universe_002", old.results("A", 3)).chmod(0)
    report = take(archive, folder)
    assert statuses(report) == ["imported", "damaged"]
    assert "universe_002_backtest.json cannot be read" in report.outcomes[1].why


def test_an_archive_below_the_folder_is_passed_over(folder: Path) -> None:
    old.write_universe(folder, "universe_001", old.results("A", 3))
    old.write_tiered(folder / "archive", {"beside": old.results("C", 2)})
    archive = archiver.open(folder / "archive")
    archive.create(beside=True)
    archive.save_universe_results("u", old.results("B", 40), code="none")
    report = take(archive, folder)
    assert [(o.source, o.status) for o in report.outcomes] == [
        ("archive", "imported"),
        ("universe_001_backtest.json", "imported"),
        ("archive", "skipped"),
    ]
    assert set(statuses(take(archive, folder))) == {"present", "skipped"}


def test_what_cannot_be_imported_is_one_line(archive: Archive, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to import at"):
        take(archive, folder)
    for place in (f"file://{folder}", "memory://nothing/here", f"file://{folder}/u_backtest.json"):
        with pytest.raises(ConfigError, match="nothing to import at"):
            take(archive, place)
    folder.mkdir()
    with pytest.raises(ConfigError, match="no file is there"):
        take(archive, folder)
    (folder / "u_backtest.json").symlink_to("nothing")
    with pytest.raises(ConfigError, match=r"u_backtest\.json: No such file"):
        take(archive, folder)
    (folder / "u_backtest.json").unlink()
    (folder / "notes.txt").write_text("")
    with pytest.raises(ConfigError, match="holds no results in a format"):
        take(archive, folder)
    (folder / "kept.tar.zst").write_bytes(b"")
    for name, text in (
        ("notes.txt", "notes.txt holds no results"),
        ("kept.tar.zst", "`archiver bundle restore"),
    ):
        with pytest.raises(ConfigError, match=text):
            take(archive, folder / name)
    archive.save_universe_results("u", [{"strategy_name": "s"}], code="none")
    with pytest.raises(ConfigError, match="is an archive already"):
        take(archiver.open(tmp_path / "other"), tmp_path / "archive")


def test_packs_of_an_archive_beside_results_are_no_results(
    archive: Archive, folder: Path, tmp_path: Path
) -> None:
    packed = archiver.open(folder / "old archive")
    for at in range(3):
        packed.save_universe_results("packed", [{"strategy_name": f"s{at}", "sharpe": 1.0}], code="none")
    packed.compact()
    assert sorted(path.name for path in (folder / "old archive").iterdir()) == ["archive.json", "packs"]
    assert len(archiver.open(folder / "old archive").runs()) == 3
    old.write_tiered(folder, {"u": old.results("A", 3)})
    take(archive, folder)
    assert [run.universe for run in archive.runs()] == ["u"]
    shutil.copytree(folder / "old archive" / "packs", tmp_path / "packs only" / "packs")
    archiver.open(tmp_path / "packs only").save_universe_results("u", [{"strategy_name": "s"}], code="none")


# -- crashes -------------------------------------------------------------------------------------------------


def test_an_import_that_dies_anywhere_is_completed_by_the_next(folder: Path, tmp_path: Path) -> None:
    universes = {"u1": old.results("A", 20), "u2": old.results("B", 2)}
    old.write_tiered(folder, universes)
    calls = None
    at = 0
    while calls is None or at < calls:
        place = tmp_path / f"archive{at}"
        store = FaultyStore(archiver.open(place).store, at, die=True)
        try:
            import_results(open_source(folder), Archive(store).add)
            calls = len(store.calls)
        except DiedError:
            pass
        archive = archiver.open(place)
        report = take(archive, folder)
        assert report.ok
        assert sorted(run.universe for run in archive.runs()) == ["u1", "u2"]
        for universe, listed in universes.items():
            assert same(rows(archive, universe), [named(result) for result in listed])
        at += 1
    assert at >= 8


def test_a_source_that_fails_is_no_damage_either(folder: Path, tmp_path: Path) -> None:
    old.write_tiered(folder, {"u1": old.results("A", 20)})
    archive = archiver.open(tmp_path / "archive")
    at = 0
    while True:
        store = FaultyStore(open_store(folder), at)
        try:
            report = import_results(StoreSource(store), archive.add)
        except StorageError:
            assert not (tmp_path / "archive").exists()
            at += 1
            continue
        assert (at > 4, statuses(report)) == (True, ["imported"])
        return


def test_a_store_that_fails_is_no_damage_of_the_source(folder: Path, tmp_path: Path) -> None:
    old.write_tiered(folder, {"u1": old.results("A", 20)})
    store = FaultyStore(archiver.open(tmp_path / "archive").store, 3, lasting=True)
    with pytest.raises(StorageError):
        import_results(open_source(folder), Archive(store).add)


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00", "0001-01-01T00:00:00+12:00", "9999-12-31T23:59:59-12:00", "1900-01-01"]
)
def test_a_time_that_cannot_be_is_the_file_s(archive: Archive, folder: Path, text: str) -> None:
    folder.mkdir()
    path = folder / "u_backtest.json"
    path.write_text(json.dumps({"backtest_timestamp": text, "results": [{"strategy_name": "s", "x": 1.0}]}))
    os.utime(path, (1e9, 1e9))
    assert statuses(take(archive, folder)) == ["imported"]
    assert [run.created.timestamp() for run in archive.runs()] == [1e9]
    assert statuses(take(archive, folder)) == ["present"]
