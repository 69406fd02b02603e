"""The page of runs: searched, sorted, ticked, compared, and following a search that goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from werkzeug.test import Client

import archiver
from archiver.archive import Archive
from archiver.errors import ConfigError
from archiver.web.reading.run_list import Row, ordered, row_of, searched, varying
from archiver.web.words import links
from tests.web.conftest import Served, callback, guarded, until
from tests.web.test_browser import opened


def results(shift: float, best: int) -> list[dict[str, Any]]:
    return [
        {"strategy_name": f"s{at}", "sharpe_ratio": shift + (at == best) * 5 + at / 100} for at in range(20)
    ]


@pytest.fixture(scope="module")
def searched_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[archiver.Run]]:
    """Save three runs with parameters, and one of another universe that nothing ranked."""
    url = str(tmp_path_factory.mktemp("runs") / "backtests")
    archive = archiver.open(url)
    runs = [
        archive.save_universe_results(
            "u",
            results(shift, best),
            params={"costs": costs, "lookback": 250},
            tags=tags,
            note=f"note {costs}",
            top_n=2,
            code="none",
        )
        for shift, best, costs, tags in (
            (0.0, 3, 0.5, ["nightly"]),
            (1.0, 3, 2, []),
            (-1.0, 4, "none", ["a"]),
        )
    ]
    runs.append(archive.save_universe_results("v", [{"strategy_name": "x", "text": "y"}], code="none"))
    return url, runs


@pytest.fixture(scope="module")
def rows(searched_runs: tuple[str, list[archiver.Run]]) -> list[Row]:
    archive = archiver.open(searched_runs[0])
    return [row_of(archive.run(run.id), archive.record(run.id)) for run in searched_runs[1]]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("saved", [3, 2, 1, 0]),
        ("-saved", [0, 1, 2, 3]),
        ("best", [1, 0, 2, 3]),
        ("-best", [2, 0, 1, 3]),
        ("params.costs", [1, 0, 2, 3]),
        ("tags", [0, 2, 1, 3]),
        ("universe", [3, 0, 1, 2]),
    ],
)
def test_runs_are_sorted_and_what_has_no_value_comes_last(
    rows: list[Row], sort: str, order: list[int]
) -> None:
    found = ordered(rows, sort)
    assert [rows.index(row) for row in found] == order


def test_runs_are_searched_by_all_that_is_known_of_them(rows: list[Row]) -> None:
    assert searched(rows, "NIGHTLY costs=0.5") == rows[:1]
    assert searched(rows, "note") == rows[:3]
    assert searched(rows, "v") != rows
    assert searched(rows, rows[2].run.id) == rows[2:3]
    assert varying(rows[:3], 4) == ["costs"]
    assert varying(rows, 4) == ["costs", "lookback"]
    with pytest.raises(ConfigError, match="runs cannot be sorted by 'bets'; did you mean 'best'"):
        ordered(rows, "bets")


def told(client: Client, address: str) -> str:
    path, _, query = address.partition("?")
    return json.dumps(callback(client, path, f"?{query}")["page"]["children"], ensure_ascii=False)


def test_the_page_shows_best_median_and_parameters(searched_runs: tuple[str, list[archiver.Run]]) -> None:
    url, runs = searched_runs
    client = Client(guarded(url))
    text = told(client, "/runs?sort=median")
    for number in ("5.030", "0.105", "6.030", "1.105", "4.040", "−0.895"):
        assert f'"{number}"' in text
    places = [text.index(f'"title": "{run.id}"') for run in runs]
    assert places[1] < places[0] < places[2] < places[3]
    assert "Tick two runs" in text
    ticked = told(client, links.href("/runs", tick=[run.id for run in runs[:2]]))
    assert links.href("/compare", run=[run.id for run in (runs[1], runs[0])]) in ticked
    assert "cannot be sorted" in told(client, "/runs?sort=nope")
    assert "None matches" in told(client, "/runs?search=nothing+such")


def test_runs_have_their_best_in_common(searched_runs: tuple[str, list[archiver.Run]]) -> None:
    url, runs = searched_runs
    client = Client(guarded(url))
    text = told(client, links.href("/compare", run=[run.id for run in runs[:3]]))
    best = [{"s3", *(f"s{at}" for at in range(11, 20))}, {"s4", *(f"s{at}" for at in range(11, 20))}]
    common = len(best[0] & best[1])
    assert '"Best 10"' in text
    assert f'"{10 * common} %"' in text
    assert "compare-spread" in text
    assert "Parameters that differ" in text
    odd = told(client, links.href("/compare", run=[runs[0].id, runs[3].id]))
    assert "Nothing to hold together" in odd


def test_a_page_follows_a_run_that_is_open(chromium: Any, archive: Archive) -> None:
    archive.save_universe_results("u", results(0.0, 1), top_n=0, code="none")
    run = archive.start("u", code="none")
    run.add({"strategy_name": "first", "sharpe_ratio": 9.0})
    server = Served(archive.store.url)
    try:
        with opened(chromium, server.address, "/runs") as page:
            page.wait_for_selector("td:has-text('9.000')")
            page.evaluate("dash_clientside.set_props('pulse', {interval: 300})")
            box = page.locator("a[role=checkbox]").first
            box.focus()
            page.keyboard.press("Space")
            page.wait_for_selector("a[role=checkbox][aria-checked=true]")
            page.fill("#runs-search", "u")
            page.wait_for_url("**search=u**")
            run.add({"strategy_name": "second", "sharpe_ratio": 11.0})
            page.wait_for_selector("td:has-text('11.00')")
            assert page.locator("#changed").is_visible() is False
            assert page.locator("a[role=checkbox][aria-checked=true]").count() == 1
            # An answer that comes late is of a page that was left, and must not come over the next one.
            held: list[Any] = []

            def hold(route: Any) -> None:
                is_look = '"output":"followed.data"' in (route.request.post_data or "")
                # The page asks nothing more before it has its answer: a second look that is held stops it for a minute.
                held.append(route) if is_look and not held else route.continue_()

            page.route("**/_dash-update-component**", hold)
            run.add({"strategy_name": "third", "sharpe_ratio": 12.0})
            until(page, lambda: (page.evaluate("1"), len(held))[1], 1)
            page.click("#nav a[href='bucket']")
            page.wait_for_selector("h1:has-text('Bucket')")
            held[0].fulfill(response=held[0].fetch())
            page.wait_for_timeout(300)
            assert page.locator("h1").inner_text() == "Bucket"
            page.unroute_all()
            page.go_back()
            page.wait_for_selector("td:has-text('12.00')")
            run.finish()
            page.wait_for_selector(".live", state="detached")
    finally:
        server.close()
