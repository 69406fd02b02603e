from __future__ import annotations

import io
import json
import math

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import archiver
from archiver.demo import same
from tests.web.conftest import NASTY, UNIVERSE, Made

HOST = {"Host": "localhost"}


def get(client, path, status=200, **query):
    answer = client.get(path, query_string=query, headers=HOST)
    assert answer.status_code == status, answer.text[:400]
    return answer


def test_index_lists_endpoints_that_answer(client, plain: Made):
    listed = get(client, "/api").json["endpoints"]
    name = archiver.open(plain.url).detailed_strategies(UNIVERSE)[0][1]
    for listing in listed:
        path = (
            listing.replace("<run>", plain.runs[0].id)
            .replace("<universe>", UNIVERSE)
            .replace("<strategy>", name)
        )
        queries = {
            "/api/object": {"key": "archive.json"},
            "/api/strategy": {"universe": UNIVERSE, "name": name},
            "/api/curves": {"universe": UNIVERSE, "name": name},
            "/api/part": {"universe": UNIVERSE, "name": name, "curve": "equity"},
            "/api/metrics": {"universe": UNIVERSE},
            "/api/samples": {"inside": UNIVERSE, "outside": "other"},
        }
        if listing != "/api/portfolio":  # these curves are too short for it: see test_judged
            get(client, path, **queries.get(path, {}))


def test_runs_say_what_the_command_line_says(client, plain: Made):
    shown = get(client, "/api/runs").json["runs"]
    assert [one["id"] for one in shown] == [run.id for run in archiver.open(plain.url).runs()]
    assert set(shown[0]) == {"id", "universe", "created", "strategies", "detailed", "bytes", "tags"}
    assert len(get(client, "/api/runs", limit="1").json["runs"]) == 1
    assert [one["id"] for one in get(client, "/api/runs", tag="pinned").json["runs"]] == [plain.runs[1].id]
    assert get(client, "/api/runs", universe="none").json == {"runs": []}


def test_a_run_tells_its_objects_and_code(client, plain: Made):
    run = plain.runs[1].id
    shown = get(client, f"/api/runs/{run}").json
    assert shown["tags"] == ["nightly", "pinned"]
    assert {one["key"].split("/")[0] for one in shown["objects"]} == {"tier1", "tier2", "tapes", "code"}
    files = get(client, f"/api/runs/{run}/code").json["files"]
    assert [one["path"] for one in files] == ["strategy.py"]
    answer = get(client, f"/api/runs/{run}/code/strategy.py")
    assert answer.text.startswith("SIZE = 120")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    get(client, f"/api/runs/{run}/code/../../../etc/passwd", 404)
    get(client, "/api/runs/20250101T000000Z-00000000", 404)


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_tables_are_those_of_the_library(client, plain: Made, form):
    data = get(client, "/api/metrics", format=form).data
    table = (
        pa.ipc.open_stream(data).read_all() if form == "arrow" else pa.parquet.read_table(io.BytesIO(data))
    )
    expected = archiver.open(plain.url).load_metrics()
    assert table.column_names == expected.column_names
    assert same(table.to_pylist(), expected.to_pylist())


def test_csv_and_lines_hold_the_same_rows(client):
    table = pa.csv.read_csv(io.BytesIO(get(client, "/api/metrics", format="csv").data))
    lines = get(client, "/api/metrics", format="jsonl").text.splitlines()
    assert table.num_rows == len(lines) == 150
    assert table["strategy_name"].to_pylist() == [json.loads(line)["strategy_name"] for line in lines]


def test_metrics_filter_sort_and_cut(client, plain: Made):
    shown = get(
        client, "/api/metrics", universe=UNIVERSE, where="n_trades > 50", sort="sharpe_ratio", limit="7", offset="2",
        columns="sharpe_ratio",
    ).json  # fmt: skip
    rows = [r for r in plain.results if r["n_trades"] > 50 and not math.isnan(r["sharpe_ratio"])]
    expected = sorted((r["sharpe_ratio"] for r in rows), reverse=True)
    assert [row["sharpe_ratio"] for row in shown["metrics"]] == expected[2:9]
    assert shown["total"] == len(rows)
    assert list(shown["metrics"][0]) == ["universe", "strategy_name", "run", "sharpe_ratio"]


def test_history_has_every_run(client):
    assert get(client, "/api/metrics", history="1", universe=UNIVERSE, limit="0").json["total"] == 200


def test_strategy_and_trades_are_what_went_in(client, plain: Made):
    archive = archiver.open(plain.url)
    _, name = archive.detailed_strategies(UNIVERSE)[0]
    shown = get(client, "/api/strategy", universe=UNIVERSE, name=name).json
    assert shown["trades"] == archive.load_strategy(name, UNIVERSE)["trades"]
    trades = get(
        client, f"/api/trades/{UNIVERSE}/{name}", columns="pnl_usd,direction", sort="pnl_usd", limit="3"
    ).json
    assert trades["total"] == 60
    assert [row["pnl_usd"] for row in trades["trades"]] == sorted(
        (t["pnl_usd"] for t in shown["trades"]), reverse=True
    )[:3]
    table = pa.ipc.open_stream(
        get(client, "/api/trades", universe=UNIVERSE, name=name, format="arrow").data
    ).read_all()
    assert table.equals(archive.load_trades(name, UNIVERSE))


@pytest.mark.parametrize("name", NASTY)
def test_any_name_can_be_asked_for(nasty_client, name):
    assert get(nasty_client, "/api/strategy", universe="a/b <u>", name=name).json["strategy_name"] == name
    for form in ("json", "jsonl", "csv", "parquet", "arrow"):
        answer = get(nasty_client, "/api/trades", universe="a/b <u>", name=name, format=form)
        assert "\n" not in answer.headers.get("Content-Disposition", "")
    get(nasty_client, "/api/trades/" + "x%2Fy/" + "z", 404)


def test_nan_and_infinities_are_null_in_json(nasty_client):
    answer = get(nasty_client, "/api/metrics", format="json")
    scores = {row["strategy_name"]: row["sharpe_ratio"] for row in answer.json["metrics"]}
    assert [scores[name] for name in NASTY] == [None, None, None, 1.5, 0.5, -1.0]
    assert answer.headers["Content-Type"] == "application/json"


def test_objects_page_by_page_are_all_there(client, plain: Made):
    store = archiver.open(plain.url).store
    seen, after = [], ""
    while True:
        shown = get(client, "/api/objects", prefix="runs/", after=after, limit="1").json
        seen += [item["key"] for item in shown["items"]]
        if shown["next"] is None:
            break
        after = shown["next"]
    assert seen == [entry.key for entry in store.list("runs/")]
    top = get(client, "/api/objects").json
    assert top["bytes"] == sum(entry.size for entry in store.list())
    assert get(client, "/api/object", key=seen[0]).data == store.get(seen[0])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/nothing", 404),
        ("/api/metrics?sort=nothing", 400),
        ("/api/metrics?where=1%20%2B", 400),
        ("/api/metrics?where=__import__(%22os%22)", 400),
        ("/api/metrics?columns=nothing", 400),
        ("/api/metrics?format=exe", 400),
        ("/api/metrics?limit=-1", 400),
        ("/api/metrics?run=nothing", 404),
        ("/api/trades", 400),
        ("/api/strategy?name=nothing", 404),
        ("/api/object?key=nothing", 404),
        ("/api/objects?prefix=nothing", 404),
        ("/api/runs/..%2f..%2f", 404),
    ],
)
def test_mistakes_are_told_in_json(client, path, status):
    error = client.get(path, headers=HOST)
    assert error.status_code == status
    assert set(error.json["error"]) == {"kind", "message"}
    assert "Traceback" not in error.text
    assert "\n" not in error.json["error"]["message"]


def test_a_strategy_without_detail_says_its_rank(client, plain: Made):
    kept = {name for _, name in archiver.open(plain.url).detailed_strategies(UNIVERSE)}
    name = next(row["strategy_name"] for row in plain.results if row["strategy_name"] not in kept)
    error = get(client, "/api/strategy", 404, universe=UNIVERSE, name=name).json["error"]
    assert error["kind"] == "NotKeptError"
    assert "ranks" in error["message"]


def test_head_is_get_without_a_body(client):
    answer = client.head("/api/runs", headers=HOST)
    assert answer.status_code == 200
    assert answer.data == b""


@pytest.mark.parametrize(
    "path",
    [
        "/metrics?wher=sharpe_ratio>1", "/metrics?filter=x", "/metrics?where=n_trades>1&where=n_trades>2", "/runs?nope=1",
        "/archive?x=1", "/objects?limit=10001", "/objects?limit=0", "/metrics?history=2", "/metrics?download=maybe",
        f"/trades/{UNIVERSE}/x?search=y",
    ],
)  # fmt: skip
def test_what_would_be_ignored_is_refused(client, path):
    answer = client.get(f"/api{path}")
    assert (answer.status_code, answer.json["error"]["kind"]) == (400, "ConfigError")


def test_parameters_of_pages_and_the_token_are_taken(client):
    assert client.get("/api/metrics?run=&universe=&search=&sort=&format=json&download=1").status_code == 200
    assert client.get("/api/runs?token=x&limit=1").status_code == 200
