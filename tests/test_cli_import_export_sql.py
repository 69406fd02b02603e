"""import, export and sql as a user calls them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import archiver
from archiver import cli
from archiver.store import open_store
from tests import old_formats as old

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Cli:
    def call(*args: str) -> tuple[int, str, str]:
        code = cli.main(["--url", str(tmp_path / "archive"), *args])
        captured = capfdbinary.readouterr()
        return code, captured.out.decode("utf-8", "replace"), captured.err.decode()

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    old.write_tiered(tmp_path / "old", {"u1": old.results("A", 30), "u2": old.results("B", 4)})
    return tmp_path / "old"


def test_import_reports_what_it_did(run: Cli, folder: Path, tmp_path: Path) -> None:
    code, out, err = run("import", str(folder), "--tag", "pinned")
    assert code == 0
    header, *lines = [line.split("\t") for line in out.splitlines()]
    assert header == ["universe", "run", "strategies", "detailed", "source"]
    assert [(line[0], line[2], line[3], line[4]) for line in lines] == [
        ("u1", "30", "3", "old"),
        ("u2", "4", "3", "old"),
    ]
    url = str(tmp_path / "archive")
    assert err == f"2 runs imported into {url}, 0 there already, 0 skipped, 0 damaged\n"
    assert [known.tags for known in archiver.open(url).runs()] == [("pinned",)] * 2
    code, out, err = run("import", str(folder))
    assert (code, out) == (0, "")
    assert err.splitlines()[0] == f"present: old (u1): imported before, as {lines[0][1]}"
    assert err.splitlines()[-1] == f"0 runs imported into {url}, 2 there already, 0 skipped, 0 damaged"


def test_import_of_damage_is_exit_code_3(run: Cli, folder: Path) -> None:
    (folder / "detailed_trades/A_L0_T0.5.json").write_text("{")
    code, out, err = run("import", str(folder), "--json")
    assert code == 3
    outcomes = json.loads(out)["outcomes"]
    assert [(one["status"], one["source"]) for one in outcomes] == [
        ("damaged", "detailed_trades/A_L0_T0.5.json"),
        ("imported", "old"),
        ("imported", "old"),
    ]
    assert "1 damaged" in err
    code, out, err = run("import", str(folder))
    assert code == 3
    assert "damaged: detailed_trades/A_L0_T0.5.json is damaged at character 1: " in err
    assert "damaged: detailed_trades/A_L1_T0.5.json is damaged: " not in err
    detail = folder / "detailed_trades/A_L1_T0.5.json"
    detail.write_bytes(detail.read_bytes()[:-3])
    for _ in range(2):
        code, out, err = run("import", str(folder))
        assert code == 3
        assert "damaged: detailed_trades/A_L1_T0.5.json is damaged: " in err
    for place in (str(folder / "none"), f"file://{folder}/none", str(folder / ("x" * 300))):
        code, out, err = run("import", place)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "nothing to import at" in err


def test_export_of_metrics_to_a_url(run: Cli, folder: Path) -> None:
    run("import", str(folder))
    for url in ("memory://exports/deep", f"file://{folder.parent}"):
        code, out, err = run("export", "-f", "csv", "-o", f"{url}/m.csv")
        assert (code, out) == (0, "")
        assert err.startswith("34 strategies -> ")
        store = open_store(url)
        assert store.get("m.csv").startswith(b"universe,strategy_name,")
    code, _, err = run("export", "-o", str(folder / ("x" * 300)))
    assert (code, err.count("\n")) == (2, 1)
    assert "File name too long" in err
    code, _, err = run("export", "-o", "memory://")
    assert (code, err.count("\n")) == (2, 1)
    assert "names no file" in err


def test_import_refuses_the_folder_of_the_old_files(run: Cli, folder: Path, tmp_path: Path) -> None:
    code, out, err = run("import", str(folder), "--url", str(folder))
    assert (code, out) == (11, "")
    assert "choose an empty folder" in err
    assert not (folder / "archive.json").exists()


def test_export_to_files_and_standard_output(run: Cli, folder: Path, tmp_path: Path) -> None:
    run("import", str(folder))
    code, out, _ = run("export")
    assert code == 0
    assert len(json.loads(out)["strategies"]) == 34
    assert len(run("export", "-f", "jsonl", "-u", "u2")[1].splitlines()) == 4
    assert len(list(csv.reader(io.StringIO(run("export", "-f", "csv", "--history")[1])))) == 35
    code, out, err = run("export", "-f", "parquet", "-o", str(tmp_path / "m.parquet"))
    assert (code, out, err) == (0, "", f"34 strategies -> {tmp_path / 'm.parquet'}\n")
    assert pq.read_table(tmp_path / "m.parquet").num_rows == 34
    assert run("export", "-o", str(tmp_path / "m.csv"))[0] == 0
    assert len((tmp_path / "m.csv").read_bytes().split(b"\nu")) == 35
    code, out, err = run("export", "-f", "tiered-json", "-o", str(tmp_path / "out"))
    assert (code, out, err) == (0, "", f"34 strategies and 6 details -> {tmp_path / 'out'}\n")
    assert (tmp_path / "out/all_strategies_metrics.json").read_bytes() == (
        folder / "all_strategies_metrics.json"
    ).read_bytes()


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["-f", "xml"], "use one of json, csv, jsonl, parquet, tiered-json"),
        (["-f", "tiered-json"], "give -o"),
        (["-o", "/no/such/folder/x.json"], "cannot write /no/such/folder/x.json"),
        (["-o", "x.xlsx"], "the format of x.xlsx is not known: use one of json, csv"),
        (["-o", "memory://a/x.xlsx?token=secret"], "the format of memory://a/x.xlsx is not known"),
        (["-f", "csv", "-o", "memory://a/x.csv?token=secret"], "memory://a/x.csv: leave the query out"),
        (["--json", "-f", "csv"], "--json prints one JSON document, not csv"),
    ],
)
def test_export_errors_are_one_line(args: list[str], text: str, run: Cli, folder: Path) -> None:
    run("import", str(folder))
    code, out, err = run("export", *args)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert text in err
    assert "secret" not in err


def test_export_of_an_unknown_universe_writes_nothing(run: Cli, folder: Path, tmp_path: Path) -> None:
    run("import", str(folder))
    for args in ((), ("-o", str(tmp_path / "m.json")), ("-f", "tiered-json", "-o", str(tmp_path / "out"))):
        code, out, err = run("export", "-u", "typo", *args)
        assert (code, out, err.count("\n")) == (10, "", 1)
        assert "no universe 'typo' in " in err
    ids = {one["universe"]: one["id"] for one in json.loads(run("--json", "ls")[1])["runs"]}
    code, out, err = run("export", "-r", ids["u2"], "-u", "u1", "-o", str(tmp_path / "m.json"))
    assert (code, out) == (10, "")
    assert f"run {ids['u2']} is of universe 'u2', not of 'u1'" in err
    assert not (tmp_path / "m.json").exists()
    assert not (tmp_path / "out").exists()


def test_export_never_goes_into_an_archive(run: Cli, folder: Path, tmp_path: Path) -> None:
    run("import", str(folder))
    code, _, err = run("export", "-f", "tiered-json", "-o", str(tmp_path / "archive"))
    assert code == 2
    assert "is an archive" in err


def test_sql_prints_in_every_format(run: Cli, folder: Path, tmp_path: Path) -> None:
    run("import", str(folder))
    text = "select universe, count(*) as n from metrics group by 1 order by 1"
    assert run("sql", text) == (0, "universe\tn\nu1\t30\nu2\t4\n", "")
    rows = [{"universe": "u1", "n": 30}, {"universe": "u2", "n": 4}]
    assert json.loads(run("sql", text, "--json")[1]) == {"rows": rows}
    assert json.loads(run("sql", text, "-f", "json")[1]) == rows
    assert run("sql", text, "-f", "csv", "-u", "u2")[1] == "universe,n\nu2,4\n"
    code, _, err = run("sql", text, "-o", str(tmp_path / "x.parquet"))
    assert (code, err) == (0, f"2 rows -> {tmp_path / 'x.parquet'}\n")
    assert pq.read_table(tmp_path / "x.parquet").to_pylist() == rows
    code, out, err = run("sql", "selec")
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_sql_reads_the_query_from_standard_input(
    run: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("import", str(folder))
    monkeypatch.setattr("sys.stdin", io.StringIO("select count(*) as n from trades"))
    assert run("sql", "-") == (0, "n\n18\n", "")
