"""Compare: two to ten strategies or runs side by side: curves, differing metrics, code."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dash import ClientsideFunction, dcc, html
from dash.dependencies import Input, Output, State

from archiver.base.humanize import NOT_DRAWN
from archiver.errors import ArchiverError, ConfigError, IntegrityError, NotFoundError, NotKeptError
from archiver.format.model import Record
from archiver.format.packs import moment_of
from archiver.query.selection import Ask
from archiver.runs.all_runs import has_text
from archiver.runs.details import state_of
from archiver.web.cards import compared_runs, overlay
from archiver.web.elements import code, figures, parts
from archiver.web.elements.parts import Page
from archiver.web.reading.curves import Curve
from archiver.web.reading.data import Metrics
from archiver.web.reading.detail import flat
from archiver.web.words import best, links
from archiver.web.words import format as fmt

if TYPE_CHECKING:
    from archiver.web.reading.site import Site

PATH = "/compare"
MOST = 10
_OPTIONS = 30
_ENDS = (" · greatest", " · least")
"""What follows a metric's name where runs are compared by the range of its values."""
_NOISE = 1e-12
"""Numbers that differ by less, relative to their size, come from the same sum in another order."""


class Side:
    """One side of a comparison: its label, where it leads, its metrics, and its curve where one was kept."""

    color = figures.COLORS[0]

    def __init__(
        self, label: str, note: str, address: str, record: Record, metrics: dict[str, Any], equity: Curve
    ) -> None:
        """Take what is shown of it."""
        self.label, self.note, self.address = label, note, address
        self.record, self.metrics, self.equity = record, metrics, equity


def page(site: Site, query: links.Query) -> Page:
    """Show the strategies or runs that the URL names."""
    texts, runs = query.get("strategy", []), query.get("run", [])
    if texts and runs:
        raise ConfigError("compare strategies or runs, not both at once")
    if len(texts) > MOST or len(runs) > MOST:
        raise ConfigError(f"compare at most {MOST} at once")
    everything = links.first(query, "all") == "1"
    chosen = [("run", run) for run in dict.fromkeys(runs)] or [
        ("strategy", text) for text in dict.fromkeys(texts)
    ]
    read = [_side(site, at, *one) for at, one in enumerate(chosen)]
    sides = [side for side in read if isinstance(side, Side)]
    wrong = [
        (_name(*one), side) for one, side in zip(chosen, read, strict=True) if not isinstance(side, Side)
    ]
    if wrong and not sides:
        raise wrong[0][1]
    content = [
        parts.heading(
            "Compare",
            fmt.counted(len(chosen), "run" if runs else "strategy", "runs" if runs else "strategies"),
            actions=[parts.button("Portfolio", links.href("/portfolio", strategy=texts))]
            if len(texts) > 1
            else [],
        ),
        _chosen(read, chosen),
        _adder(bool(runs), chosen),
        *(parts.failed(error, f"{name} is left out; the others are shown.") for name, error in wrong),
    ]
    if len(sides) < 2:
        text = "Tick rows in Strategies and press Compare, or search for one above."
        content.append(parts.empty("Choose at least two" if not sides else "Choose one more", text))
        return Page("Compare", content)
    if runs:
        content.append(
            compared_runs.cards(site, [side.record for side in sides], [side.color for side in sides])
        )
    content.append(_curves(sides, chosen, everything, links.first(query, "scale")))
    content.append(_metrics(sides, chosen, everything, links.first(query, "scale")))
    content.append(html.Div(_code(site, sides), id="code-diff"))
    return Page("Compare", content)


def connect(app: Any, site: Site) -> None:
    """Search for what could be added."""
    app.callback(
        Output("compare-add", "options"),
        Input("compare-add", "search_value"),
        State("compare-kind", "data"),
    )(lambda text, kind: _options(site, text or "", kind))
    app.clientside_callback(
        ClientsideFunction("compare", "add"),
        Output("compare-kind", "className"),
        Input("compare-add", "value"),
        State("compare-kind", "data"),
        prevent_initial_call=True,
    )


def _side(site: Site, at: int, kind: str, text: str) -> Side | ArchiverError:
    """Read one side, or return why it cannot be: the others are shown all the same."""
    try:
        side = _run_side(site, text) if kind == "run" else _strategy_side(site, links.read_choice(text))
    except (IntegrityError, NotFoundError) as error:
        return error
    side.color = figures.COLORS[at % len(figures.COLORS)]
    return side


def _name(kind: str, text: str) -> str:
    return fmt.short_run(text) if kind == "run" else links.read_choice(text).strategy


def _strategy_side(site: Site, choice: links.Choice) -> Side:
    address = links.strategy(*choice)
    try:
        found = site.details.find(choice.strategy, choice.universe, choice.run or None)
        note = f"{found.record.universe} · {fmt.short_run(found.record.run)}"
        if found.equity.unread:
            note += f" · equity {NOT_DRAWN}"
        return Side(choice.strategy, note, address, found.record, flat(found.metrics), found.equity)
    except (NotKeptError, IntegrityError) as error:
        row = site.data.row(choice.universe, choice.strategy, choice.run)
        if row is None:
            raise
        lacks = f"details: {state_of(row[0]).words}" if row[0].details else "no detail kept"
        why = lacks if isinstance(error, NotKeptError) else "its detail is damaged"
        return Side(choice.strategy, f"{choice.universe} · {why}", address, *row, Curve())


def _run_side(site: Site, run: str) -> Side:
    record, shown = site.data.run(run)
    metrics: dict[str, Any] = {
        "strategies": record.strategies,
        "detailed": shown.detailed,
        "bytes": shown.bytes,
        **{
            name + end: value
            for name, span in record.metrics.items()
            for end, value in zip(_ENDS, reversed(span), strict=True)
        },
    }
    return Side(fmt.short_run(run), record.universe, links.run(run), record, metrics, Curve())


def _address(chosen: list[tuple[str, str]], *, everything: bool = False, scale: str = "") -> str:
    kind = chosen[0][0] if chosen else "strategy"
    return links.href(
        "/compare", **{kind: [text for _, text in chosen]}, all="1" if everything else "", scale=scale
    )


def _chosen(read: list[Side | ArchiverError], chosen: list[tuple[str, str]]) -> Any:
    items = []
    for one, side in zip(chosen, read, strict=True):
        rest, name = [other for other in chosen if other != one], _name(*one)
        if isinstance(side, Side):
            shown = [
                html.Span(className="dot", style={"background": side.color}),
                parts.named(parts.link(parts.spaced(name), side.address), side.note),
            ]
        else:
            why = "damaged" if isinstance(side, IntegrityError) else "not there"
            shown = [parts.named(name, f"{why}, left out")]
        remove = html.A(
            "×", href=_address(rest), className="remove", title="Remove", **{"aria-label": f"Remove {name}"}
        )
        items.append(html.Li([*shown, remove], className="side-item"))
    return html.Ul(items, className="sides") if items else None


def _adder(runs: bool, chosen: list[tuple[str, str]]) -> Any:
    kind = "run" if runs else "strategy"
    if len(chosen) >= MOST:
        return None
    return html.Div(
        [
            html.Label(f"Add a {kind}", className="label", htmlFor="compare-add"),
            dcc.Dropdown(
                [], None, id="compare-add", placeholder="Type part of a name", searchable=True, maxHeight=360
            ),
            dcc.Store(id="compare-kind", data=kind),
        ],
        className="field grow adder",
    )


def _options(site: Site, text: str, kind: str) -> list[dict[str, str]]:
    try:
        if kind == "run":
            table = site.data.seen().table
            rows = table.filter(has_text(table, text, ("run", "universe"))).slice(0, _OPTIONS).to_pylist()
            return [
                {
                    "label": f"{row['universe']} · {fmt.moment(moment_of(row['created']))}",
                    "value": row["run"],
                }
                for row in rows
            ]
        metrics: Metrics = site.data.metrics()
        score = site.data.score(metrics.table.column_names)
        ask = Ask(search=text, sort=((score, site.data.greatest_first(score)),) if score else ())
        rows = site.views.page(metrics, ask, 0, _OPTIONS, ["universe", "strategy_name"]).to_pylist()
    except ArchiverError:
        return []
    return [
        {
            "label": f"{row['strategy_name']} · {row['universe']}",
            "value": links.choice_text(links.Choice(row["universe"], row["strategy_name"])),
            "search": f"{text} {row['strategy_name']}",
        }
        for row in rows
    ]


def _curves(sides: list[Side], chosen: list[tuple[str, str]], everything: bool, scale: str) -> Any:
    """Draw the curves; scale: `percent` (also if empty) or `value`, with `-log` behind it on a log scale."""
    unit, log = scale.removesuffix("-log") or "percent", scale.endswith("-log")
    percent, end = unit == "percent", "-log" if log else ""
    lines = [overlay.Line(side.label, side.color, side.equity) for side in sides]

    def to(scale: str, text: str) -> Any:
        return parts.link(text, _address(chosen, everything=everything, scale=scale))

    toggles = [
        to(f"value{end}" if percent else f"percent{end}", "Show values" if percent else "Show percent")
    ]
    if overlay.can_log(lines):
        toggles.append(to(unit if log else f"{unit}-log", "Linear scale" if log else "Log scale"))
    toggle = html.Span(toggles, className="toggles")
    return overlay.card(lines, percent=percent, log=log, toggle=toggle)


def _metrics(sides: list[Side], chosen: list[tuple[str, str]], everything: bool, scale: str) -> Any:
    names = list(dict.fromkeys(name for side in sides for name in side.metrics))
    differing = [name for name in names if _differs([side.metrics.get(name) for side in sides])]
    rows = []
    for name in (names if everything else differing)[:400]:
        first = sides[0].metrics.get(name)
        cells: list[Any] = [_label(name)]
        marked = best.places(_parted(name)[0], [side.metrics.get(name) for side in sides])
        for at, side in enumerate(sides):
            value = side.metrics.get(name)
            delta = _difference(name, first, value) if at else ""
            cells.append(
                html.Div(
                    [
                        html.Div(parts.marked(_shown(name, value), best=at in marked)),
                        html.Div(delta, className="delta") if delta else None,
                    ]
                )
            )
        rows.append(cells)
    head = ["Metric"] + [
        html.Span(
            [
                html.Span(className="dot", style={"background": side.color}),
                html.Span(parts.spaced(side.label), className="side-name"),
            ],
            className="side-head",
            title=side.label,
        )
        for side in sides
    ]
    toggle = parts.link(
        "Show differences only" if everything else f"Show all {len(names)}",
        _address(chosen, everything=not everything, scale=scale),
    )
    title = "Metrics" if everything else "Metrics that differ"
    table = parts.table(head, rows, right=range(1, len(head)), caption=title, dense=True)
    body = html.Div(table, className="first-stays") if rows else parts.empty("No metric differs")
    return parts.card(title, body, note=toggle)


def _parted(name: str) -> tuple[str, str]:
    """Part a metric's own name from which end of its range is meant."""
    for end in _ENDS:
        if name.endswith(end):
            return name.removesuffix(end), end
    return name, ""


def _label(name: str) -> Any:
    own, end = _parted(name)
    return html.Span([parts.metric_name(own, unit=False), html.Span(end, className="muted") if end else None])


def _shown(name: str, value: Any) -> str:
    own, _ = _parted(name)
    if own == "bytes" and isinstance(value, int):
        return fmt.size(value).replace("-", "−")
    return fmt.shown(own, value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(one: Any, other: Any) -> bool:
    if _is_number(one) and _is_number(other) and float in (type(one), type(other)):
        return math.isclose(one, other, rel_tol=_NOISE) or (one != one and other != other)
    return repr(one) == repr(other)


def _differs(values: list[Any]) -> bool:
    return not all(_same(values[0], value) for value in values[1:])


def _difference(name: str, first: Any, value: Any) -> str:
    """Write how far a value is from the first one's: percentages in points, all else in its own unit."""
    if not _is_number(first) or not _is_number(value) or _same(first, value):
        return ""
    delta = value - first
    if delta - delta != 0:
        return ""
    if isinstance(delta, float):
        # The difference of two numbers has no more digits than they have.
        size = max(abs(first), abs(value))
        delta = round(delta, min(300, 11 - math.floor(math.log10(size)))) or delta
    sign = "+" if delta > 0 else ""
    own = fmt.unit(_parted(name)[0])
    text = f"{fmt.number(delta)} pp" if own == "%" else _shown(name, delta)
    return sign + text


def _code(site: Site, sides: list[Side]) -> Any:
    runs = list(dict.fromkeys(side.record.run for side in sides))
    if len(runs) < 2:
        return parts.card(
            "Code", parts.empty("The same run", "All sides come from one run, and so from one code.")
        )
    diff = parts.safely(_one_diff)
    return html.Div([diff(site, runs[0], other) for other in runs[1:]], className="stack")


def _one_diff(site: Site, first: str, other: str) -> Any:
    text = site.data.code(first).diff(site.data.code(other))
    note = html.Span(
        [
            parts.link(fmt.short_run(first), links.run(first, view="code")),
            " → ",
            parts.link(fmt.short_run(other), links.run(other, view="code")),
        ]
    )
    if not text:
        return parts.card(
            "Code",
            parts.empty("No difference", "Both runs have the same code, parameters and packages."),
            note=note,
        )
    return parts.card("Code", code.diff_block(text), note=note)
