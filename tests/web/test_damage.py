"""Damaged objects take away only what they hold: the other universes are shown, and the pages say what is missing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

import archiver
from archiver.web.words import links
from tests.web.conftest import UNIVERSE, Made, callback, guarded

TIER1 = f"tier1/universe={UNIVERSE}/*.parquet"


def damaged(plain: Made, folder: Path, *patterns: str) -> str:
    url = folder / "backtests"
    shutil.copytree(plain.url, url)
    for pattern in patterns:
        for path in url.glob(pattern):
            path.write_bytes(b"garbage" + path.read_bytes()[7:])
    return str(url)


def ask(client: Client, **more: Any) -> Any:
    body = {"universe": None, "search": "", "where": "", "run": "", "columns": [], "chosen": False} | more
    answer = client.post(
        "/_dash-update-component",
        json={
            "output": "..strategies-status.children...strategies-error.children..",
            "outputs": [
                {"id": "strategies-status", "property": "children"},
                {"id": "strategies-error", "property": "children"},
            ],
            "inputs": [{"id": "ask", "property": "data", "value": body}],
            "changedPropIds": ["ask.data"],
        },
    )
    return answer.json["response"]


def test_one_damaged_universe_hides_no_other(plain: Made, tmp_path):
    client = Client(guarded(damaged(plain, tmp_path, TIER1)))
    assert "strategies-grid" in str(callback(client, "/strategies"))
    said = ask(client)
    assert said["strategies-status"]["children"] == "30 strategies"
    assert f"of the universe {UNIVERSE} is left out" in str(said["strategies-error"])
    page = str(callback(client, "/"))
    assert "Best strategies" in page
    assert "is left out; everything else is shown" in page


def test_the_api_gives_whole_tables_or_says_why_not(plain: Made, tmp_path):
    client = Client(guarded(damaged(plain, tmp_path, TIER1)))
    for query in ("", f"?universe={UNIVERSE}"):
        answer = client.get(f"/api/metrics{query}")
        assert (answer.status_code, answer.json["error"]["kind"]) == (500, "IntegrityError")
    assert client.get("/api/metrics?universe=other").json["total"] == 30


def test_all_universes_but_the_damaged_ones_are_given_on_request(plain: Made, tmp_path):
    client = Client(guarded(damaged(plain, tmp_path, TIER1)))
    assert f"damaged of all universes: '{UNIVERSE}'" in client.get("/api/metrics").json["error"]["message"]
    answer = client.get("/api/metrics?without_damaged=1&format=csv")
    assert (answer.status_code, answer.text.count("\n")) == (200, 31)
    assert "metrics-incomplete.csv" in answer.headers["Content-Disposition"]
    assert client.get(f"/api/metrics?without_damaged=1&universe={UNIVERSE}").status_code == 500
    page = str(callback(client, "/strategies"))
    assert f"Without what is damaged: {UNIVERSE}" in page
    whole = Client(guarded(plain.url))
    assert "Without what is damaged" not in str(callback(whole, "/strategies"))
    answer = whole.get("/api/metrics?without_damaged=1&format=csv")
    assert "metrics.csv" in answer.headers["Content-Disposition"]


def test_nothing_is_shown_as_all_where_everything_is_damaged(plain: Made, tmp_path):
    client = Client(guarded(damaged(plain, tmp_path, TIER1, "tier1/universe=other/*.parquet")))
    assert "This object is damaged" in str(callback(client, "/strategies"))


@pytest.mark.parametrize("sides", [1, 2])
def test_a_comparison_shows_the_sides_that_can_be_read(plain: Made, tmp_path, sides):
    archive = archiver.open(plain.url)
    names = [archive.detailed_strategies(UNIVERSE, run.id)[0][1] for run in plain.runs[:2]]
    client = Client(guarded(damaged(plain, tmp_path, f"tier2/universe={UNIVERSE}/{plain.runs[1].id}/*")))
    chosen = [links.Choice(UNIVERSE, names[0], plain.runs[0].id), links.Choice(UNIVERSE, names[1])]
    page = str(callback(client, "/compare", links.compare(chosen[-sides:]).partition("compare")[2]))
    assert "its detail is damaged" in page
    assert names[1] in page


def test_a_comparison_names_what_is_damaged_through_and_shows_the_others(plain: Made, tmp_path):
    archive = archiver.open(plain.url)
    names = [name for _, name in archive.detailed_strategies(UNIVERSE, plain.runs[0].id)][:2]
    lost = archive.detailed_strategies(UNIVERSE, plain.runs[1].id)[0][1]
    newest = f"universe={UNIVERSE}/{plain.runs[1].id}"
    client = Client(guarded(damaged(plain, tmp_path, f"tier2/{newest}/*", f"tier1/{newest}.parquet")))
    chosen = [links.Choice(UNIVERSE, name, plain.runs[0].id) for name in names]
    chosen.insert(1, links.Choice(UNIVERSE, lost, plain.runs[1].id))
    page = str(callback(client, "/compare", links.compare(chosen).partition("compare")[2]))
    assert f"{lost} is left out; the others are shown." in page
    assert "Metrics that differ" in page
    assert f"Remove {lost}" in page
    gone = links.Choice(UNIVERSE, "pruned", "20200101T000000Z-00000000")
    page = str(callback(client, "/compare", links.compare([*chosen, gone]).partition("compare")[2]))
    assert "pruned is left out" in page
    assert "compare-curves" in page


def test_a_strategy_without_detail_offers_and_shows_only_what_there_is(plain: Made):
    archive = archiver.open(plain.url)
    kept = {name for _, name in archive.detailed_strategies(UNIVERSE)}
    name = next(row["strategy_name"] for row in plain.results if row["strategy_name"] not in kept)
    client = Client(guarded(plain.url))
    page = str(callback(client, "/strategy", "?" + links.strategy(UNIVERSE, name).partition("?")[2]))
    assert "Metrics as CSV" in page
    assert "Trades as" not in page
    answer = client.get(f"/api/metrics?universe={UNIVERSE}&strategy={name}&format=csv")
    assert answer.text.count("\n") == 2


def test_metrics_of_other_runs_are_none_of_a_strategy(tmp_path):
    archive = archiver.open(str(tmp_path / "backtests"))
    archive.save_universe_results("one", [{"strategy_name": "s", "sharpe_ratio": 1.0}], code="none")
    archive.save_universe_results("two", [{"strategy_name": "t", "omega": 1.0}], code="none")
    page = str(callback(Client(guarded(str(tmp_path / "backtests"))), "/strategy", "?universe=one&name=s"))
    assert "Sharpe ratio" in page
    assert "Omega" not in page
