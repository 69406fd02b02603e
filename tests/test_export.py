"""Exports give back what went in, the same bytes each time, and differ where the results do."""

from __future__ import annotations

import csv
import difflib
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import archiver
from archiver import demo
from archiver.archive import Archive
from archiver.errors import ConfigError
from archiver.interop.export import Tiered, export_metrics, export_tiered, indented
from archiver.interop.export_to import target_of
from archiver.interop.importing import import_results, known_imports, open_source
from archiver.runs.read import Reader
from archiver.store import open_store
from tests import old_formats as old
from tests.benchmarks import workload
from tests.conftest import Place
from tests.same import one_nan, same


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return archiver.open(tmp_path / "archive")


def tiered(archive: Archive, url: Any, **options: Any) -> Tiered:
    target = open_store(url, **options)
    return export_tiered(Reader(archive.store), archive.records(), target)


def take(archive: Archive, url: Any, **options: Any) -> None:
    report = import_results(open_source(url, **options), archive.add, known_imports(archive.store))
    assert {outcome.status for outcome in report.outcomes} == {"imported"}


def metrics(archive: Archive, form: str, *, history: bool = False) -> bytes:
    out = io.BytesIO()
    count = export_metrics(Reader(archive.store), archive.records(), form, out, history=history)
    assert count == archive.load_metrics(history=history).num_rows
    return out.getvalue()


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def everything(archive: Archive) -> dict[str, Any]:
    """Return all that users can see of an archive's newest results, exactly."""
    reader = Reader(archive.store)
    found: dict[str, Any] = {}
    for part in reader.parts(archive.records()):
        for row in reader.rows(part.record):
            if part.has(row["strategy_name"]):
                found[f"{part.record.universe} {row['strategy_name']}"] = row
    for universe, name in archive.detailed_strategies():
        found[f"detail {universe} {name}"] = archive.load_strategy(name, universe=universe)
    return found


def assert_equal(one: Archive, other: Archive) -> None:
    before, after = everything(one), everything(other)
    assert sorted(before) == sorted(after)
    assert [key for key in before if not same(one_nan(before[key]), one_nan(after[key]))] == []


# -- tiered-json ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_name", [False, True])
def test_tiered_json_is_the_old_layout_byte_for_byte(
    archive: Archive, tmp_path: Path, with_name: bool
) -> None:
    universes = {"universe_001": old.results("A", 30), "universe_002": old.results("B", 4)}
    old.write_tiered(tmp_path / "old", universes, with_name=with_name)
    take(archive, tmp_path / "old")
    done = tiered(archive, tmp_path / "new")
    assert files(tmp_path / "new") == files(tmp_path / "old")
    assert (done.strategies, done.details, done.renamed, done.left) == (34, 6, [], [])


def test_tiered_json_of_other_shapes_comes_back_byte_for_byte(archive: Archive, tmp_path: Path) -> None:
    universes = {name: old.results(name.upper(), 4) for name in ("z", "a", "m")}
    folder = tmp_path / "old"
    old.write_tiered(folder, universes)
    path = folder / "all_strategies_metrics.json"
    text = json.loads(path.read_text())
    moved = {
        "version": 2,
        "strategies": text["strategies"],
        "last_updated": None,
        "format": {"by": ["me", None]},
    }
    old.dump(path, {**moved, "total_strategies": 12})
    keys = ["universe", "strategy_name", "metrics", "trades"]
    for number, result in enumerate(universes["z"][:3]):
        detail = old.detail_of("z", number + 1, result)
        odd = {key: detail[key] for key in keys} if number else {**detail, "rank": None, "equity_curve": None}
        old.dump(folder / f"detailed_trades/{result['strategy_name']}.json", odd)
    detail = old.detail_of("a", 1, universes["a"][0])
    old.dump(folder / "detailed_trades/A_L0_T0.5.json", {**detail, "rank": -3, "drawdown_curve": []})
    alone = {**old.detail_of("m", 9, universes["m"][0]), "strategy_name": "only detailed"}
    old.dump(folder / "detailed_trades/only detailed.json", alone)
    take(archive, folder)
    done = tiered(archive, tmp_path / "new")
    assert files(tmp_path / "new") == files(folder)
    assert (done.strategies, done.details) == (12, 10)
    assert archive.load_strategy("only detailed")["rank"] == 9
    archive.save_universe_results("b", old.results("B", 2), code="none")
    tiered(archive, tmp_path / "newer")
    written = json.loads((tmp_path / "newer/all_strategies_metrics.json").read_text())
    assert list(written) == ["total_strategies", "last_updated", "strategies"]
    assert list(dict.fromkeys(row["universe"] for row in written["strategies"])) == ["z", "a", "m", "b"]


def test_round_trip_of_a_generated_search(archive: Archive, tmp_path: Path) -> None:
    for number in range(3):
        archive.save_universe_results(
            f"universe_{number}/x", workload.universe(number, 200, 4, 30, 3000), top_n=4, code="none"
        )
    archive.save_universe_results("universe_1/x", workload.universe(1, 120, 2, 20, 3000), code="none")
    assert archive.load_metrics().num_rows > 600
    tiered(archive, tmp_path / "export")
    again = archiver.open(tmp_path / "again")
    take(again, tmp_path / "export")
    assert_equal(archive, again)


@pytest.mark.slow
def test_round_trip_of_the_demo(archive: Archive, tmp_path: Path) -> None:
    # A few jobs of each universe, among them one name in both.
    for universe in dict.fromkeys(job[0] for job in demo.jobs()):
        chosen = [job for job in demo.jobs() if job[0] == universe][:6]
        archive.save_universe_results(universe, demo.search(chosen), code="none")
    tiered(archive, tmp_path / "export")
    again = archiver.open(tmp_path / "again")
    take(again, tmp_path / "export")
    assert_equal(archive, again)


def test_round_trip_over_a_bucket(moto_place: Place) -> None:
    options = moto_place.options
    archive = archiver.open(f"{moto_place.url}/a", **options)
    archive.save_universe_results("u", old.results("A", 25), code="none")
    tiered(archive, f"{moto_place.url}/export", storage_options=options)
    again = archiver.open(f"{moto_place.url}/b", **options)
    take(again, f"{moto_place.url}/export", storage_options=options)
    assert_equal(archive, again)


@pytest.mark.parametrize("kind", ["file", "moto"])
def test_full_circle_through_a_bundle_and_plain_tar(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    place: Place = request.getfixturevalue(f"{kind}_place")
    archive = archiver.open(f"{place.url}/a", **place.options)
    for number in range(2):
        listed = workload.universe(number, 60, 3, 20, 2000)
        archive.save_universe_results(f"universe_{number}", listed, top_n=3, code="none")
    made = archive.bundle([run.id for run in archive.runs()], "all", to=str(tmp_path))
    (tmp_path / "plain").mkdir()
    subprocess.run(["tar", "--zstd", "-xf", made.url, "-C", str(tmp_path / "plain")], check=True)
    unpacked = archiver.open(tmp_path / "plain")
    tiered(unpacked, f"{place.url}/export", storage_options=place.options)
    again = archiver.open(f"{place.url}/b", **place.options)
    take(again, f"{place.url}/export", storage_options=place.options)
    assert_equal(archive, again)


def test_a_name_in_two_universes_has_two_files(archive: Archive, tmp_path: Path) -> None:
    for universe in ("z", "a/b"):
        archive.save_universe_results(universe, old.results("S", 2), code="none")
    done = tiered(archive, tmp_path / "export")
    names = sorted(path.name for path in (tmp_path / "export/detailed_trades").iterdir())
    assert len(names) == 4
    plain = json.loads((tmp_path / "export/detailed_trades/S_L0_T0.5.json").read_text())
    assert plain["universe"] == "a/b"
    assert done.renamed == ["S_L1_T0.5@z", "S_L0_T0.5@z"]
    again = archiver.open(tmp_path / "again")
    take(again, tmp_path / "export")
    assert_equal(archive, again)


def test_which_universe_has_the_plain_name_stays_through_imports(archive: Archive, tmp_path: Path) -> None:
    for universe, names in (("u1", "ST"), ("u2", "TU"), ("u3", "S/"), ("u4", "U/")):
        rows = [{"strategy_name": name, "x": 1.0, "trades_detailed": [{"p": 1}]} for name in names]
        archive.save_universe_results(universe, rows, code="none")
    tiered(archive, tmp_path / "first")
    again = archiver.open(tmp_path / "again")
    take(again, tmp_path / "first")
    tiered(again, tmp_path / "second")
    assert files(tmp_path / "second") == files(tmp_path / "first")
    assert [again.load_strategy(name)["universe"] for name in "STU/"] == ["u3", "u2", "u4", "u4"]


def test_any_name_has_a_file(archive: Archive, tmp_path: Path) -> None:
    names = ["a/b", "..", ".hidden", "x" * 300, "ü" * 150, "nul\0", "a b*?"]
    results = [
        {"strategy_name": name, "sharpe_ratio": 1.0, "trades_detailed": [{"pnl": 1}]} for name in names
    ]
    archive.save_universe_results("u", results, code="none")
    assert tiered(archive, tmp_path / "export").details == len(names)
    again = archiver.open(tmp_path / "again")
    take(again, tmp_path / "export")
    assert_equal(archive, again)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "archive", "export"]


def test_an_empty_archive_gives_an_empty_list(archive: Archive, tmp_path: Path) -> None:
    archive.save_universe_results("u", [], code="none")
    tiered(archive, tmp_path / "export")
    found = json.loads((tmp_path / "export/all_strategies_metrics.json").read_text())
    assert (found["total_strategies"], found["strategies"]) == (0, [])
    assert json.loads(metrics(archive, "json")) == {"strategies": []}


def test_a_second_export_says_what_it_left(archive: Archive, tmp_path: Path) -> None:
    archive.save_universe_results("u", old.results("A", 3), code="none")
    assert tiered(archive, tmp_path / "export").left == []
    (tmp_path / "export/detailed_trades/other.json").write_text("{}")
    before = files(tmp_path / "export")
    assert tiered(archive, tmp_path / "export").left == ["detailed_trades/other.json"]
    assert files(tmp_path / "export") == before
    with pytest.raises(ConfigError, match="is an archive"):
        target_of(archive.store)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=15,
    ),
    st.integers(0, 3),
)
def test_indented_text_is_what_json_writes(value: Any, depth: int) -> None:
    assert indented(value, depth) == json.dumps(value, indent=2).replace("\n", "\n" + "  " * depth)


# -- metrics -------------------------------------------------------------------------------------------------


def test_the_same_results_give_the_same_bytes_whatever_their_order(tmp_path: Path) -> None:
    listed = old.results("A", 40)
    texts: dict[str, set[bytes]] = {}
    for number, order in enumerate((listed, listed[::-1])):
        archive = archiver.open(tmp_path / str(number))
        for universe in ("b", "a")[:: 1 if number else -1]:
            archive.save_universe_results(universe, order, code="none")
        for form in ("json", "csv", "jsonl"):
            texts.setdefault(form, set()).add(metrics(archive, form))
            texts[form].add(metrics(archive, form))
    assert {form: len(found) for form, found in texts.items()} == {"json": 1, "csv": 1, "jsonl": 1}


def test_a_changed_metric_is_one_changed_line(tmp_path: Path) -> None:
    texts = []
    for number, value in enumerate((1.25, 0.1 + 0.2)):
        listed = old.results("A", 30)
        listed[7]["sharpe_ratio"] = value
        archive = archiver.open(tmp_path / str(number))
        archive.save_universe_results("u", listed, code="none")
        texts.append(metrics(archive, "json").decode().splitlines())
    changed = [line for line in difflib.unified_diff(*texts, n=0) if line[0] in "+-"][2:]
    assert [line.split() for line in changed] == [
        ["-", '"sharpe_ratio":', "1.25,"],
        ["+", '"sharpe_ratio":', "0.30000000000000004,"],
    ]


def test_json_and_lines_are_strict_and_csv_keeps_what_they_cannot(archive: Archive) -> None:
    listed = old.results("A", 6)
    listed[0]["universe"] = "mine"
    archive.save_universe_results("u", listed, code="none")

    def refuse(text: str) -> None:
        raise AssertionError(text)

    document = json.loads(metrics(archive, "json"), parse_constant=refuse)["strategies"]
    lines = [json.loads(line, parse_constant=refuse) for line in metrics(archive, "jsonl").splitlines()]
    assert document == lines
    assert [row["strategy_name"] for row in lines] == sorted(result["strategy_name"] for result in listed)
    assert list(lines[1]["metrics"]) == sorted(old.metrics_of(listed[1]))
    assert (lines[0]["metrics"]["profit_factor"], lines[1]["metrics"]["profit_factor"]) == (None, 0)
    read = list(csv.DictReader(io.StringIO(metrics(archive, "csv").decode("utf-8", "surrogatepass"))))
    assert list(read[0])[:2] == ["universe", "strategy_name"]
    assert (read[0]["universe"], read[0]["metrics.universe"]) == ("u", "mine")
    assert [row["profit_factor"] for row in read] == ["inf", "0", "1.25", "-inf", "inf", "0"]
    assert [row["sharpe_ratio"] for row in read[:4]] == ["1.5", "nan", "-0.0", "5e-324"]
    assert (read[0]["composite_score"], read[1]["omega"], read[3]["regime"]) == ("", "", "\ud800")


def test_parquet_comes_back_as_an_import(archive: Archive, tmp_path: Path) -> None:
    for universe in ("b", "a"):
        archive.save_universe_results(universe, workload.universe(1, 100, 0), code="none")
    data = metrics(archive, "parquet")
    assert data == metrics(archive, "parquet")
    (tmp_path / "merged.parquet").write_bytes(data)
    table = pq.read_table(tmp_path / "merged.parquet")
    assert table.column_names[:2] == ["universe", "strategy_name"]
    assert table.column("universe").to_pylist() == ["a"] * 100 + ["b"] * 100
    again = archiver.open(tmp_path / "again")
    take(again, tmp_path / "merged.parquet")
    one, other = (
        each.load_metrics().to_pandas().sort_values(["universe", "strategy_name"]).reset_index(drop=True)
        for each in (archive, again)
    )
    assert one["sharpe_ratio"].equals(other["sharpe_ratio"])
    assert one["regime"].equals(other["regime"])


def test_numbers_too_large_for_parquet_come_back_exactly(archive: Archive, tmp_path: Path) -> None:
    rows = [
        {"strategy_name": "a", "x": 2**63 + 1, "y": 10**400, "z": 1, "own": 1.0, "own.text": [1]},
        {"strategy_name": "b", "x": -(10**25), "y": 0.5, "z": "none", "own": None, "own.text": None},
        {"strategy_name": "c", "x": 3.5, "y": -(10**400), "z": True, "own": 2.0, "own.text": 7},
    ]
    archive.save_universe_results("u", rows, code="none")
    (tmp_path / "merged.parquet").write_bytes(metrics(archive, "parquet"))
    again = archiver.open(tmp_path / "again")
    take(again, tmp_path / "merged.parquet")
    came = {row["strategy_name"]: row for row in Reader(again.store).rows(again.records()[0])}
    assert [same(came[row["strategy_name"]][name], row[name]) for row in rows for name in "xyz"] == [True] * 9
    assert [came[name]["own.text"] for name in "ac"] == [[1], 7]


def test_an_export_as_json_comes_back_under_its_universes(archive: Archive, tmp_path: Path) -> None:
    for universe in ("b", "a"):
        archive.save_universe_results(
            universe, [{"strategy_name": "s", "k": universe, "x": 1.5}], code="none"
        )
    (tmp_path / "metrics.json").write_bytes(metrics(archive, "json"))
    again = archiver.open(tmp_path / "again")
    take(again, tmp_path / "metrics.json")
    assert_equal(archive, again)
    report = import_results(open_source(tmp_path / "metrics.json"), again.add, known_imports(again.store))
    assert [outcome.status for outcome in report.outcomes] == ["present", "present"]


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_metrics_called_like_columns_come_back(archive: Archive, tmp_path: Path, form: str) -> None:
    rows: list[dict[str, Any]] = [
        {
            "strategy_name": f"s{at}",
            "metrics.universe": at,
            "name": "n",
            "rank": at,
            "run": [1.5, "20250101T000000Z-00000000", "u", None][at],
            "strategy": "t",
            "universe": ["x", "u", 2.5, 2**70][at],
            "universe_name": "w",
        }
        for at in range(4)
    ]
    archive.save_universe_results("u", rows, code="none")
    (tmp_path / f"metrics.{form}").write_bytes(metrics(archive, form))
    again = archiver.open(tmp_path / "again")
    take(again, tmp_path / f"metrics.{form}")
    assert Reader(again.store).rows(again.records()[0]) == rows
    assert {(record.universe, record.strategies) for record in again.records()} == {("u", 4)}


def test_columns_of_csv_have_names_of_their_own(archive: Archive) -> None:
    archive.save_universe_results(
        "u", [{"strategy_name": "s", "universe": "mine", "metrics.universe": 1}], code="none"
    )
    first, second = csv.reader(io.StringIO(metrics(archive, "csv").decode()))
    assert first == ["universe", "strategy_name", "metrics.universe", "metrics.universe_"]
    assert second == ["u", "s", "1", "mine"]


def test_any_name_is_one_field_of_csv(archive: Archive) -> None:
    names = ["a\rb", "a\nb", "a\r\nb", 'a"b', "a,b", " a"]
    archive.save_universe_results(
        "u\r", [{"strategy_name": name, "m\r": "x\r"} for name in names], code="none"
    )
    text = metrics(archive, "csv").decode()
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read[0] == ["universe", "strategy_name", "m\r"]
    assert read[1:] == [["u\r", name, "x\r"] for name in sorted(names)]
    assert text.count("\r\n") == 1
    assert text.endswith("\n")


def test_history_names_the_run(archive: Archive) -> None:
    runs = [archive.save_universe_results("u", old.results("A", 3), code="none").id for _ in range(2)]
    lines = [json.loads(line) for line in metrics(archive, "jsonl", history=True).splitlines()]
    assert [row["run"] for row in lines] == sorted(runs) * 3
    assert metrics(archive, "csv", history=True).startswith(b"universe,strategy_name,run,")
    with pytest.raises(ConfigError, match="use one of json, csv"):
        metrics(archive, "xlsx")


def test_a_detail_never_overwrites_another(tmp_path: Path) -> None:
    archive = archiver.open(tmp_path / "a")
    trades = [{"pnl": 1.0}]
    archive.save_universe_results("u1", [{"strategy_name": "S", "x": 1.0, "trades": trades}], code="none")
    rows = [{"strategy_name": name, "x": 1.0, "trades": trades} for name in ("S", "S@u1")]
    archive.save_universe_results("u2", rows, code="none")
    out = tmp_path / "out"
    done = export_tiered(Reader(archive.store), archive.records(), open_store(out))
    files = list((out / "detailed_trades").iterdir())
    assert done.details == len(files) == 3
    found = {
        (json.loads(file.read_text())["universe"], json.loads(file.read_text())["strategy_name"])
        for file in files
    }
    assert found == {("u1", "S"), ("u2", "S"), ("u2", "S@u1")}


def test_bundles_that_hold_details_are_named(tmp_path: Path) -> None:
    archive = archiver.open(tmp_path / "a")
    run = archive.save_universe_results("u", [{"strategy_name": "s", "trades": [{"pnl": 1.0}]}], code="none")
    archive.bundle([run.id], "kept")
    archive.bundles.apply_removal(archive.bundles.plan_removal("kept"))
    done = export_tiered(Reader(archive.store), archive.records(), open_store(tmp_path / "out"))
    assert (done.details, done.archived) == (0, ["kept"])


def test_details_that_were_removed_are_counted(tmp_path: Path) -> None:
    archive = archiver.open(tmp_path / "a")
    archive.save_universe_results("u", [{"strategy_name": "s", "trades": [{"pnl": 1.0}]}], code="none")
    policy = archiver.Policy(keep_last=0, tiers=2)
    archive.apply(archive.plan_prune(policy, allow_empty=True), max_remove=1.0)
    done = export_tiered(Reader(archive.store), archive.records(), open_store(tmp_path / "out"))
    assert (done.details, done.archived, done.removed) == (0, [], 1)
