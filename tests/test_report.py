"""`archiver report`: one page that opens offline, shows what there is, and lets nothing of an archive become markup."""

from __future__ import annotations

import io
import json
import re
import shutil
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import Any

import pytest

import archiver
from archiver.report.html import joined, tag
from tests.conftest import Cli

EVIL = '</style><script>alert(1)</script><img src=x onerror="alert(2)">\u202e&'


def result(name: str, sharpe: float, at: int = 0, **more: Any) -> dict[str, Any]:
    random, values = Random(at), [100.0]
    for _ in range(400):
        values.append(values[-1] * (1 + random.gauss(0.0005, 0.01)))
    begin = datetime(2023, 1, 1, tzinfo=UTC)
    dated = [[(begin + timedelta(days=day)).isoformat(), value] for day, value in enumerate(values)]
    window = {"timestamps": ["2023-01-02", "2023-01-03"], "high": [11.0, 12.0], "low": [9.0, 9.5]}
    trade = {
        "entry_time": "2023-01-02",
        "exit_time": "2023-01-03",
        "entry_price": 10.0,
        "direction": "long",
        "pnl": 5.0,
        "exit_reason": EVIL,
        "price_history": window,
    }
    losing = {**trade, "pnl": -2.0, "exit_reason": "stop", "direction": "short"}
    return {
        "strategy_name": name,
        "sharpe_ratio": sharpe,
        "params": {"fast": 5, EVIL: EVIL},
        "equity_curve": dated,
        "trades": [trade, losing],
        **more,
    }


def doubling() -> list[list[Any]]:
    """Return a curve of the same days, in units of its own: from 1 to 2 in even steps."""
    days = [day for day, _ in result("x", 0.0)["equity_curve"]]
    return [[day, 1 + at / (len(days) - 1)] for at, day in enumerate(days)]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> archiver.Archive:
    here = archiver.open(tmp_path_factory.mktemp("reports") / "a")
    results = [
        result("plain", 1.2, 1, label=EVIL, curves={"benchmark": doubling()}),
        result(EVIL, 0.7, 2),
        {"strategy_name": "bare", "sharpe_ratio": 0.1},
    ]
    undated = [value for _, value in result("x", 0.0)["equity_curve"]]
    results.append({"strategy_name": "undated", "sharpe_ratio": -0.5, "equity_curve": undated})
    results.append(
        {
            "strategy_name": "odd",
            "sharpe_ratio": -0.6,
            "equity_curve": [0.0, -3.0, 1e300, float("nan")],
            "trades": [{"x": None}],
        }
    )
    here.save_universe_results(
        f"u {EVIL}".replace("/", "-"), results, note=EVIL, tags=["mine"], params={EVIL: 1}, code="none"
    )
    return here


def page(archive: archiver.Archive, name: str, **more: Any) -> str:
    stream = io.BytesIO()
    archive.report(name, stream, **more)
    return stream.getvalue().decode()


class Checked(HTMLParser):
    """Collects elements, attributes and text; every element that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", ["plain", EVIL, "undated", "odd", "run"])
def test_nothing_of_an_archive_becomes_markup_and_nothing_is_loaded(
    archive: archiver.Archive, name: str
) -> None:
    text = page(archive, archive.runs()[0].id if name == "run" else name)
    found = Checked(text)
    assert not {"script", "img", "iframe", "link", "object", "a"} & set(found.elements)
    assert found.elements.count("style") == 1
    names = {key for key, _ in found.attributes}
    assert not {"style", "src", "href"} & names
    assert not any(key.startswith("on") for key in names)
    assert "\u202e" not in text
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    (policy,) = (value for key, value in found.attributes if key == "content" and value and "-src" in value)
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{b64encode(sha256(style.encode()).digest()).decode()}';"
        " base-uri 'none'; form-action 'none'"
    )


def test_a_strategy_has_what_its_data_allows(archive: archiver.Archive) -> None:
    text = Checked(page(archive, "plain")).text
    for part in (
        "Equity",
        "Drawdown",
        "Returns by month",
        "Returns by year",
        "Deepest drawdowns",
        "Rolling figures",
        "By exit reason",
        "By direction",
    ):
        assert part in text
    assert "MAE, median 15.00 %" in text  # 10 % against the long, 20 % against the short
    assert str(archive.luck(archive.runs()[0]))[1:] in text
    assert "fast" in text
    assert "over its whole length 100.00 %" in text
    undated = Checked(page(archive, "undated")).text
    assert "benchmark" not in undated
    assert "saved without dates" in undated
    assert "Returns by month" not in undated


def test_years_and_the_benchmark_are_drawn_to_scale(archive: archiver.Archive) -> None:
    text = page(archive, "plain")
    years = archive.tear_sheet("plain").years
    (drawn,) = re.findall(r'<svg[^>]*aria-label="returns by year".*?</svg>', text)
    bars = re.findall(r'height="([\d.]+)" class="(up|down)"', drawn)
    assert [kind for _, kind in bars] == ["up" if value >= 0 else "down" for value in years.values()]
    heights, made = [float(height) for height, _ in bars], [abs(value) for value in years.values()]
    assert heights == pytest.approx([one / max(made) * max(heights) for one in made], abs=0.1)
    # It doubles what the equity began with: up from there by as much as that is above zero.
    (curves,) = re.findall(r'<svg[^>]*aria-label="equity".*?</svg>', text)
    (other,) = re.findall(r'points="([^"]+)" class="other"', curves)
    (own,) = re.findall(r'points="([^"]+)" class="line"', curves)
    first, last = (tuple(map(float, point.split(","))) for point in (other.split()[0], other.split()[-1]))
    assert (first, last[0]) == (tuple(map(float, own.split()[0].split(","))), 1000.0)
    labels = [
        int(text.replace(",", "")) for text in re.findall(r"<span>([\d,]+)</span>", text.split("equity")[0])
    ]
    scale = 300 / (max(labels) - min(labels))
    assert first[1] - last[1] == pytest.approx(100 * scale, abs=0.1)


def test_a_run_has_its_best_first_and_says_why_there_is_no_code(archive: archiver.Archive) -> None:
    made = archive.runs()[0].id
    text = page(archive, made[:-3])
    rows = re.findall(r"<tr><td>(.*?)</td>", text)
    assert (rows[0], rows[2]) == ("plain", "bare")
    assert "Trials by their Sharpe ratio" in text
    assert str(archive.overfitting(made))[1:] in text
    assert "not captured" in text


def test_the_same_archive_gives_the_same_bytes(archive: archiver.Archive, tmp_path: Path) -> None:
    done = archive.report("plain", tmp_path / "page.html")
    assert (done.about, done.name, done.bytes) == (
        "strategy",
        "plain",
        (tmp_path / "page.html").stat().st_size,
    )
    assert (tmp_path / "page.html").read_text() == page(archive, "plain")


def test_the_command(archive: archiver.Archive, command: Cli, tmp_path: Path) -> None:
    made, url = archive.runs()[0].id, archive.store.url
    target = tmp_path / "page.html"
    code, out, said = command("--url", url, "report", made[:-2], "-o", str(target))
    assert (code, out, f"run {made} -> {target}" in said) == (0, "", True)
    told = json.loads(command("--url", url, "--json", "report", "plain", "--run", made, "-o", str(target))[1])
    assert told == {
        "output": str(target),
        "about": "strategy",
        "name": "plain",
        "bytes": target.stat().st_size,
    }
    for words, status in ((("nobody",), 10), (("bare",), 10), (("plain", "-u", "other"), 10)):
        assert command("--url", url, "report", *words, "-o", str(tmp_path / "not"))[0] == status
    assert not (tmp_path / "not").exists()


def test_show_says_of_a_curve_what_the_report_says(archive: archiver.Archive, command: Cli) -> None:
    sheet, url = archive.tear_sheet("plain"), archive.store.url
    out = command("--url", url, "show", "plain")[1]
    assert f"equity\t{sheet}\n" in out
    assert f"deepest drawdown\t{sheet.drawdowns[0]}\n" in out
    told = json.loads(command("--url", url, "--json", "show", "plain")[1])["tear_sheet"]
    assert (told["sharpe"], told["drawdowns"][0]["depth"]) == (sheet.sharpe, sheet.drawdowns[0].depth)
    assert set(told["years"]) == {str(year) for year in sheet.years}
    text = Checked(page(archive, "plain")).text
    assert f"{100 * (sheet.total or 0):,.2f} %" in text
    assert "return" not in command("--url", url, "show", "odd")[1]  # a curve that reaches zero has no return


def test_texts_are_escaped_and_markup_is_not() -> None:
    assert tag("b", "<i>", tag("i", 1.5), title='"') == '<b title="&quot;">&lt;i&gt;<i>1.500</i></b>'
    assert joined([None, "&", 3]) == "&amp;3"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium")
def test_a_browser_shows_it_without_complaint(archive: archiver.Archive, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    archive.report(EVIL, tmp_path / "s.html")
    archive.report(archive.runs()[0].id, tmp_path / "r.html")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name in ("s", "r"):
            view = browser.new_page(viewport={"width": 390, "height": 800})
            said: list[str] = []
            view.on("console", lambda message, said=said: said.append(message.text))
            view.on("dialog", lambda dialog, said=said: said.append(dialog.message))
            view.on("request", lambda request, said=said: said.append(request.url))
            view.goto(f"file://{tmp_path}/{name}.html")
            assert said == [f"file://{tmp_path}/{name}.html"]
            assert view.evaluate("document.documentElement.scrollWidth") == 390
            assert view.evaluate("getComputedStyle(document.querySelector('section')).borderRadius") == "12px"
        browser.close()
