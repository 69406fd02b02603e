"""Every page as the browser asks for it, without one: what is said, and that nothing that is asked breaks it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from werkzeug.test import Client

import archiver
from archiver.errors import AccessError, StorageError
from archiver.store.s3.cold import change_class
from archiver.web.app import PAGES, make_app
from archiver.web.reading.data import Data
from archiver.web.words import links
from tests.conftest import Place
from tests.web.conftest import NASTY, UNIVERSE, Made, callback, guarded, nasty_results

TRACE = "Traceback (most recent call last)"


def text_of(answer: object) -> str:
    return json.dumps(answer, ensure_ascii=False)


def show(client: Client, address: str) -> tuple[str, str]:
    """Return the title and the text of a page."""
    path, _, query = address.partition("?")
    answer = callback(client, path, f"?{query}" if query else "")
    text = text_of(answer["page"]["children"])
    assert TRACE not in text
    return answer["title"]["data"], text


@pytest.mark.parametrize("path", [module.PATH for module in PAGES])
def test_every_page_answers_without_a_query(client, path):
    title, text = show(client, path)
    assert title.endswith("archiver")
    assert '"H1"' in text or '"className": "state empty"' in text
    assert "Something went wrong" not in text


def test_an_unknown_page_is_told(client):
    title, text = show(client, "/nothing")
    assert title == "Not found · archiver"
    assert "There is no such page" in text


def test_a_strategy_shows_rank_metrics_and_curves(client, plain: Made):
    name = archiver.open(plain.url).detailed_strategies(UNIVERSE)[0][1]
    title, text = show(client, links.strategy(UNIVERSE, name))
    assert title == f"{name} · archiver"
    assert "rank 1 of 120" in text
    assert "Equity and drawdown" in text
    assert "60 trades" in text


def test_a_strategy_without_detail_says_so_with_its_rank(client, plain: Made):
    kept = {name for _, name in archiver.open(plain.url).detailed_strategies(UNIVERSE)}
    name = next(row["strategy_name"] for row in plain.results if row["strategy_name"] not in kept)
    _, text = show(client, links.strategy(UNIVERSE, name))
    assert "Its trades and curves are not here" in text
    assert "it ranks" in text
    assert "Sharpe ratio" in text


def test_an_unknown_strategy_is_told_with_the_nearest_name(client, plain: Made):
    name = plain.results[0]["strategy_name"]
    _, text = show(client, links.strategy(UNIVERSE, name[:-1] + "x"))
    assert "Not found" in text
    assert "did you mean" in text


def test_trades_are_numbered_and_what_they_made_comes_first(client, plain: Made):
    name = archiver.open(plain.url).detailed_strategies(UNIVERSE)[0][1]
    _, text = show(client, links.strategy(UNIVERSE, name))
    columns = re.findall(r'"field": "(\w+)"', text)
    assert columns[:3] == ["_number", "entry_time", "pnl_usd"]
    request = {"startRow": 0, "endRow": 5, "sortModel": [{"colId": "pnl_usd", "sort": "desc"}]}
    answer, _ = trades(client, request, {"name": name, "universe": UNIVERSE, "run": plain.runs[1].id})
    assert [row["_number"] for row in answer["rowData"]] == [
        str(int(row["_id"]) + 1) for row in answer["rowData"]
    ]


def test_comparisons_show_what_differs(client, plain: Made):
    names = [name for _, name in archiver.open(plain.url).detailed_strategies(UNIVERSE)][:2]
    _, text = show(client, links.compare([links.Choice(UNIVERSE, name) for name in names]))
    assert "Metrics that differ" in text
    assert "All sides come from one run" in text
    _, text = show(client, links.href("/compare", run=[run.id for run in plain.runs[:2]]))
    assert "-SIZE = 80" in text
    assert "+SIZE = 120" in text


def test_comparisons_have_bounds(client, plain: Made):
    choice = links.choice_text(links.Choice(UNIVERSE, plain.results[0]["strategy_name"]))
    _, text = show(client, links.href("/compare", strategy=[f"{choice}{at}" for at in range(11)]))
    assert "at most 10" in text
    _, text = show(client, links.href("/compare", strategy=[choice], run=[plain.runs[0].id]))
    assert "not both" in text
    _, text = show(client, "/compare?strategy=nonsense")
    assert "names no strategy" in text


@pytest.mark.parametrize("view", ["", "code", "provenance", "objects"])
def test_a_run_shows_each_view(client, plain: Made, view):
    _, text = show(client, links.run(plain.runs[1].id, view=view))
    expected = {"": "120 strategies", "code": "SIZE", "provenance": "Installed packages", "objects": "tier1/"}
    assert expected[view] in text
    assert "Something went wrong" not in text


def test_a_run_may_be_named_by_its_beginning_while_that_is_unique(client, plain: Made):
    _, text = show(client, links.run(plain.runs[2].id[:-3]))
    assert plain.runs[2].id in text


def test_the_bucket_previews_every_kind_of_object(client, plain: Made):
    store = archiver.open(plain.url).store
    seen = set()
    for entry in store.list():
        _, text = show(client, links.href("/bucket", key=entry.key))
        assert entry.key in text
        assert "damaged" not in text
        assert "Something went wrong" not in text
        seen.add(entry.key.split("/")[0])
    assert {"archive.json", "runs", "tier1", "tier2", "tapes", "code", "tags"} <= seen


def test_the_bucket_adds_up(client, plain: Made):
    _, text = show(client, "/bucket?prefix=runs/")
    assert "3 objects" in text
    _, text = show(client, "/bucket?prefix=nothing/")
    assert "nothing lies below" in text


@pytest.mark.parametrize("name", [*NASTY, "not kept"])
def test_nasty_names_are_text(nasty_client, name):
    title, text = show(nasty_client, links.strategy("a/b <u>", name))
    assert title == f"{name} · archiver"
    assert "Something went wrong" not in text
    assert "dangerously" not in text


def test_nasty_names_are_text_everywhere(nasty_client, nasty: Made):
    choices = [links.Choice("a/b <u>", name) for name in NASTY]
    for address in (
        "/", "/strategies", "/runs", "/bucket", links.compare(choices), links.run(nasty.runs[0].id),
        links.href("/bucket", prefix="tier2/"), links.href("/runs", tag="<tag>", universe="a/b <u>"),
        links.href("/strategies", columns="<b>metric</b>", sort="-<b>metric</b>", x="n_trades"),
    ):  # fmt: skip
        _, text = show(nasty_client, address)
        assert "Something went wrong" not in text
    assert "<b>metric</b>" in show(nasty_client, links.compare(choices))[1]


@pytest.mark.parametrize(
    "address",
    [
        "/run?id=../../x", "/run?id=", "/bucket?key=../x", "/bucket?key=%00", "/bucket?after=%FF", "/runs?start=-1",
        "/runs?start=99999", "/strategy?name=x&trade=999999999999", "/strategies?sort=nothing&where=(&columns=,,x",
        "/compare?strategy=%FF/%FE", "/strategies?" + "&".join(f"a{i}=1" for i in range(150)), "/run?id=%F0%9F%9A%80",
    ],
)  # fmt: skip
def test_odd_addresses_are_answered(client, address):
    _, text = show(client, address)
    assert "Something went wrong" not in text


def grid(client: Client, request: object, ask: dict[str, object]) -> dict[str, object]:
    output = "strategies-grid"
    answer = client.post(
        "/_dash-update-component",
        json={
            "output": f"{output}.getRowsResponse",
            "outputs": {"id": output, "property": "getRowsResponse"},
            "inputs": [{"id": output, "property": "getRowsRequest", "value": request}],
            "state": [{"id": "ask", "property": "data", "value": ask}],
            "changedPropIds": [f"{output}.getRowsRequest"],
        },
    )
    assert answer.status_code == 200, answer.text
    return answer.json["response"][output]["getRowsResponse"]


def trades(client: Client, request: object, of: dict[str, object]) -> tuple[dict[str, object], str]:
    """Return rows of the trades table, and what is said above it."""
    answer = client.post(
        "/_dash-update-component",
        json={
            "output": "..trades-grid.getRowsResponse...trades-error.children..",
            "outputs": [
                {"id": "trades-grid", "property": "getRowsResponse"},
                {"id": "trades-error", "property": "children"},
            ],
            "inputs": [{"id": "trades-grid", "property": "getRowsRequest", "value": request}],
            "state": [{"id": "strategy-of", "property": "data", "value": of}],
            "changedPropIds": ["trades-grid.getRowsRequest"],
        },
    )
    assert answer.status_code == 200, answer.text
    found = answer.json["response"]
    return found["trades-grid"]["getRowsResponse"], text_of(found["trades-error"]["children"])


def test_the_table_asks_for_pages_of_sorted_rows(client, plain: Made):
    request = {"startRow": 10, "endRow": 20, "sortModel": [{"colId": "n_trades", "sort": "desc"}]}
    answer = grid(client, request, {"columns": ["n_trades"], "universe": UNIVERSE})
    expected = sorted((row["n_trades"] for row in plain.results), reverse=True)
    assert [row["n_trades"] for row in answer["rowData"]] == expected[10:20]
    assert answer["rowCount"] == 120
    assert set(answer["rowData"][0]) == {
        "_id", "_href", "_run_href", "_age", "_older", "universe", "strategy_name", "run", "n_trades",
    }  # fmt: skip


@pytest.mark.parametrize(
    "request_",
    [
        None, {}, {"startRow": "x", "endRow": 5}, {"startRow": 0, "endRow": 10**9}, {"startRow": -5, "endRow": 5},
        {"startRow": 0, "endRow": 5, "sortModel": [{"colId": "__class__", "sort": "desc"}]},
        {"startRow": 0, "endRow": 5, "sortModel": [{"colId": {"$": 1}, "sort": 7}]},
        {"startRow": 0, "endRow": 5, "sortModel": "text"}, {"startRow": 0, "endRow": 5, "sortModel": [{}]},
    ],
)  # fmt: skip
def test_forged_requests_for_rows_are_answered_without_error(client, plain: Made, request_):
    answer = grid(client, request_, {"columns": ["n_trades", "nothing", 7], "where": "(", "run": None})
    assert answer == {"rowData": [], "rowCount": 0}
    answer = grid(client, request_, {"columns": ["n_trades", "nothing", 7]})
    assert len(answer["rowData"]) <= 1000
    name = archiver.open(plain.url).detailed_strategies(UNIVERSE)[0][1]
    of = {"name": name, "universe": UNIVERSE, "run": plain.runs[1].id}
    assert len(trades(client, request_, of)[0]["rowData"]) <= 1000


def test_an_empty_place_says_what_to_do(tmp_path: Path):
    (tmp_path / "new").mkdir()
    empty = Client(guarded(str(tmp_path / "new")))
    for module in PAGES:
        _, text = show(empty, module.PATH)
        assert "Something went wrong" not in text
    assert "no archive at" in show(empty, "/")[1]
    archive = archiver.open(str(tmp_path / "none"))
    archive.create()
    assert "no runs yet" in show(Client(guarded(str(tmp_path / "none"))), "/")[1]


def test_what_goes_away_while_one_looks_is_told(plain: Made, tmp_path: Path):
    shutil.copytree(plain.url, tmp_path / "copy")
    url = str(tmp_path / "copy")
    client = Client(guarded(url))
    name = archiver.open(url).detailed_strategies(UNIVERSE)[0][1]
    run = plain.runs[1].id
    assert run in show(client, "/runs")[1]
    for path in (tmp_path / "copy" / "runs").glob(f"{run}*"):
        path.unlink()
    assert "This run is not there" in show(client, links.run(run))[1]
    assert "This run is not there" in show(client, links.strategy(UNIVERSE, name, run))[1]
    shutil.rmtree(url)
    for address in ("/bucket", links.run(run), "/runs"):
        assert "Something went wrong" not in show(client, address)[1]


def damaged(plain: Made, folder: Path, key: str) -> str:
    """Copy the plain archive, spoil one object of the copy, and return the copy's URL."""
    shutil.copytree(plain.url, folder / "copy")
    file = folder / "copy" / key
    data = bytearray(file.read_bytes())
    for at in range(0, len(data), 50):
        data[at] ^= 0xFF
    file.write_bytes(data)
    return str(folder / "copy")


def test_damaged_details_are_told_and_the_metrics_are_shown(plain: Made, tmp_path: Path):
    archive = archiver.open(plain.url)
    name = archive.detailed_strategies(UNIVERSE)[0][1]
    detail = archive.record(plain.runs[1].id).tier2
    assert detail is not None
    client = Client(guarded(damaged(plain, tmp_path, detail.key)))
    _, text = show(client, links.strategy(UNIVERSE, name))
    assert "This object is damaged" in text
    assert "archiver verify" in text
    assert "curves and trades cannot be read" in text
    assert "Sharpe ratio" in text
    assert "Profit factor" in text
    answer, said = trades(
        client,
        {"startRow": 0, "endRow": 10, "sortModel": []},
        {"name": name, "universe": UNIVERSE, "run": plain.runs[1].id},
    )
    assert answer == {"rowData": [], "rowCount": 0}
    assert "This object is damaged" in said
    assert detail.key in said


def test_a_damaged_tape_takes_the_bars_and_leaves_the_trade(plain: Made, tmp_path: Path):
    archive = archiver.open(plain.url)
    name = archive.detailed_strategies(UNIVERSE)[0][1]
    (tape,) = archive.record(plain.runs[1].id).tapes
    client = Client(guarded(damaged(plain, tmp_path, tape.key)))
    body = {
        "output": "trade-view.children",
        "outputs": {"id": "trade-view", "property": "children"},
        "inputs": [{"id": "trade", "property": "data", "value": 3}],
        "state": [
            {
                "id": "strategy-of",
                "property": "data",
                "value": {"name": name, "universe": UNIVERSE, "run": plain.runs[1].id},
            }
        ],
        "changedPropIds": ["trade.data"],
    }
    text = text_of(client.post("/_dash-update-component", json=body).json)
    assert "Entry price" in text
    assert "This object is damaged" in text
    assert tape.key in text


def test_a_store_that_fails_while_the_table_is_scrolled_is_told(plain: Made, monkeypatch):
    name = archiver.open(plain.url).detailed_strategies(UNIVERSE)[0][1]
    of = {"name": name, "universe": UNIVERSE, "run": plain.runs[1].id}
    client = Client(guarded(plain.url))
    request = {"startRow": 0, "endRow": 10, "sortModel": []}
    assert len(trades(client, request, of)[0]["rowData"]) == 10

    def fail(*_: object) -> object:
        raise StorageError("the bucket does not answer: try again")

    monkeypatch.setattr("archiver.web.reading.detail.Details.find", fail)
    answer, said = trades(client, request, of)
    assert answer["rowCount"] == 0
    assert "The store cannot be reached" in said
    assert "the bucket does not answer" in said


def test_a_run_pruned_between_list_and_click_names_the_way_back(plain: Made, tmp_path: Path):
    shutil.copytree(plain.url, tmp_path / "copy")
    archive = archiver.open(str(tmp_path / "copy"))
    client = Client(guarded(archive.store.url))
    run, name = plain.runs[0].id, archive.detailed_strategies(UNIVERSE)[0][1]
    assert run in show(client, "/runs")[1]
    archive.apply(archive.plan_prune(archiver.Policy(keep_last=1)), max_remove=0.5)
    for address in (links.run(run), links.strategy(UNIVERSE, name, run)):
        title, text = show(client, address)
        assert title == "This run is not there · archiver"
        assert f"archiver undelete {run}" in text
        assert '"H1"' in text
        assert '"href": "./"' in text


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (StorageError("the bucket does not answer: try again"), "The store cannot be reached"),
        (AccessError("credentials have expired: sign in again"), "The store refused access"),
        (RuntimeError("secret internals"), "Something went wrong"),
    ],
)
def test_a_store_that_fails_while_open_is_told(plain: Made, monkeypatch, error, says, caplog):
    client = Client(guarded(plain.url))
    assert "Overview" in show(client, "/")[1]

    def fail(*_: object) -> object:
        raise error

    for name in ("runs", "seen", "run", "metrics", "version"):
        monkeypatch.setattr(Data, name, fail)
    for address in ("/", "/runs", links.run(plain.runs[0].id), "/strategies"):
        _, text = show(client, address)
        assert says in text
        assert "secret internals" not in text
    status = client.get("/api/runs", headers={"Host": "localhost"}).status_code
    assert status == (500 if isinstance(error, RuntimeError) else 503)


@pytest.mark.parametrize("many", [50_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_many_trades_come_page_by_page(many: int, tmp_path: Path):
    rows = {"entry_time": [float(i) for i in range(many)], "pnl": [i % 7 - 3.0 for i in range(many)]}
    url = str(tmp_path / "many")
    result = {
        "strategy_name": "busy",
        "sharpe_ratio": 1.0,
        "trades_detailed": pa.table(rows),
        "equity_curve": rows["entry_time"],
    }
    run = archiver.open(url).save_universe_results("u", [result], code="none")
    client = Client(guarded(url))
    _, text = show(client, links.strategy("u", "busy"))
    assert f"{many:,} trades" in text
    assert f"{many:,} points, thinned" in text
    assert len(text) < 400_000
    request = {"startRow": many - 10, "endRow": many + 90, "sortModel": [{"colId": "pnl", "sort": "desc"}]}
    answer, said = trades(client, request, {"name": "busy", "universe": "u", "run": run.id})
    assert said == "null"
    assert answer["rowCount"] == many
    assert [row["pnl"] for row in answer["rowData"]] == [-3.0] * 10


def test_pages_work_over_a_bucket(moto_place: Place):
    archive = archiver.open(moto_place.url, **moto_place.options)
    run = archive.save_universe_results("a/b <u>", nasty_results(), top_n=6, code="none")
    client = Client(guarded(moto_place.url, **moto_place.options))
    for address in ("/", "/strategies", links.strategy("a/b <u>", NASTY[3]), links.run(run.id), "/bucket"):
        _, text = show(client, address)
        assert "state error" not in text
        assert moto_place.options["secret"] not in text
    assert client.get("/api/runs", headers={"Host": "localhost"}).json["runs"][0]["id"] == run.id
    assert "Standard" in show(client, "/bucket?key=archive.json")[1]
    change_class(archive.store, "archive.json", "GLACIER")
    _, text = show(client, "/bucket?key=archive.json")
    assert "This object is frozen" in text
    assert "Glacier" in text


def test_two_applications_live_side_by_side(plain: Made, nasty: Made):
    one, _, hashes = make_app(Data(archiver.open(plain.url, read_only=True)))
    other, _, others = make_app(Data(archiver.open(nasty.url, read_only=True)))
    assert one is not other
    assert hashes == others
    assert len(hashes) == 1


def test_rows_of_a_run_lead_to_that_run(client, plain: Made):
    run = plain.runs[0].id
    request = {"startRow": 0, "endRow": 3, "sortModel": []}
    body = {
        "output": "strategies-grid.getRowsResponse",
        "outputs": {"id": "strategies-grid", "property": "getRowsResponse"},
        "inputs": [{"id": "strategies-grid", "property": "getRowsRequest", "value": request}],
        "state": [{"id": "ask", "property": "data", "value": {"columns": ["sharpe_ratio"], "run": run}}],
        "changedPropIds": ["strategies-grid.getRowsRequest"],
    }
    answer = client.post("/_dash-update-component", json=body, headers={"Host": "127.0.0.1"}).json
    rows = answer["response"]["strategies-grid"]["getRowsResponse"]["rowData"]
    assert len(rows) == 3
    assert all(f"run={run}" in row["_href"] for row in rows)


def test_an_unknown_universe_is_told(client):
    _, text = show(client, links.href("/strategies", universe="nope"))
    assert "there is no universe 'nope': the overview shows" in text


def test_too_many_parameters_are_told(client):
    _, text = show(client, "/strategies?" + "&".join(["a=1"] * 300))
    assert "more than 200 parameters" in text


def scatter(client: Client, where: str) -> tuple[str, str]:
    """Ask for the scatter plot; returns it and the note below as JSON."""
    body = {
        "output": "..cloud-place.children...cloud-note.children..",
        "outputs": [{"id": name, "property": "children"} for name in ("cloud-place", "cloud-note")],
        "inputs": [
            {"id": "cloud-ask", "property": "data", "value": {"columns": ["n_trades"], "where": where}},
            {"id": "cloud-x", "property": "value", "value": "n_trades"},
            {"id": "cloud-y", "property": "value", "value": "expectancy"},
            {"id": "cloud-range", "property": "data"},
            {"id": "scatter-open", "property": "data", "value": True},
            {"id": "cloud-color", "property": "value"},
            {"id": "cloud-log", "property": "data"},
        ],
        "changedPropIds": ["cloud-ask.data"],
    }
    answer = client.post("/_dash-update-component", json=body, headers={"Host": "127.0.0.1"})
    shown = answer.json["response"]
    return text_of(shown["cloud-place"]["children"]), text_of(shown["cloud-note"]["children"])


def test_a_wrong_filter_is_told_once(client):
    assert scatter(client, "nonsense >") == ("null", "null")


def test_one_strategy_is_not_called_strategies(client, plain: Made):
    name = plain.results[0]["strategy_name"]
    drawn, note = scatter(client, f"strategy_name == '{name}' and universe == '{UNIVERSE}'")
    assert name in drawn
    assert note.startswith('"1 strategy with both.')
