"""Comparisons: what differs, by how much, in words and units."""

from __future__ import annotations

import json
from typing import Any

import pytest

import archiver
from archiver.base.humanize import size
from archiver.web.pages.compare import _difference, _differs
from archiver.web.words import links
from tests.web.conftest import UNIVERSE, Made, callback


def shown(client: Any, address: str) -> str:
    path, _, query = address.partition("?")
    return json.dumps(callback(client, path, f"?{query}")["page"]["children"], ensure_ascii=False)


@pytest.mark.parametrize(
    ("name", "first", "value", "text"),
    [
        ("score", 0.3, 0.1 + 0.2, ""),
        ("score", 0.1, 0.1 + 0.2, "+0.200"),
        ("score", 1e9 + 0.1, 1e9 + 0.4, "+0.300"),
        ("return_pct", 10.0, 7.5, "−2.500 pp"),
        ("return_pct · greatest", 10.0, 12.5, "+2.500 pp"),
        ("bytes", 1000, 3_500_000, "+3.5 MB"),
        ("bytes", 3_500_000, 1000, "−3.5 MB"),
        ("n_trades", 5, 7, "+2"),
        ("score", 0.0, 1e-300, "+1.00e−300"),
        ("score", float("nan"), 1.0, ""),
        ("score", float("inf"), 1.0, ""),
        ("regime", "calm", "storm", ""),
        ("flag", True, False, ""),
    ],
)
def test_differences_are_read_without_noise(name, first, value, text):
    assert _difference(name, first, value) == text


def test_noise_and_two_nans_are_no_difference():
    assert not _differs([0.3, 0.1 + 0.2, 0.3])
    assert not _differs([float("nan"), float("nan")])
    assert _differs([float("nan"), 1.0])
    assert _differs([1.0, None])
    assert _differs(["a", "b"])


def test_runs_are_compared_in_words_and_units(client, plain: Made):
    text = shown(client, links.href("/compare", run=[run.id for run in plain.runs[:2]], all="1"))
    assert "Sharpe ratio" in text
    assert "sharpe_ratio · " not in text
    bytes_ = [archiver.open(plain.url).run(run.id).bytes for run in plain.runs[:2]]
    assert f'"{size(bytes_[0])}"' in text
    assert f"+{size(bytes_[1] - bytes_[0])}" in text


def test_curves_are_compared_on_a_log_scale(client, plain: Made):
    names = [name for _, name in archiver.open(plain.url).detailed_strategies(UNIVERSE)][:2]
    choices = [links.choice_text(links.Choice(UNIVERSE, name)) for name in names]
    text = shown(client, links.href("/compare", strategy=choices))
    assert "scale=percent-log" in text
    assert "scale=value" in text
    log = shown(client, links.href("/compare", strategy=choices, scale="percent-log"))
    assert '"type": "log"' in log
    assert "first point = 100" in log
    assert "Linear scale" in log
