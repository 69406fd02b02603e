"""The table of the page of runs: headings sort, boxes choose what is compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dash import html

from archiver.web.cards.runs import details_of
from archiver.web.elements import parts
from archiver.web.reading.run_list import PARAMS, Row
from archiver.web.words import format as fmt
from archiver.web.words import links

_TITLES = {
    "saved": "Saved",
    "universe": "Universe",
    "strategies": "Strategies",
    "best": "Best",
    "median": "Median",
    "bytes": "Bytes",
    "tags": "Tags",
}


def table(
    rows: Sequence[Row], params: Sequence[str], sort: str, ticked: Sequence[str], address: Callable[..., str]
) -> Any:
    """Show runs; `address` makes one of this page with another order or other ticks."""
    most = max((row.run.bytes for row in rows), default=0) or 1
    noted = any(row.run.note for row in rows)
    columns = [
        "saved",
        "universe",
        "strategies",
        "best",
        "median",
        *(f"{PARAMS}{name}" for name in params),
        "bytes",
        "tags",
    ]
    heads: list[Any] = [
        html.Span("Compare", className="unseen"),
        *(_head(name, sort, address) for name in columns),
    ]
    heads += ["Detailed", *(["Note"] if noted else [])]
    body = []
    for row in rows:
        run = row.run
        body.append(
            [
                _tick(run.id, ticked, address),
                parts.named(
                    parts.link(fmt.moment(run.created), links.run(run.id), title=run.id),
                    f"{fmt.age(run.created)} · {run.id[-8:]}",
                ),
                parts.link(
                    run.universe, links.href("/runs", universe=run.universe), kind="line", title=run.universe
                ),
                html.Span([fmt.count(run.strategies), parts.badge("open", "accent") if run.open else None]),
                _number(row.best, row.metric),
                fmt.number(row.median),
                *(fmt.number(_plain(row.params.get(name))) for name in params),
                parts.bar(run.bytes / most, fmt.size(run.bytes)),
                parts.tags(run.tags),
                fmt.count(run.detailed) if row.record is None else details_of(row.record),
                *([html.Span(run.note or "", className="muted line", title=run.note)] if noted else []),
            ]
        )
    right = [3, 4, 5, *range(6, 7 + len(params))]
    return html.Div(parts.table(heads, body, right=right, caption="Runs"), className="run-table")


def _head(name: str, sort: str, address: Callable[..., str]) -> Any:
    text = _TITLES.get(name, name.removeprefix(PARAMS))
    mark = " ▼" if sort == name else " ▲" if sort == f"-{name}" else ""
    turned = f"-{name}" if sort == name else name
    title = "Best of the metric that ranked the run" if name == "best" else None
    return parts.link(text + mark, address(sort=turned, start=""), kind="sorts", title=title)


def _tick(run: str, ticked: Sequence[str], address: Callable[..., str]) -> Any:
    on = run in ticked
    rest = [one for one in ticked if one != run] if on else [*ticked, run]
    return html.A(
        html.Span(className="tick"),
        href=address(tick=rest),
        role="checkbox",
        className="ticks",
        **{"aria-checked": str(on).lower(), "aria-label": f"Compare run {fmt.short_run(run)}"},
    )


def _number(value: float | None, metric: str | None) -> Any:
    if value is None or metric is None:
        return fmt.NONE
    return html.Div(
        [fmt.number(value), html.Div(fmt.title(metric), className="line muted small", title=metric)]
    )


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
