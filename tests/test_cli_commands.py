"""The commands, on a small archive, as a user calls them."""

from __future__ import annotations

import csv
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import archiver
from archiver import cli
from archiver.cli import complete
from tests.benchmarks import workload
from tests.conftest import Cli
from tests.test_cli_terminal import plain
from tests.warm import Terminal

NAN = float("nan")
ROWS: list[dict[str, Any]] = [
    {
        "strategy_name": "good",
        "sharpe_ratio": 2.5,
        "n_trades": 2,
        "regime": "calm",
        "profit_factor": float("inf"),
    },
    {"strategy_name": "fair", "sharpe_ratio": 1.0, "n_trades": 40, "regime": "storm", "profit_factor": 1.5},
    {"strategy_name": "idle", "sharpe_ratio": NAN, "n_trades": 0, "regime": None, "profit_factor": 0},
]
TRADES = [
    {"entry_time": "2025-01-06 09:35:00", "direction": "long", "pnl_usd": 12.5, "context": {"hour": 9}},
    {"entry_time": "2025-01-06 11:10:00", "direction": "short", "pnl_usd": -4.0, "context": {"hour": 11}},
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("archive") / "here")
    archive = archiver.open(folder)
    best = {**ROWS[0], "trades_detailed": TRADES, "equity_curve": [100.0, 112.5, 108.5]}
    archive.save_universe_results("alpha", [ROWS[2]], note="the first", code="none")
    archive.save_universe_results("alpha", [best, *ROWS[1:]], top_n=1, tags=["nightly"], code="none")
    archive.save_universe_results("beta/5min", workload.universe(3, 30, 2, 25, 3000), code="none")
    return folder


@pytest.fixture
def run(url: str, command: Cli) -> Cli:
    return partial(command, "--url", url)


def runs(url: str) -> list[Any]:
    return archiver.open(url).runs()


def rows_of(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


def test_ls_prints_one_document_with_exactly_the_promised_keys(run: Cli, url: str) -> None:
    code, out, err = run("ls", "--json")
    document = json.loads(out)
    assert (code, err, list(document)) == (0, "", ["runs"])
    assert [row["id"] for row in document["runs"]] == [known.id for known in runs(url)]
    newest = document["runs"][0]
    assert list(newest) == ["id", "universe", "created", "strategies", "detailed", "bytes", "tags"]
    assert (newest["universe"], newest["strategies"], newest["detailed"]) == ("beta/5min", 30, 2)
    assert newest["bytes"] > 0
    assert newest["created"].endswith("Z")


def test_ls_piped_is_tab_separated_and_narrows(run: Cli, url: str) -> None:
    header, *lines = rows_of(run("ls")[1])
    assert header == ["run", "universe", "age", "strategies", "detailed", "size", "tags"]
    assert [line[0] for line in lines] == [known.id for known in runs(url)]
    assert [line[1] for line in rows_of(run("ls", "-u", "alpha")[1])[1:]] == ["alpha", "alpha"]
    assert len(rows_of(run("ls", "--tag", "nightly")[1])) == 2
    code, out, err = run("ls", "-n", "1")
    assert (code, len(rows_of(out))) == (0, 2)
    assert err == "2 older runs are not shown: raise --limit\n"
    assert run("ls", "--tag", "unknown") == (0, "", f"no runs that match in {archiver.open(url).store.url}\n")


def test_no_archive_is_10_and_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["ls"], ["metrics"], ["show", "x"], ["trades", "x"], ["tag", "x", "y"], ["compact"]):
        assert cli.main(["--url", str(tmp_path / "none"), *command]) == 10
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("archiver: no archive at ")
    assert list(tmp_path.iterdir()) == []


def test_show_takes_a_unique_beginning_of_an_id(run: Cli, url: str) -> None:
    known = runs(url)[1]
    code, out, _ = run("show", known.id[:-1], "--json")
    document = json.loads(out)
    assert (code, document["id"], document["rank_by"], document["tags"]) == (
        0,
        known.id,
        "sharpe_ratio",
        ["nightly"],
    )
    assert [row["strategy_name"] for row in document["best"]] == ["good", "fair", "idle"]
    text = run("show", known.id)[1]
    assert f"run\t{known.id}\n" in text
    assert "good\t2.500\t" in text
    code, out, err = run("show", "2")
    assert (code, out) == (10, "")
    assert "is the beginning of 3 runs" in err
    assert run("show", "20000101T000000Z-00000000")[0] == 10


def test_metrics_sorts_with_nan_last_either_way(run: Cli) -> None:
    def names(*args: str) -> list[str]:
        return [line[0] for line in rows_of(run("metrics", "-u", "alpha", *args)[1])[1:]]

    assert names("--sort", "sharpe_ratio") == ["good", "fair", "idle"]
    assert names("--sort", "-sharpe_ratio") == ["fair", "good", "idle"]
    assert names("--sort", "sharpe_ratio", "--limit", "1") == ["good"]
    assert names("--where", "n_trades >= 2 and regime != 'calm'") == ["fair"]
    assert names("--limit", "0") == []


def test_metrics_history_and_run_choose_rows(run: Cli, url: str) -> None:
    first = runs(url)[2]

    def rows(*args: str) -> list[tuple[str, str]]:
        found = json.loads(run("metrics", "-u", "alpha", "--json", *args)[1])["metrics"]
        return [(row["strategy_name"], row["run"]) for row in found]

    assert len(rows()) == 3
    assert len(rows("--history")) == 4
    assert rows("--run", first.id) == [("idle", first.id)]


def test_metrics_columns_and_formats_agree(run: Cli, tmp_path: Path) -> None:
    wanted = ["metrics", "-u", "alpha", "--sort", "sharpe_ratio", "-c", "n_trades, profit_factor"]
    header = ["universe", "strategy_name", "run", "n_trades", "profit_factor"]
    document = json.loads(run(*wanted, "--json")[1])["metrics"]
    assert list(document[0]) == header
    assert [row["profit_factor"] for row in document] == [None, 1.5, 0]
    assert json.loads(run(*wanted, "--format", "json")[1]) == document
    assert [json.loads(line) for line in run(*wanted, "-f", "jsonl")[1].splitlines()] == document
    read = list(csv.reader(io.StringIO(run(*wanted, "-f", "csv")[1])))
    assert read[0] == header
    assert [float(row[4]) for row in read[1:]] == [float("inf"), 1.5, 0.0]
    code, out, err = run(*wanted, "-o", str(tmp_path / "m.parquet"))
    assert (code, out, err) == (0, "", f"3 rows -> {tmp_path / 'm.parquet'}\n")
    table = pq.read_table(tmp_path / "m.parquet")
    assert table.column_names == header
    assert table.column("profit_factor").to_pylist() == [float("inf"), 1.5, 0.0]


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--sort", "sharp_ratio"], "did you mean 'sharpe_ratio'"),
        (["--where", "ntrades > 1"], "did you mean 'n_trades'"),
        (["--where", "n_trades >"], "cannot read 'n_trades >'"),
        (["--columns", "n_trade"], "n_trades"),
        (["--format", "xlsx"], "use one of table, csv, json, jsonl, parquet"),
        (["-o", "/no/such/folder/m.csv"], "cannot write /no/such/folder/m.csv"),
    ],
)
def test_metrics_errors_are_one_line(args: list[str], text: str, run: Cli) -> None:
    code, out, err = run("metrics", "-u", "alpha", *args)
    assert (code, out) == (2, "")
    assert text in err
    assert err.count("\n") == 1


def test_trades_in_every_format(run: Cli, tmp_path: Path) -> None:
    header, *lines = rows_of(run("trades", "good")[1])
    assert header == ["entry_time", "pnl_usd", "direction"]
    assert lines == [["2025-01-06 09:35", "12.500", "long"], ["2025-01-06 11:10", "-4.000", "short"]]
    document = json.loads(run("trades", "good", "--json")[1])
    assert (document["strategy_name"], document["universe"], document["rank"]) == ("good", "alpha", 1)
    assert document["trades"] == TRADES
    assert json.loads(run("trades", "good", "-f", "json")[1]) == TRADES
    columns = "entry_time,pnl_usd"
    written = run("trades", "good", "-f", "csv", "-c", columns, "-w", "pnl_usd < 0")[1]
    assert written == f"{columns}\n2025-01-06 11:10:00,-4.0\n"
    run("trades", "good", "-o", str(tmp_path / "t.parquet"))
    assert pq.read_table(tmp_path / "t.parquet").to_pylist() == TRADES


def test_trades_of_a_strategy_without_detail(run: Cli) -> None:
    code, out, err = run("trades", "fair")
    assert (code, out) == (10, "")
    assert "ranks 2 of 3" in err
    assert run("trades", "nobody")[0] == 10
    assert run("trades", "good", "--columns", "pnl")[0] == 2


def test_tag_and_untag(run: Cli, url: str) -> None:
    known = runs(url)[0].id
    assert run("tag", known, "pinned") == (0, "", f"{known}: tagged pinned\n")
    assert runs(url)[0].tags == ("pinned",)
    code, out, _ = run("--json", "untag", known, "pinned")
    assert (code, json.loads(out)) == (0, {"run": known, "tag": "pinned", "tagged": False})
    assert runs(url)[0].tags == ()
    assert run("tag", "20000101T000000Z-00000000", "x")[0] == 10
    assert run("tag", known, "")[0] == 2


def test_compact_keeps_what_is_shown(run: Cli, url: str) -> None:
    before = json.loads(run("metrics", "--json")[1])
    code, out, err = run("compact")
    assert (code, out) == (0, "")
    assert "3 runs packed" in err
    after = json.loads(run("metrics", "--json")[1])
    assert sorted(after.pop("metrics"), key=str) == sorted(before.pop("metrics"), key=str)
    assert after == before
    assert json.loads(run("compact", "--json")[1]) == {"runs": 3}


def test_names_are_completed_and_failure_is_silent(url: str, tmp_path: Path) -> None:
    class Context:
        def __init__(self, url: str) -> None:
            self.params = {"url": url}

        def find_root(self) -> Context:
            return self

    here: Any = Context(url)
    assert complete.universes(here, "") == ["alpha", "beta/5min"]
    assert complete.runs(here, runs(url)[0].id[:-2]) == [runs(url)[0].id]
    assert complete.tags(here, "") == ["nightly", "pinned"]
    assert "good" in complete.strategies(here, "g")
    nowhere: Any = Context(str(tmp_path / "none"))
    assert complete.universes(nowhere, "") == []


def test_terminal_shows_aligned_tables_that_fit(url: str, terminal: Terminal) -> None:
    lines = plain(terminal("--url", url, "metrics", "-u", "beta/5min", "-n", "3", COLUMNS="80")).splitlines()
    assert lines[0].split()[:2] == ["strategy_name", "universe"]
    assert set(lines[1]) == {"─"}
    assert len(lines) == 6
    assert max(map(len, lines[:5])) <= 80
    assert "more columns" in lines[5]


def test_terminal_shows_a_summary_with_an_equity_line(url: str, terminal: Terminal) -> None:
    shown = plain(terminal("--url", url, "trades", "good"))
    assert "equity" in shown
    assert "100.000 -> 108.500, least 100.000" in shown
    assert "▁█▆" in shown


def test_parquet_is_not_written_to_a_terminal(url: str, terminal: Terminal) -> None:
    assert "Parquet is not text" in terminal("--url", url, "metrics", "-f", "parquet", code=2)
