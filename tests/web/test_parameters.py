"""Parameters, samples and luck on pages: what is drawn is what the archive says, and a click filters."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from werkzeug.test import Client

import archiver
from archiver.web.pages import parameters
from archiver.web.reading.data import Data
from archiver.web.reading.site import Site
from archiver.web.words import links
from tests.web.conftest import Made, Served, callback, guarded
from tests.web.test_browser import DESK, PHONE, barriers, opened


def results(shift: float) -> list[dict[str, Any]]:
    random = Random(4)
    found = []
    for fast in (5, 10, 20, 40):
        for slow in (50, 100, 150):
            for kind in ("ema", "<b>sma"):
                score = fast / 20 - abs(slow - 100) / 100 + shift * random.gauss(0, 1)
                found.append(
                    {
                        "strategy_name": f"S_{fast}_{slow}_{kind}",
                        "sharpe_ratio": score,
                        "max_drawdown": random.random(),
                        "params": {"fast": fast, "slow": slow, "kind": kind, "lot": 1},
                        "equity_curve": [100 + at * score + random.gauss(0, 3) for at in range(200)],
                    }
                )
    return found


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Give a search in sample and out of sample, and a universe without parameters."""
    url = str(tmp_path_factory.mktemp("searched") / "backtests")
    archive = archiver.open(url)
    runs = (
        archive.save_universe_results("goog", results(0.1), top_n=6, code="none"),
        archive.save_universe_results("goog_oos", results(0.9), top_n=0, code="none"),
        archive.save_universe_results(
            "bare", [{"strategy_name": "a", "sharpe_ratio": 1.0}, {"strategy_name": "b"}], code="none"
        ),
    )
    return Made(url, results(0.1), runs)


@pytest.fixture(scope="module")
def pages(searched: Made) -> Client:
    return Client(guarded(searched.url))


@pytest.fixture(scope="module")
def site(searched: Made) -> Site:
    return Site(Data(archiver.open(searched.url, read_only=True)))


@pytest.fixture(scope="module")
def searching(searched: Made) -> Iterator[str]:
    server = Served(searched.url)
    yield server.address
    server.close()


def told(content: Any) -> str:
    return json.dumps(content, default=lambda part: part.to_plotly_json(), ensure_ascii=False)


def ask(site: Site, **asked: str) -> dict[str, Any]:
    """Return what the page keeps of an address."""
    text = told(parameters.page(site, {name: [value] for name, value in asked.items()}).content)
    found = re.search(r'"id": "params-ask", "data": (\{.*?\}\})', text)
    assert found is not None
    kept: dict[str, Any] = json.loads(found[1])
    return kept


def test_the_map_shows_what_the_archive_says(site: Site, searched: Made) -> None:
    heat = archiver.open(searched.url).parameters("goog").heat("fast", "slow")
    text = told(parameters._heat(site, ask(site, universe="goog", x="params.fast", y="params.slow")))
    for y, slow in enumerate(heat.y.labels):
        for x, fast in enumerate(heat.x.labels):
            number = f"{heat.values[y, x]:.3f}".replace("-", "−")
            assert f"fast {fast}, slow {slow}: mean sharpe_ratio {number}, 2 strategies" in text
            assert f"params.fast == {fast} and params.slow == {slow}" in text
    held = told(
        parameters._heat(
            site,
            ask(
                site,
                universe="goog",
                x="params.fast",
                y="params.slow",
                hold="params.kind",
                at="1",
                how="count",
            ),
        )
    )
    assert "kind = ema" in held
    assert "fast 5, slow 50: 1 strategy" in held


def test_a_cell_filters_the_table_and_leads_to_strategies(site: Site) -> None:
    asked = ask(site, universe="goog", where="max_drawdown >= 0", sort="neighbours")
    whole, nothing = parameters._robust(site, asked)
    assert nothing is None
    assert "24 of 24 strategies" in told(whole)
    table, chip = parameters._robust(site, {**asked, "pick": 'params.kind == "<b>sma" and params.fast == 5'})
    assert "3 of 3 strategies" in told(table)
    where = '(max_drawdown >= 0) and params.kind == "<b>sma" and params.fast == 5'
    assert links.href("/strategies", universe="goog", where=where) in told(chip)
    none, _ = parameters._robust(site, {**asked, "pick": "params.fast == 6"})
    assert "No strategy matches" in told(none)
    wrong, _ = parameters._robust(site, {**asked, "sort": "nope"})
    assert "no column 'nope'" in told(wrong).replace('\\"', '"')


def test_a_table_of_one_run_leads_to_its_strategies_there(site: Site, searched: Made) -> None:
    run = searched.runs[0].id
    table, _ = parameters._robust(site, ask(site, run=run, metric="-max_drawdown"))
    assert links.strategy("goog", "S_5_50_ema", run) in told(table)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("?universe=bare", "No two parameters have several values"),
        ("?universe=nowhere", "there is no universe 'nowhere'"),
        ("?metric=nope", "no column 'nope'"),
        ("?where=)", "cannot read ')'"),
        ("?x=nope&y=nope&hold=nope&at=99&how=nope", "params-ask"),
        ("?at=x", "at must be a whole number"),
    ],
)
def test_what_cannot_be_drawn_is_said(pages: Client, query: str, text: str) -> None:
    assert text in told(callback(pages, "/parameters", query)["page"]["children"])


def test_samples_show_ranks_and_decay(pages: Client, searched: Made) -> None:
    text = told(callback(pages, "/samples", "")["page"]["children"])
    found = archiver.open(searched.url).samples("goog", "goog_oos")
    assert "metric=-max_drawdown" in text  # least is best, as the menu of metrics knows
    assert f"{found.rank_correlation:.3f}" in text
    assert "goog → goog_oos" in text
    assert "No strategy is in both" in told(
        callback(pages, "/samples", "?inside=goog&outside=bare")["page"]["children"]
    )
    missing = told(callback(pages, "/samples", "?inside=goog&outside=nope")["page"]["children"])
    assert "This run is not there" in missing


def test_samples_say_how_a_pair_is_declared(client: Client) -> None:
    assert "No pair is declared" in told(callback(client, "/samples", "")["page"]["children"])


def test_luck_stands_on_the_page_of_a_run(pages: Client, searched: Made) -> None:
    archive = archiver.open(searched.url)
    text = told(callback(pages, "/run", f"?id={searched.runs[0].id}&view=luck")["page"]["children"])
    over = archive.overfitting(searched.runs[0])
    assert over.probability is not None
    assert f"{100 * over.probability:.1f} %" in text
    assert "luck-ranks" in text
    bare = told(callback(pages, "/run", f"?id={searched.runs[1].id}&view=luck")["page"]["children"])
    assert "no equity curve was kept" in bare


@pytest.mark.slow
def test_parameters_in_a_browser(chromium: Any, searching: str, tmp_path: Path) -> None:
    with opened(
        chromium, searching, "/parameters?universe=goog&x=params.fast&y=params.slow", viewport=DESK
    ) as page:
        page.wait_for_selector("table.heat")
        page.wait_for_selector(".robust tbody tr")
        cell = page.locator("a[data-pick='params.fast == 10 and params.slow == 100']")
        cell.click()
        page.wait_for_selector("#picked .chip")
        assert page.locator(".robust p").inner_text() == "2 of 2 strategies"
        assert "pick=params.fast" in page.url
        # Arrows go from cell to cell, a key chooses the one that has the focus.
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Space")
        page.wait_for_selector("#picked:has-text('params.slow == 50')")
        assert "params.fast == 20" in page.locator("#picked").inner_text()
        page.reload()
        page.wait_for_selector("td.on")
        assert page.locator("td.on a").get_attribute("data-pick") == "params.fast == 20 and params.slow == 50"
        page.locator("#picked .chip").click()
        page.wait_for_selector("#picked .chip", state="detached")
        page.locator("#params-hold").click()
        page.get_by_role("option", name="kind").click()
        page.wait_for_selector("p.held")
        assert page.locator("p.held").inner_text() == "kind = <b>sma"
        page.locator("#params-at").focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_selector("p.held:has-text('kind = ema')")
        assert "at=1" in page.url
        page.wait_for_selector("#slices-place .main-svg")
        assert barriers(page) == []
    phone = {"viewport": PHONE, "is_mobile": True, "has_touch": True, "color_scheme": "dark"}
    paths = ("/parameters?universe=goog", "/samples", "/run?view=luck&id=")
    for path in paths[:2]:
        with opened(chromium, searching, path, **phone) as page:
            page.wait_for_selector(".main-svg")
            assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
            assert barriers(page) == []


def test_another_metric_is_another_page(chromium: Any, searching: str) -> None:
    with opened(chromium, searching, "/parameters?universe=goog") as page:
        page.wait_for_selector("table.heat")
        page.locator("#params-metric").click()
        page.get_by_role("option", name="Max drawdown").click()
        page.wait_for_url("**metric=max_drawdown**")
        page.wait_for_selector(".legend:has-text('Max drawdown')")
        page.set_viewport_size({"width": 2560, "height": 1300})
        page.go_back()
        page.wait_for_selector(".legend:has-text('Sharpe ratio')")
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
