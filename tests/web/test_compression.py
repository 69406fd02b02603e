"""What goes over the wire: compressed where that is taken, and files of ours and of packages only once."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

import archiver.web
from archiver.web import compression
from archiver.web.words import links
from tests.web.conftest import UNIVERSE, Made, asking

ASSETS = Path(archiver.web.__file__).parent / "assets"
GZIP = {"Host": "localhost", "Accept-Encoding": "gzip, deflate, br"}
PLAIN = {"Host": "localhost", "Accept-Encoding": "identity"}
PLOTLY = "/_dash-component-suites/plotly/package_data/plotly.min.js"


@pytest.mark.parametrize("path", ["/assets/style.css", "/_dash-component-suites/dash/dcc/async-graph.js"])
def test_files_are_compressed_and_asked_for_again_only_if_changed(client, path):
    packed, plain = (
        client.get(path, headers=GZIP, buffered=True),
        client.get(path, headers=PLAIN, buffered=True),
    )
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.data) == plain.data
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data) / 2
    for answer in (packed, plain):
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["Vary"] == "Accept-Encoding"
    again = client.get(path, headers=GZIP | {"If-None-Match": packed.headers["ETag"]}, buffered=True)
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Content-Security-Policy"]
    other = client.get(path, headers=GZIP | {"If-None-Match": 'W/"other"'}, buffered=True)
    assert other.status_code == 200


def test_files_of_a_page_have_names_that_change_with_them_and_are_kept(client):
    page = client.get("/", headers=PLAIN).text
    for address in re.findall(r"""(?:src|href)=["'](assets/[^"']+)""", page):
        assert re.fullmatch(r"assets/[\w.]+\?v=[0-9a-f]{16}", address)
        assert "immutable" in client.get(f"/{address}", headers=GZIP, buffered=True).headers["Cache-Control"]
    assert re.search(r'dash_ag_grid\.v[^"]+\.min\.js', page)
    for address in re.findall(r'src="(_dash-component[^"]+)"', page):
        assert (
            "max-age=31536000"
            in client.get(f"/{address}", headers=GZIP, buffered=True).headers["Cache-Control"]
        )


def test_what_has_no_page_around_it_has_an_icon_too(client):
    found = client.get("/favicon.ico", headers=PLAIN, follow_redirects=True, buffered=True)
    assert (found.status_code, found.mimetype) == (200, "image/svg+xml")


def test_a_name_tells_the_content(tmp_path, monkeypatch):
    monkeypatch.setattr(compression, "_HERE", tmp_path)
    names = set()
    for text in ("one", "two"):
        (tmp_path / "x.js").write_text(text)
        compression.named.cache_clear()
        names.add(compression.named("x.js"))
    compression.named.cache_clear()
    assert len(names) == 2


def test_what_is_made_for_one_visitor_is_compressed_and_never_kept(client):
    answers = [
        client.get(path, headers=GZIP, buffered=True) for path in ("/", "/api/metrics", "/_dash-layout")
    ]
    answers.append(client.post("/_dash-update-component", json=asking("/"), headers=GZIP))
    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Cache-Control"] == "no-store"
        assert len(gzip.decompress(answer.data)) > len(answer.data)
    plain = client.get("/api/metrics", headers=PLAIN)
    assert gzip.decompress(answers[1].data) == plain.data
    for path in ("/api/archive", "/api/metrics?format=parquet", "/api/object?key=archive.json"):
        assert "Content-Encoding" not in client.get(path, headers=GZIP, buffered=True).headers


# What it adds up is tried above, file by file.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["overview", "scatter", "strategy"])
def test_a_page_that_was_seen_before_takes_little(chromium, served, plain: Made, name):
    best = archiver.open(plain.url).detailed_strategies(UNIVERSE)[0][1]
    path = {"overview": "", "scatter": "strategies?scatter=1", "strategy": links.strategy(UNIVERSE, best)}[
        name
    ]
    sizes = []
    with chromium.page(served) as page:
        wire = page.context.new_cdp_session(page)
        wire.send("Network.enable")
        wire.send("Network.clearBrowserCache")
        asked: dict[str, str] = {}
        sent: dict[str, float] = {}
        wire.on("Network.requestWillBeSent", lambda e: asked.update({e["requestId"]: e["request"]["url"]}))
        wire.on("Network.loadingFinished", lambda e: sent.update({e["requestId"]: e["encodedDataLength"]}))
        for _ in range(2):
            page.goto(f"{served}/{path}")
            page.wait_for_selector(".js-plotly-plot .main-svg")
            page.wait_for_selector(".waiting", state="detached")
            page.wait_for_load_state("networkidle")
            sizes.append({asked[one]: size for one, size in sent.items()})
            sent.clear()
        wire.detach()
    assert sum(sizes[0].values()) > 1_000_000
    assert sum(sizes[0].values()) < 2_600_000
    assert sum(sizes[1].values()) <= 200_000
    again = {address: size for address, size in sizes[1].items() if "_dash-component-suites" in address}
    assert again[served + PLOTLY] < 2_000
