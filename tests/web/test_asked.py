"""What Dash is asked: pages that are not there, its own addresses for developers, and forged callbacks."""

from __future__ import annotations

import json

import pytest
from werkzeug.test import Client

from archiver.web.guard.security import CALLBACKS
from tests.web.conftest import asking, callback

HOST = {"Host": "127.0.0.1"}
PAGE = asking("/")
HISTORY = {
    "output": "history.children",
    "outputs": {"id": "history", "property": "children"},
    "inputs": [{"id": "strategy-of", "property": "data", "value": None}],
    "changedPropIds": ["strategy-of.data"],
}


def status(client: Client, body: object) -> int:
    text = body if isinstance(body, str) else json.dumps(body)
    answer = client.post(CALLBACKS, data=text, content_type="application/json", headers=HOST)
    assert "Traceback" not in answer.text
    return answer.status_code


@pytest.mark.parametrize(
    "body",
    [
        "", "{", "[]", "null", "5", '"x"', "{}", "[" * 100_000, b"\xff\xfe".decode("latin-1"), {"output": "x"},
        {"output": 5}, {"output": []}, {"output": "page.children", "inputs": []}, {**PAGE, "outputs": []},
        {**PAGE, "outputs": 1}, {**PAGE, "inputs": []}, {**PAGE, "inputs": [5, 6]}, {**PAGE, "inputs": None},
        {**PAGE, "inputs": PAGE["inputs"] + [{"id": "x", "property": "y"}]}, {**PAGE, "changedPropIds": 5},
        {**PAGE, "changedPropIds": [{}]}, {**PAGE, "state": [{"id": "x", "property": "y"}]}, {**PAGE, "state": "x"},
        {**HISTORY, "outputs": [{"id": "history", "property": "children"}]}, {**HISTORY, "outputs": None},
        {**HISTORY, "inputs": [{"id": {"a": 1}, "property": []}]},
        {**HISTORY, "output": "nav.data-at"}, {**HISTORY, "output": "__class__.x"},
    ],
)  # fmt: skip
def test_what_no_page_asks_is_refused(client, body):
    assert status(client, body) == 400


@pytest.mark.parametrize("value", [5, "x", [], {}, {"name": 5, "universe": [], "run": {}}, [1, 2], True])
@pytest.mark.parametrize(
    ("output", "asks", "state"),
    [
        ("equity.figure", "equity-view.data equity-switches.data trade.data", ["strategy-of.data"]),
        ("excursions.children", "strategy-of.data", []),
        ("history.children", "strategy-of.data", []),
        ("trades-grid.getRowsResponse", "trades-grid.getRowsRequest", ["strategy-of.data"]),
        ("trade-view.children", "trade.data", ["strategy-of.data"]),
        ("strategies-grid.getRowsResponse", "strategies-grid.getRowsRequest", ["ask.data"]),
    ],
)
def test_forged_values_are_no_fault_of_the_server(client, value, output, asks, state):
    def named(text: str, **more: object) -> dict[str, object]:
        name, _, prop = text.partition(".")
        return {"id": name, "property": prop, **more}

    body = {
        "output": output,
        "outputs": named(output),
        "inputs": [named(one, value=value) for one in asks.split()],
        "state": [named(one, value=value) for one in state],
        "changedPropIds": asks.split()[:1],
    }
    assert status(client, body) in (200, 400)


def test_what_pages_ask_is_answered(client):
    assert status(client, PAGE) == 200
    assert status(client, HISTORY) in (200, 400)


@pytest.mark.parametrize("path", ["/nothing", "/console"])
def test_an_unknown_page_is_404_and_still_a_page(client, path):
    answer = client.get(path, headers=HOST)
    assert answer.status_code == 404
    assert "<footer>" in answer.text
    text = json.dumps(callback(client, path)["page"]["children"])
    assert '"H1"' in text
    assert '"href": "./"' in text


@pytest.mark.parametrize(
    ("path", "back"), [("/run/x", "../"), ("/a/b/", "../../"), ("/strategies/x/y", "../../")]
)
def test_a_path_below_a_page_is_404_and_leads_back(client, path, back):
    answer = client.get(path, headers=HOST)
    assert answer.status_code == 404
    assert f'<a href="{back}./">' in answer.text


@pytest.mark.parametrize("path", ["/runs/", "/\\evil.example/"])
def test_a_slash_at_the_end_leads_to_the_page_itself_and_never_elsewhere(client, path):
    answer = client.get(path + "?tag=a&tag=b", headers=HOST)
    assert answer.headers.get("Location", "../").startswith("../")
    if path == "/runs/":
        assert (answer.status_code, answer.headers["Location"]) == (302, "../runs?tag=a&tag=b")


@pytest.mark.parametrize("path", ["/", "/runs", "/strategy?name=x", "/bucket?key=nothing"])
def test_pages_that_are_there_are_200(client, path):
    assert client.get(path, headers=HOST).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/_reload-hash", "/_favicon.ico", "/_alive", "/_mcp", "/_dash-error", "/_dash-component-suites/nothing"],
)
def test_addresses_for_developers_are_not_there(client, path):
    answer = client.get(path, headers=HOST)
    assert answer.status_code == 404
    assert "<footer>" not in answer.text or path.startswith("/_dash-component-suites")


@pytest.mark.parametrize("path", ["/_dash-layout", "/_dash-dependencies"])
def test_what_pages_need_of_dash_is_there(client, path):
    assert client.get(path, headers=HOST).status_code == 200


@pytest.mark.parametrize("path", ["dash/../../etc/passwd", "dash/nope.js", "nope/nope.js"])
def test_files_that_no_package_has_are_not_there(client, path, caplog):
    assert client.get(f"/_dash-component-suites/{path}").status_code == 404
    assert not caplog.records
