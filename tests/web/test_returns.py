"""What a strategy's trades made, as the page shows it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from archiver.web.cards import returns


def drawn(made: list[float]) -> dict[str, Any]:
    ((_, card),) = returns.cards(pa.table({"pnl_usd": made}))
    found: list[dict[str, Any]] = []

    def walk(part: Any) -> None:
        if getattr(part, "figure", None):
            found.append(part.figure)
        children = getattr(part, "children", None)
        for child in children if isinstance(children, list) else [children]:
            if child is not None and not isinstance(child, str):
                walk(child)

    walk(card)
    return found[0]


def test_outer_bars_that_hold_what_lies_beyond_say_so_and_are_paler():
    figure = drawn([float(value) for value in range(-500, 501)] + [1e6, -1e6, 2e6, -2e6, -3e6, -4e6])
    low, high = figure["layout"]["annotations"]
    assert low["text"].startswith("≤ −4")
    assert high["text"].startswith("≥ 4")
    (bars,) = figure["data"]
    assert bars["marker"]["opacity"][0] == bars["marker"]["opacity"][-1] < bars["marker"]["opacity"][1]
    assert bars["customdata"][0].startswith("≤ −$4")
    assert bars["customdata"][-1].startswith("≥ $4")


def test_bars_that_hold_all_there_is_say_only_their_ends():
    figure = drawn([-3.0, 1.0, 2.0, 9.0])
    assert figure["layout"]["annotations"] == []
    (bars,) = figure["data"]
    assert set(bars["marker"]["opacity"]) == {1.0}
    assert all(" to " in text for text in bars["customdata"])


def test_few_trades_are_counted_in_whole_steps():
    assert drawn([-3.0, 1.0, 2.0, 9.0])["layout"]["yaxis"]["dtick"] == 1
    assert "dtick" not in drawn([float(value % 7) for value in range(500)])["layout"]["yaxis"]


def test_sums_are_short_whatever_their_size():
    short = [returns._short(value) for value in (2.8e13, -2.8e9, 1.5e6, 999.0, -0.5)]
    assert short == ["28.0T", "−2.8B", "1.5M", "999", "−0.50"]
