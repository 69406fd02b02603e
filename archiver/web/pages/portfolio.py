"""Portfolio: 2 to 50 strategies held together: how alike their days are, their sums against the best alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dash import html

from archiver.analysis.moments import Points
from archiver.analysis.portfolio import MOST, portfolio
from archiver.analysis.reading import equity, held_together
from archiver.base.unread import ONE_OBJECT
from archiver.errors import ConfigError, NotKeptError
from archiver.format.model import Detail, Record
from archiver.web.cards import correlation, held
from archiver.web.elements import parts
from archiver.web.elements.parts import Page
from archiver.web.words import format as fmt
from archiver.web.words import links

if TYPE_CHECKING:
    from archiver.web.reading.site import Site

PATH = "/portfolio"
_TOPS = (2, 5, 10, 20, 50)
_USUAL = 10
_MOST_UNIVERSES = 40


class Asked(NamedTuple):
    """What an address asks for: strategies by name, or the best `top` of a run."""

    chosen: list[links.Choice]
    record: Record | None
    top: int


def page(site: Site, query: links.Query) -> Page:
    """Show the strategies that the URL names, or the best of a run or universe."""
    asked = _asked(site, query)
    log = links.first(query, "scale") == "log"
    found, lacking = _read(site, asked)
    names = _names(found)
    title = "Portfolio" if asked.chosen else "Portfolio of the best"
    head = _heading(site, asked, title, len(found), log=log)
    try:
        if len(found) < 2:
            raise ConfigError(f"a portfolio needs two strategies with details, not {len(found)}")
        made = site.portfolios.get(
            tuple((record.run, record.size, detail.strategy) for record, detail in found),
            lambda: portfolio({name: _curve(site, *one) for name, one in zip(names, found, strict=True)}),
        )
    except ConfigError as error:
        return Page(title, [head, parts.failed(error, _HOW), _left_out(lacking)])
    addresses = {
        name: links.strategy(record.universe, detail.strategy, record.run)
        for name, (record, detail) in zip(names, found, strict=True)
    }
    note = html.P(_HINDSIGHT, className="note")
    content = [
        head,
        _left_out(lacking | made.left_out),
        held.stats(made),
        html.Div(
            [
                html.Div(
                    held.curves(made, log=log, switch=_address(asked, scale="" if log else "log")),
                    className="span-2",
                ),
                held.table(made),
                html.Div(correlation.card(made), className="span-2"),
                html.Div(correlation.alike(made, addresses)),
                html.Div(held.members(made, addresses, note), className="span-3"),
            ],
            className="grid",
        ),
    ]
    return Page(title, content)


_HOW = "Curves with dates are needed: save `equity_curve` as [[time, value], ...], or trades with their times.".replace(
    "`", ""
)
_HINDSIGHT = (
    "All of this is hindsight: the strategies were chosen and weighted by the very days that are shown. What is best of a search"
    " looks better here than it will be; the run's page says how much of it is luck."
)


def connect(app: Any, site: Site) -> None:
    """Nothing on the page moves: its address says all of it."""


def _asked(site: Site, query: links.Query) -> Asked:
    texts = list(dict.fromkeys(query.get("strategy", [])))
    if len(texts) > MOST:
        raise ConfigError(f"a portfolio takes at most {MOST} strategies, not {len(texts)}")
    if texts:
        return Asked([links.read_choice(text) for text in texts], None, len(texts))
    top = links.whole(query, "top", _USUAL)
    if not 2 <= top <= MOST:
        raise ConfigError(f"top must be 2 to {MOST}, not {top}")
    run, universe = links.first(query, "run"), links.first(query, "universe")
    if run:
        return Asked([], site.data.archive.record(run), top)
    site.data.require_universe(universe)
    newest = site.data.seen().newest_with(2, universe or None)
    return Asked([], held_together([newest] if newest else [], top)[0][0], top)


def _read(site: Site, asked: Asked) -> tuple[list[tuple[Record, Detail]], dict[str, str]]:
    """Return where the details of the strategies are, and those that have none with the reason."""
    if asked.record is not None:
        return held_together([asked.record], asked.top), {}
    found, lacking = [], {}
    for choice in asked.chosen:
        if choice.run:
            records = [site.data.archive.record(choice.run)]
        else:
            records = site.data.seen().having(choice.strategy, choice.universe)
        try:
            found.append(site.data.reader.find(records, choice.strategy))
        except NotKeptError:
            lacking[choice.strategy] = "its details were not kept"
    return found, lacking


def _curve(site: Site, record: Record, detail: Detail) -> Points:
    try:
        return equity(site.data.reader, record, detail)
    except (NotKeptError, *ONE_OBJECT):
        return Points()  # said among those that are left out


def _names(found: list[tuple[Record, Detail]]) -> list[str]:
    """Name strategies apart: by their universe or run where they have one name."""
    names = [detail.strategy for _, detail in found]
    for more in (lambda record: record.universe, lambda record: fmt.short_run(record.run)):
        names = [
            f"{name} · {more(record)}" if names.count(name) > 1 else name
            for name, (record, _) in zip(names, found, strict=True)
        ]
    return names


def _address(asked: Asked, top: int | None = None, scale: str = "") -> str:
    if asked.record is None:
        return links.href(PATH, strategy=[links.choice_text(one) for one in asked.chosen], scale=scale)
    return links.href(PATH, run=asked.record.run, top=top or asked.top, scale=scale)


def _heading(site: Site, asked: Asked, title: str, count: int, *, log: bool) -> Any:
    notes: list[Any] = [fmt.counted(count, "strategy", "strategies")]
    actions: list[Any] = []
    over = None
    scale = "log" if log else ""
    if asked.record is not None:
        record = asked.record
        over = parts.link(record.universe, links.href("/strategies", universe=record.universe))
        ranked = f"the best of {record.strategies:,}" + (
            f" by {fmt.title(record.rank_by)}" if record.rank_by else ""
        )
        run = parts.link(["Run ", fmt.short_run(record.run)], links.run(record.run), title=record.run)
        notes += [html.Span(ranked), run]
        there = len(record.details)
        chips = [
            html.A(
                f"Best {min(top, there)}",
                href=_address(asked, top=top, scale=scale),
                className="chip on" if min(top, there) == count else "chip",
                **({"aria-current": "true"} if min(top, there) == count else {}),
            )
            for at, top in enumerate(_TOPS)
            if top <= there or (at and _TOPS[at - 1] < there)
        ]
        actions.append(html.Nav(chips, className="chips", **{"aria-label": "How many"}))
        newest = site.data.seen().newest_detailed(2)
        others = [
            html.A(name, href=links.href(PATH, run=newest[name]), className="menu-item")
            for name in sorted(newest)[:_MOST_UNIVERSES]
            if name != record.universe
        ]
        if others:
            actions.append(parts.menu("Universe", *others))
    elif 2 <= len(asked.chosen) <= 10:
        actions.append(parts.button("Compare", links.compare(asked.chosen)))
    return parts.heading(title, *notes, over=over, actions=actions)


def _left_out(lacking: dict[str, str]) -> Any:
    if not lacking:
        return None
    shown = "; ".join(f"{name}: {why}" for name, why in list(lacking.items())[:5])
    more = f"; and {len(lacking) - 5} more" if len(lacking) > 5 else ""
    return html.P(f"Left out: {shown}{more}.", className="note")
