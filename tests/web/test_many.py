"""Pages over more runs than all records are read of: they show the same, and say what they leave out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from werkzeug.test import Client

import archiver
from archiver.format import layout
from archiver.runs.all_records import Records
from archiver.web.app import PAGES, make_app
from archiver.web.reading.data import Data
from tests.web.conftest import callback
from tests.web.test_overview import part


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = str(tmp_path_factory.mktemp("many") / "a")
    archive = archiver.open(url)
    for at in range(6):
        results = [
            {"strategy_name": f"s{at}-{k}", "sharpe_ratio": at + k / 10, "equity_curve": [1.0, 2.0 + at]}
            for k in range(2)
        ]
        archive.save_universe_results(
            "odd" if at % 2 else "even", results, tags=[f"t{at}"], note=f"number-{at}", code="none"
        )
    assert archive.compact() == 6
    return url


@pytest.fixture(scope="module")
def many(url: str) -> Client:
    """Give a client of pages for which three runs are few."""
    return Client(make_app(Data(archiver.open(url, read_only=True), many=3))[0].wsgi_app)


def shown(client: Client, path: str, query: str = "") -> str:
    return json.dumps(callback(client, path, query)["page"]["children"], ensure_ascii=False)


@pytest.mark.parametrize("path", [module.PATH for module in PAGES])
def test_no_page_reads_all_records(
    many: Client, url: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = archiver.open(url, read_only=True).runs(limit=1)[0].id
    monkeypatch.delattr(Records, "read")
    query = {"/strategy": "?universe=odd&name=s5-1", "/run": f"?id={newest}", "/runs": "?search=5"}.get(
        path, ""
    )
    assert "Something went wrong" not in shown(many, path, query)


def test_the_overview_says_what_it_leaves_out(many: Client, url: str) -> None:
    text = shown(many, "/")
    assert '"6 runs"' in text
    assert "Not planned here" in part(many, "prune")["prune"]
    health = part(many, "health")["health"]
    assert "only the packs are looked at" in health
    assert '"nothing missing"' in health
    found = part(many, "storage", "stored", "universes")
    assert "What no run needs is not told apart" in found["storage"]
    assert '"odd"' in found["universes"]
    assert "over-time" in part(many, "over-time-place")["over-time-place"]


def test_a_pack_that_lost_an_object_is_a_problem(tmp_path: Path) -> None:
    archive = archiver.open(str(tmp_path))
    for at in range(2):
        archive.save_universe_results("u", [{"strategy_name": f"s{at}", "sharpe_ratio": 1.0}], code="none")
    archive.compact()
    next((tmp_path / layout.PACKS).glob("*.metrics.parquet")).unlink()
    client = Client(make_app(Data(archiver.open(str(tmp_path), read_only=True), many=1))[0].wsgi_app)
    assert "problem" in part(client, "health")["health"]


def test_runs_are_searched_sorted_and_turned_over(many: Client) -> None:
    assert "Of so many runs only ids" in shown(many, "/runs")
    down, up = (shown(many, "/runs", f"?sort={sort}") for sort in ("saved", "-saved"))
    assert down.index("number-5") < down.index("number-0")
    assert up.index("number-0") < up.index("number-5")
    assert "number-4" not in shown(many, "/runs", "?search=number-3")
    assert "are not sorted by" in shown(many, "/runs", "?sort=median")
    assert "cannot be sorted by" in shown(many, "/runs", "?sort=nonsense")
    down, up = (shown(many, "/runs", f"?sort={sort}") for sort in ("best", "-best"))
    assert down.index("number-5") < down.index("number-0")
    assert up.index("number-0") < up.index("number-5")
    # Few of many are shown as few are.
    few = shown(many, "/runs", "?universe=odd&sort=-best")
    assert "Of so many runs" not in few
    assert few.index("number-1") < few.index("number-5")
    assert "number-2" in shown(many, "/runs", "?tag=t2")
    assert "number-3" not in shown(many, "/runs", "?tag=t2")


def test_the_best_and_the_answers_of_the_api_are_the_same(many: Client, url: str) -> None:
    few = Client(make_app(Data(archiver.open(url, read_only=True)))[0].wsgi_app)
    for address in (
        "/api/archive",
        "/api/runs?limit=2",
        "/api/universes",
        "/api/metrics",
        "/api/curves?name=s5-1",
    ):
        one, other = few.get(address), many.get(address)
        assert one.status_code == other.status_code == 200
        assert one.data == other.data
    assert shown(few, "/strategy", "?universe=odd&name=s5-1") == shown(
        many, "/strategy", "?universe=odd&name=s5-1"
    )
