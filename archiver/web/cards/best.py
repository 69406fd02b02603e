"""The best strategies: of which rows, each with its run and age."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import html

from archiver.query.selection import Ask, sort_text
from archiver.web.elements import parts
from archiver.web.reading.data import NEWEST
from archiver.web.words import format as fmt
from archiver.web.words import links

if TYPE_CHECKING:
    from archiver.web.reading.site import Site

_BEST = 10
_MOST_METRICS = 3
WAITING = _BEST
"""Lines to hold the place of the card."""


def switch(newest: str) -> Any:
    """Choose which rows are meant: each is an address of the overview."""
    chips = [
        html.A(
            text,
            href=links.href("/", newest=name),
            className="chip on" if name == newest else "chip",
            **({"aria-current": "true"} if name == newest else {}),
        )
        for name, text in NEWEST.items()
    ]
    return html.Nav(chips, className="chips", **{"aria-label": "Which rows count"})


def card(site: Site, newest: str) -> tuple[Any, str]:
    """Return the card of the best of some rows, and how many rows these are."""
    metrics, columns = site.data.headline(newest)
    count = fmt.count(metrics.table.num_rows)
    title = "Best strategies"
    if not columns:
        nothing = parts.empty("Nothing to rank by", "No run has a score to rank by.")
        return parts.card(title, switch(newest), nothing), count
    score = columns[0]
    greatest = site.data.greatest_first(score)
    wanted = ["universe", "strategy_name", "run", *columns]
    rows = site.views.page(metrics, Ask(sort=((score, greatest),)), 0, _BEST, wanted).to_pylist()
    # A column that none of these has tells nothing.
    shown = [name for name in columns if name == score or any(row[name] is not None for row in rows)]
    all_ = parts.link(
        "All strategies →", links.href("/strategies", sort=sort_text([(score, greatest)]), newest=newest)
    )
    table = _table(site, rows, score, shown[1:_MOST_METRICS], is_all=newest == "all")
    return parts.card(title, switch(newest), parts.left_out(metrics.damaged), table, note=all_), count


def _table(site: Site, rows: list[dict[str, Any]], score: str, others: list[str], *, is_all: bool) -> Any:
    numbers = [row[score] for row in rows if isinstance(row[score], int | float)]
    finite = [number for number in numbers if number - number == 0]
    # A bar says how good: what is below zero has none.
    most = max([0, *finite]) or 1
    seen = site.data.seen()
    ages = {run: fmt.age(created) for run, created in seen.created([row["run"] for row in rows]).items()}
    newest = seen.newest
    body = [
        [
            str(at),
            parts.named(
                parts.link(
                    parts.spaced(row["strategy_name"]),
                    links.strategy(row["universe"], row["strategy_name"], row["run"] if is_all else None),
                ),
                f"{row['universe']} · {ages.get(row['run'], fmt.NONE)}",
            ),
            parts.bar((row[score] or 0) / most if row[score] in finite else 0, fmt.number(row[score])),
            *(fmt.number(row[name]) for name in others),
            parts.link(_two_lines(row["run"]), links.run(row["run"]), title=row["run"], kind="when"),
        ]
        for at, row in enumerate(rows, 1)
    ]
    headers = ["#", "Strategy", *(parts.metric_name(name) for name in (score, *others)), "Run"]
    return parts.table(
        headers,
        body,
        right=[0, *range(2, 3 + len(others))],
        caption="The best strategies",
        kinds=["older" if newest.get(row["universe"]) != row["run"] else "" for row in rows],
    )


def _two_lines(run: str) -> str:
    return fmt.short_run(run).replace(" · ", "\n")
