"""Curves that are no lists of numbers: pages say so."""

from __future__ import annotations

import pytest
from werkzeug.test import Client

import archiver
from archiver.web.words import links
from tests.web.conftest import guarded
from tests.web.test_pages import show


@pytest.mark.parametrize("curve", [["up", "down"], {"equity": [1.0, 2.0]}])
def test_what_is_no_curve_is_said_and_not_drawn(tmp_path, curve):
    archive = archiver.open(str(tmp_path / "here"))
    results = [
        {"strategy_name": "pairs", "sharpe": 1.0, "equity_curve": curve},
        {"strategy_name": "both", "sharpe": 0.5, "equity_curve": [1.0, 2.0], "drawdown_curve": curve},
    ]
    archive.save_universe_results("u", results, code="none")
    client = Client(guarded(archive.store.url))
    said = "Saved in a form that is not drawn"
    _, text = show(client, links.strategy("u", "pairs"))
    assert said in text
    assert '"id": "equity"' not in text
    _, text = show(client, links.strategy("u", "both"))
    assert said in text
    assert '"id": "equity"' in text
    _, text = show(client, "/compare?strategy=u/pairs&strategy=u/both")
    assert "equity kept, but not drawn" in text
