"""Strategies held together, on their page; the best of a row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from werkzeug.test import Client

import archiver
from archiver.web.words import best, links
from tests.test_analysis_portfolio import curve
from tests.web.conftest import Served, callback, guarded
from tests.web.test_browser import PHONE, barriers, opened
from tests.web.test_sheet import saved


class Kept(NamedTuple):
    """An archive of twelve strategies with dated curves and two without, and a client of its pages."""

    archive: archiver.Archive
    run: str
    client: Client


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    url = str(tmp_path_factory.mktemp("portfolio") / "a")
    archive = archiver.open(url)
    results: list[dict[str, Any]] = []
    for at in range(12):
        points = curve(at, 120)
        pairs = [[t.isoformat(), v] for t, v in zip(points.times or (), points.values, strict=True)]
        results.append(
            {"strategy_name": f"long name <b>{at}</b> of a strategy", "sharpe_ratio": 9.0 - at, "max_drawdown": -0.1 * at, "equity_curve": pairs}
        )  # fmt: skip
    results.append({"strategy_name": "undated", "sharpe_ratio": 8.5, "equity_curve": [1.0, 2.0, 3.0]})
    results.append({"strategy_name": "not kept", "sharpe_ratio": -9.0})
    run = archive.save_universe_results("u", results, top_n=13, code="none")
    return Kept(archive, run.id, Client(guarded(url)))


def shown(kept: Kept, address: str) -> str:
    path, _, query = address.partition("?")
    return json.dumps(callback(kept.client, path, f"?{query}")["page"]["children"], ensure_ascii=False)


def test_the_page_says_what_the_archive_says(kept: Kept):
    made = kept.archive.portfolio(run=kept.run, top=6)
    text = shown(kept, links.href("/portfolio", run=kept.run, top=6))
    assert "Left out: undated: its curve has no dates." in text
    assert f"{made.days[0]} to {made.days[-1]}" in text
    assert f'"{made.mean_correlation:.3f}"' in text
    assert f'"{100 * made.inverse.weights[made.names[0]]:.1f} %"' in text
    assert f"Best alone: {made.best}" in text
    answer = callback(kept.client, "/portfolio")  # the newest run that has details of two
    assert answer["title"]["data"].startswith("Portfolio of the best")


def test_strategies_that_are_named_are_held_together(kept: Kept):
    names = [f"long name <b>{at}</b> of a strategy" for at in (0, 3)]
    choices = [links.choice_text(links.Choice("u", name, kept.run)) for name in [*names, "not kept"]]
    text = shown(kept, links.href("/portfolio", strategy=choices))
    assert "Left out: not kept: its details were not kept." in text
    made = kept.archive.portfolio(names)
    assert f'"{made.mean_correlation:.3f}"' in text
    assert 'scale=log"' in text
    assert '"type": "log"' in shown(kept, links.href("/portfolio", strategy=choices, scale="log"))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("top=1", "top must be 2 to 50"),
        ("top=51", "top must be 2 to 50"),
        ("top=x", "whole number"),
        ("universe=none", "there is no universe"),
        ("run=20000101T000000Z-00000000", "no run"),
        ("strategy=u/undated&strategy=u/undated", "needs two strategies"),
        ("strategy=nonsense", "names no strategy"),
        ("&".join(f"strategy=u/{at}" for at in range(51)), "at most 50"),
    ],
)
def test_what_cannot_be_held_together_is_told(kept: Kept, query, said):
    assert said in shown(kept, f"/portfolio?{query}")


def test_the_best_of_a_row_is_marked_in_a_comparison(kept: Kept):
    choices = [links.Choice("u", f"long name <b>{at}</b> of a strategy") for at in (4, 2)]
    text = shown(kept, links.href("/compare", strategy=[links.choice_text(one) for one in choices], all="1"))
    assert text.count('"best-of"') == 2
    assert text.index("7.000") < text.index('" (best)"')


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("sharpe_ratio", [1.0, 2.0, None], {1}),
        ("max_drawdown_pct", [-20.0, -10.0, -30.0], {1}),
        ("max_drawdown", [0.2, 0.1, 0.3], {1}),
        ("avg_loss", [-5.0, -4.0], {1}),
        ("total_return", [3.0, 3.0, 1.0], {0, 1}),
        ("total_return", [3.0, 3.0], set()),
        ("total_return", [float("nan"), 3.0], set()),
        ("total_return", [float("-inf"), 3.0], {1}),
        ("n_trades", [3, 4], set()),
        ("params.fast_return", [3, 4], set()),
        ("buy_hold_return_pct", [3.0, 4.0], set()),
        ("regime", ["calm", "storm"], set()),
        ("win_rate", [True, False], set()),
        ("final_equity", [1, 2], {1}),
        ("total_fees", [1.0, 2.0], {0}),
    ],
)
def test_the_best_is_the_end_that_a_name_tells(name, values, found):
    assert best.places(name, values) == found


@pytest.fixture(scope="module")
def server(kept: Kept) -> Iterator[str]:
    served = Served(kept.archive.store.url)
    yield served.address
    served.close()


@pytest.mark.slow
def test_the_page_in_a_browser(chromium, server, kept: Kept):
    phone = {"viewport": PHONE, "is_mobile": True, "has_touch": True, "color_scheme": "dark"}
    for window in ({}, phone):
        with opened(chromium, server, links.href("/portfolio", run=kept.run), **window) as page:
            page.wait_for_selector("#correlation .main-svg")
            assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
            assert page.locator("#nav a[aria-current]").inner_text().strip() == "Compare"
            assert barriers(page) == []
            if not window:
                rows = list(csv.reader(io.StringIO(saved(page, "CSV of Correlation of daily P&L").decode())))
                made = kept.archive.portfolio(run=kept.run)
                told = {(row, column): float(value) for row, column, value in rows[1:]}
                assert told[made.names[0], made.names[3]] == round(made.correlation[0][3] or 0, 4)
                assert len(told) == len(made.names) * (len(made.names) - 1)
                page.get_by_role("link", name="Best 5").click()
                page.wait_for_selector("tbody tr:nth-child(4) .numbered a")
                page.wait_for_url("**top=5**")
    with opened(chromium, server, "/strategies") as page:
        page.wait_for_selector(".ag-row[row-index='2'] .ag-checkbox-input")
        for row in (0, 2):
            page.locator(f".ag-row[row-index='{row}'] .ag-checkbox-input").check()
        page.locator("#portfolio-selected:text-is('Portfolio 2')").click()
        page.wait_for_selector("h1:text-is('Portfolio')")
        page.wait_for_selector("#held .main-svg")
