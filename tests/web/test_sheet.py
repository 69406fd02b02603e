"""The tear sheet on a strategy's page, its curves as they can be looked at, and what plots are saved as."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pandas as pd
import pytest
from werkzeug.test import Client

import archiver
from archiver.analysis.reading import excursions
from archiver.web.cards import equity, sheet
from archiver.web.reading.data import Data
from archiver.web.reading.detail import Details, Strategy
from archiver.web.words import links
from tests.web.conftest import UNIVERSE, Made, Served, callback, guarded
from tests.web.test_browser import PHONE, opened
from tests.web.test_browser_table import until

DAYS = pd.bdate_range("2020-01-01", periods=900, tz="UTC")


def results() -> list[dict[str, Any]]:
    random, value, values, market = Random(4), 100.0, [], []
    for _ in DAYS:
        values.append(value)
        market.append(50 + value / 4)
        value *= 1 + random.gauss(0.0006, 0.01)
    trades = [
        {
            "entry_time": (DAYS[at] + timedelta(hours=9 + at % 3)).isoformat(),
            "exit_time": (DAYS[at + at % 5] + timedelta(hours=17)).isoformat(),
            "entry_price": 10.0,
            "direction": "long" if at % 20 else "short",
            "symbol": "AAA" if at % 30 else "BBB",
            "exit_reason": "stop" if at % 40 else "target",
            "pnl": random.gauss(1, 10),
            "commission": 0.5,
        }
        for at in range(0, 800, 7)
    ]
    plain = [100.0, 110.0, 99.0, 120.0, 90.0]
    bars = [{"entry_bar": 1, "exit_bar": 3, "pnl": -1.0}, {"entry_bar": 2, "exit_bar": 9, "pnl": 1.0}]
    return [
        {
            "strategy_name": "dated",
            "sharpe_ratio": 2.0,
            "params": {"fast": 3},
            "trades": trades,
            "curves": {"equity": pd.Series(values, DAYS), "benchmark": pd.Series(market, DAYS)},
        },
        {"strategy_name": "undated", "sharpe_ratio": 1.0, "equity_curve": plain, "trades": bars},
        {"strategy_name": "sums", "sharpe_ratio": 0.5, "equity_curve": [0.0, 5.0, -5.0, 7.0], "trades": []},
        {"strategy_name": "long", "sharpe_ratio": 0.1, "equity_curve": [float(at) for at in range(9_000)]},
    ]


class Kept(NamedTuple):
    """An archive of those results, and how pages see it."""

    url: str
    archive: archiver.Archive
    details: Details
    client: Client


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    url = str(tmp_path_factory.mktemp("sheets") / "a")
    archive = archiver.open(url)
    archive.save_universe_results("u", results(), code="none")
    return Kept(url, archive, Details(Data(archive)), Client(guarded(url)))


def lines(found: Strategy, *shown: str, trade: int | None = None) -> dict[str, Any]:
    drawn = equity.figure(found, shown, trade)
    return {trace["name"]: trace for trace in drawn["data"]} | {"layout": drawn["layout"]}


def test_a_curve_is_drawn_as_change_and_on_a_log_scale(kept: Kept):
    found = kept.details.find("undated")
    percent = lines(found, "percent")
    assert percent["Equity"]["y"] == pytest.approx([0, 10, -1, 20, -10])
    assert percent["layout"]["yaxis"]["title"]["text"] == "Change of equity (%)"
    both = lines(found, "percent", "log")
    assert both["Equity"]["y"] == pytest.approx([100, 110, 99, 120, 90])
    assert both["layout"]["yaxis"]["type"] == "log"
    sums = lines(kept.details.find("sums"), "log", "percent")
    assert "type" not in sums["layout"]["yaxis"]  # a log scale has no place for what is not above zero
    assert sums["Equity"]["y"] == [0, 5, -5, 7]


def test_a_benchmark_begins_where_the_equity_does(kept: Kept):
    found = kept.details.find("dated")
    drawn = lines(found, "benchmark")
    assert drawn["Benchmark"]["y"][0] == pytest.approx(drawn["Equity"]["y"][0])
    assert drawn["Benchmark"]["y"][-1] == pytest.approx(100 * (50 + found.equity.values[-1] / 4) / 75)
    assert "Benchmark" not in lines(found)
    assert "Benchmark" not in lines(kept.details.find("undated"), "benchmark")


def test_a_trade_is_marked_where_it_was_entered_and_left(kept: Kept):
    found = kept.details.find("dated")
    row = found.trades.table.slice(3, 1).to_pylist()[0]
    drawn = lines(found, trade=3)
    point = drawn["Entry of trade 4"]
    assert point["x"] == [row["entry_time"][:19]]
    assert point["y"] == [found.equity.values[21]]
    assert drawn["Exit of trade 4"]["y"] == [found.equity.values[22]]
    (band,) = drawn["layout"]["shapes"]
    assert (band["x0"], band["x1"]) == (row["entry_time"][:19], row["exit_time"][:19])
    by_bars = lines(kept.details.find("undated"), "percent", trade=0)
    assert (by_bars["Entry of trade 1"]["x"], by_bars["Entry of trade 1"]["y"]) == ([1], [pytest.approx(10)])
    assert by_bars["Exit of trade 1"]["x"] == [3]
    beyond = lines(kept.details.find("undated"), trade=1)
    assert not [name for name in beyond if "trade" in name]  # its exit is no bar of the curve
    assert "shapes" not in lines(found, trade=999) or lines(found, trade=999)["layout"]["shapes"] == []


def test_the_page_says_what_the_tear_sheet_says(kept: Kept):
    told = kept.archive.tear_sheet("dated")
    assert sheet.of_curve(kept.details.find("dated").equity) == told
    answer = callback(kept.client, "/strategy", "?universe=u&name=dated")
    text = json.dumps(answer["page"]["children"], ensure_ascii=False)
    for share in (told.total, told.cagr, told.volatility, told.drawdowns[0].depth):
        assert sheet.percent(share) in text
    assert f"{100 * told.months[2021][6]:.1f}".replace("-", "−") in text  # type: ignore[operator]  # there is one
    for one in told.drawdowns:
        assert f"{one.since:%Y-%m-%d} to {one.lowest:%Y-%m-%d}" in text
    for part in ("Returns by year", "Rolling Sharpe", "Costs: Commission", "params.fast"):
        assert part in text
    for name in ("direction", "symbol", "exit reason", "duration", "weekday", "hour"):
        assert f"Trades by {name}" in text or f'"by-{name}"' in text
    bare = json.dumps(callback(kept.client, "/strategy", "?universe=u&name=undated")["page"]["children"])
    assert "has no dates: what needs them is left out" in bare
    assert "Returns by month" not in bare


def test_all_points_of_the_curves_are_a_table(kept: Kept):
    text = kept.client.get("/api/curves?universe=u&name=dated&format=csv").text
    rows = list(csv.DictReader(io.StringIO(text)))
    found = kept.details.find("dated")
    assert [float(row["equity"]) for row in rows] == found.equity.values.tolist()
    assert rows[5]["time"] == DAYS[5].isoformat()
    assert set(rows[0]) == {"time", "equity", "benchmark"}
    assert kept.client.get("/api/curves?name=sums").json["curves"][2] == {"point": 2, "equity": -5.0}
    assert kept.client.get("/api/curves?name=none").status_code == 404


def test_how_far_the_price_went_is_filled_in(client, plain: Made):
    archive = archiver.open(plain.url)
    name, run = archive.detailed_strategies(UNIVERSE)[0][1], plain.runs[1].id
    of = {"name": name, "universe": UNIVERSE, "run": run}
    body = {
        "output": "excursions.children",
        "outputs": {"id": "excursions", "property": "children"},
        "inputs": [{"id": "strategy-of", "property": "data", "value": of}],
        "changedPropIds": ["strategy-of.data"],
    }
    text = client.post("/_dash-update-component", json=body).json["response"]["excursions"]["children"]
    trades = archive.load_strategy(name, universe=UNIVERSE, run=run)["trades"]
    went = [one for one in excursions(archive.reader, archive.record(run), trades) if one is not None]
    assert len(went) == len(trades) > 10
    median = statistics.median(one.against for one in went)
    assert f"median {sheet.percent(median)} against (MAE)" in json.dumps(text, ensure_ascii=False)


@pytest.fixture(scope="module")
def server(kept: Kept) -> Iterator[str]:
    served = Served(kept.url)
    yield served.address
    served.close()


def saved(page: Any, name: str) -> bytes:
    with page.expect_download() as going:
        page.get_by_label(name, exact=True).click()
    return Path(going.value.path()).read_bytes()


@pytest.mark.slow
def test_switches_trades_and_plots_in_a_browser(chromium, server, kept: Kept):
    path = links.strategy("u", "dated")
    plot = "document.querySelector('#equity .js-plotly-plot')"
    axis = f"{plot}._fullLayout"
    with opened(chromium, server, path) as page:
        page.wait_for_selector("#mae-mfe, #excursions .note")
        page.wait_for_selector("#equity .main-svg")
        assert page.locator("#equity-benchmark").get_attribute("aria-pressed") == "true"
        # Plots tell of a resize, too: that must not take the answer to a switch away.
        asked: list[Any] = []
        page.route("**/_dash-update-component**", lambda route: asked.append(route))  # noqa: PLW0108 - playwright counts the arguments
        page.locator("#equity-log").focus()
        page.keyboard.press("Space")
        page.wait_for_url("**curve=benchmark%2Clog**")
        until(page, lambda: (page.evaluate("1"), len(asked))[1], 1)
        page.evaluate(f"Plotly.relayout({plot}, {{autosize: true}}).then(() => null)")
        page.wait_for_timeout(200)
        for route in asked:
            route.continue_()
        page.unroute_all()
        until(page, f"{axis}.yaxis.type === 'log'")
        page.locator("#equity-percent").click()
        page.wait_for_url("**curve=benchmark%2Clog%2Cpercent**")
        page.locator("#trades-grid .ag-row[row-index='3'] .ag-cell").nth(1).click()
        page.wait_for_url("**trade=3**")
        until(page, f"{axis}.shapes.length === 1")
        page.get_by_role("link", name="On the equity curve").click()
        until(page, "Math.abs(document.querySelector('#equity').getBoundingClientRect().y) < innerHeight / 2")
        assert "#equity" in page.url
        picture = saved(page, "PNG of Equity and drawdown")
        assert picture[:8] == b"\x89PNG\r\n\x1a\n"
        assert int.from_bytes(picture[16:20], "big") > 1_000  # twice as wide as on the page
        rows = list(csv.reader(io.StringIO(saved(page, "CSV of Equity and drawdown").decode())))
        assert rows[0] == ["time", "Benchmark", "Equity", "Drawdown"]
        assert len(rows) == len(DAYS) + 1
        years = list(csv.reader(io.StringIO(saved(page, "CSV of Returns by year").decode())))
        told = kept.archive.tear_sheet("dated").years
        assert {int(year): float(value) for year, value in years[1:]} == pytest.approx(
            {year: 100 * value for year, value in told.items()}
        )
        page.reload()
        page.wait_for_selector("#equity .main-svg")
        until(page, f"{axis}.yaxis.type === 'log' && {axis}.shapes.length === 1")
    with opened(chromium, server, path, viewport=PHONE, is_mobile=True, has_touch=True) as page:
        page.wait_for_selector("#rolling .main-svg")
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        page.goto(f"{server}/" + links.strategy("u", "long"))
        page.wait_for_selector("#equity .main-svg")
        drawn = f"{plot}.data.find((one) => one.name === 'Equity').x.length"
        assert page.evaluate(drawn) < 9_000
        page.evaluate(
            f"Plotly.relayout({plot}, {{'xaxis.range[0]': 3000, 'xaxis.range[1]': 3100}}).then(() => null)"
        )
        until(page, drawn, lambda seen: 100 <= seen <= 103)  # every point of what is looked at
        page.evaluate(f"Plotly.relayout({plot}, {{'xaxis.autorange': true}}).then(() => null)")
        until(page, drawn, lambda seen: 1_000 < seen < 9_000)
