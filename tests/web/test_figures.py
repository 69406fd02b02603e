"""What charts are given to draw: axes that mean something, with units."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from werkzeug.test import Client

import archiver
from archiver.web.cards import columns, equity
from archiver.web.reading.curves import read
from tests.web.conftest import UNIVERSE, Made, callback, guarded


def drawn(made: list[float], fell: list[float]) -> Any:
    trades = SimpleNamespace(table=pa.table({}))
    found = SimpleNamespace(
        equity=read(made), drawdown=read(fell), benchmark=read([]), trades=trades, metrics={}, record=None
    )
    return equity.figure(found)


def test_a_curve_saved_without_drawdown_shows_how_far_it_fell():
    figure = drawn([100.0, 110.0, 99.0, 120.0], [])
    assert figure["data"][1]["y"] == pytest.approx([0.0, 0.0, -0.1, 0.0])
    assert figure["layout"]["yaxis2"]["tickformat"] == ".0%"
    assert drawn([1.0, 3.0, -1.0], [])["data"][1]["y"] == [0.0, 0.0, -4.0]


def test_a_curve_that_never_fell_has_no_drawdown_above_zero():
    assert drawn([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])["layout"]["yaxis2"]["range"] == [-1, 0]


def test_a_drawdown_alone_has_the_whole_place():
    layout = drawn([], [0.0, -1.0])["layout"]
    assert layout["yaxis2"]["domain"] == [0, 1]
    assert not layout["yaxis"]["visible"]


def test_few_points_have_a_line_each():
    assert drawn([1.0, 1.0], [])["layout"]["xaxis"]["dtick"] == 1
    assert "dtick" not in drawn([float(value) for value in range(100)], [])["layout"]["xaxis"]


def test_headings_and_axes_have_units():
    assert columns.heading("max_drawdown_pct") == "Max drawdown (%)"
    assert columns.heading("sharpe_ratio") == "Sharpe ratio"


def test_names_are_seen_whole_in_the_table(plain: Made):
    page = str(callback(Client(guarded(plain.url)), "/strategies"))
    longest = max(len(row["strategy_name"]) for row in plain.results)
    assert longest > 25
    assert f"'initialWidth': {min(300, round(longest * 8.6) + 24)}" in page
    assert f"'initialWidth': {max(100, round(len(UNIVERSE) * 7.7) + 24)}" in page


def scatter(
    client: Client, x: str, y: str, color: str | None = None, logs: tuple[str, ...] = (), **ask_more: Any
) -> Any:
    ask = {"universe": "", "search": "", "where": "", "run": "", "columns": [], "chosen": False} | ask_more
    names = (
        "cloud-ask.data",
        "cloud-x.value",
        "cloud-y.value",
        "cloud-range.data",
        "scatter-open.data",
        "cloud-color.value",
        "cloud-log.data",
    )
    parts = [name.split(".") for name in names]
    answer = client.post(
        "/_dash-update-component",
        json={
            "output": "..cloud-place.children...cloud-note.children..",
            "outputs": [
                {"id": "cloud-place", "property": "children"},
                {"id": "cloud-note", "property": "children"},
            ],
            "inputs": [
                {"id": name, "property": what, "value": value}
                for (name, what), value in zip(parts, (ask, x, y, None, True, color, list(logs)), strict=True)
            ],
            "changedPropIds": ["cloud-ask.data"],
        },
    )
    assert answer.status_code == 200, answer.text
    return answer.json["response"]


def test_a_scatter_says_when_there_is_nothing_to_draw(tmp_path):
    archive = archiver.open(str(tmp_path / "backtests"))
    rows = [
        {"strategy_name": f"s{at}", "return_pct": 1.0 + at, "profit_factor": float("inf")} for at in range(3)
    ]
    archive.save_universe_results("one", rows, code="none")
    client = Client(guarded(str(tmp_path / "backtests")))
    said = scatter(client, "return_pct", "profit_factor")
    assert said["cloud-place"]["children"] is None
    assert "has a finite number for both" in said["cloud-note"]["children"]
    rows[0]["profit_factor"] = 2.0
    archive.save_universe_results("one", rows, code="none")
    client = Client(guarded(str(tmp_path / "backtests")))
    assert "Return (%)" in str(scatter(client, "return_pct", "profit_factor"))


def test_a_scatter_has_a_third_metric_log_axes_and_all_its_data_as_csv(tmp_path):
    rows = [
        {"strategy_name": f"s{at}", "calls": 10.0**at, "ulcer": float(at), "sharpe_ratio": at / 10}
        for at in range(40)
    ]
    archive = archiver.open(str(tmp_path / "backtests"))
    archive.save_universe_results("one", rows, rank_by="-ulcer", code="none")
    client = Client(guarded(str(tmp_path / "backtests")))
    said = scatter(client, "calls", "ulcer", "sharpe_ratio", ("x",), where="ulcer < 38")
    box = said["cloud-place"]["children"]["props"]["children"]
    figure = box[0]["props"]["figure"]
    points, best = figure["data"]
    assert figure["layout"]["xaxis"]["type"] == "log"
    assert "type" not in figure["layout"]["yaxis"]
    assert best["y"] == [float(at) for at in range(25)]  # ranked by the least
    assert best["marker"]["color"] == [at / 10 for at in range(25)]
    assert points["marker"]["coloraxis"] == best["marker"]["coloraxis"] == "coloraxis"
    address = box[1]["props"]["children"][1]["props"]["href"]
    lines = client.get("/" + address).text.splitlines()
    assert lines[0].replace('"', "").split(",")[3:] == ["calls", "ulcer", "sharpe_ratio"]
    assert len(lines) == 39
    plain = scatter(client, "calls", "ulcer")["cloud-place"]["children"]["props"]["children"][0]
    assert "coloraxis" not in plain["props"]["figure"]["layout"]


def test_a_page_that_waits_for_long_says_why(client):
    assert "a store that is slow or away is asked again" in client.get("/_dash-layout").text
