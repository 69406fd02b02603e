"""What a strategy has beside trades, on its page and to be saved."""

from __future__ import annotations

import io

import pandas as pd
import pyarrow.parquet as pq
import pytest
from werkzeug.test import Client

import archiver
from archiver.web.words import links
from tests.web.conftest import guarded
from tests.web.test_pages import show

DAYS = pd.date_range("2025-03-29", periods=3, freq="D")


@pytest.fixture
def client(tmp_path):
    archive = archiver.open(str(tmp_path / "here"))
    result = {
        "strategy_name": "S",
        "sharpe": 1.0,
        "curves": {"equity": pd.Series([1.0, 3, 2], DAYS), "benchmark": (DAYS, [1.0, 2, 3])},
        "tables": {"orders": pd.DataFrame({"q": [1, 2]})},
        "files": {"tear sheet.html": "<script>alert(1)</script>"},
    }
    archive.save_universe_results(
        "u", [result, {"strategy_name": "bare", "equity_curve": [1.0, 2]}], code="none"
    )
    return Client(guarded(archive.store.url))


def test_a_page_has_dates_of_the_clock_and_lists_what_else_there_is(client):
    _, text = show(client, links.strategy("u", "S"))
    assert "2025-03-30T00:00:00" in text
    for name in ("benchmark", "orders", "tear sheet.html"):
        assert f'"children": "{name}"' in text
    _, text = show(client, links.strategy("u", "bare"))
    assert "Curves, tables and files" not in text


def test_a_file_is_saved_and_never_shown(client):
    answer = client.get("/api/part?universe=u&name=S&file=tear+sheet.html")
    assert answer.data == b"<script>alert(1)</script>"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    curve = pq.read_table(io.BytesIO(client.get("/api/part?universe=u&name=S&curve=benchmark").data))
    assert curve["time"].to_pandas().tolist() == list(DAYS)
    table = pq.read_table(io.BytesIO(client.get("/api/part?universe=u&name=S&table=orders").data))
    assert table["q"].to_pylist() == [1, 2]
    assert client.get("/api/part?universe=u&name=S&file=none").status_code == 404
    assert client.get("/api/part?universe=u&name=S").status_code == 400
