"""HTML in which nothing but what is written here is markup: every text that is put in is escaped."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from archiver.base.humanize import cell, printable


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, *inside: Any, **attributes: Any) -> Markup:
    """Return an element: texts and values inside are escaped, markup stays. `_` in an attribute's name is `-`, at its end nothing."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(printable(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{words}>{joined(inside)}</{name}>")


def joined(parts: Iterable[Any]) -> Markup:
    """Return parts one after the other: markup as it is, anything else as escaped text."""
    return Markup(
        "".join(part if isinstance(part, Markup) else _text(part) for part in parts if part is not None)
    )


def _text(value: Any) -> str:
    return html.escape(printable(value) if isinstance(value, str) else cell(value))


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]], kind: str = "") -> Markup:
    """Return a table that scrolls by itself where it is wide; numbers are at the right, those below zero marked."""
    at_right = [_all_numbers([row[at] for row in rows]) for at in range(len(headers))]
    head = tag(
        "tr",
        *(
            tag("th", header, scope="col", class_="n" if right else None)
            for header, right in zip(headers, at_right, strict=True)
        ),
    )
    body = [tag("tr", *map(_cell, row)) for row in rows]
    inner = tag("table", tag("thead", head), tag("tbody", *body), class_=kind or None)
    return tag("div", inner, class_="scroll", tabindex="0")


def _all_numbers(values: Sequence[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(
        (isinstance(value, int | float) and not isinstance(value, bool))
        or (isinstance(value, Markup) and value.startswith('<td class="n'))
        for value in known
    )


def _cell(value: Any) -> Markup:
    if isinstance(value, Markup):
        return value if value.startswith("<td") else tag("td", value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return tag("td", value, class_=("n bad" if value < 0 else "n") if number else None)


def section(title: str, *inside: Any) -> Markup:
    """Return a part of the page under a heading; nothing where nothing is inside."""
    parts = [part for part in inside if part]
    return tag("section", tag("h2", title), *parts) if parts else Markup("")


def facts(pairs: Iterable[tuple[str, Any]]) -> Markup:
    """Return names and values side by side; pairs without a value are left out."""
    return tag(
        "dl",
        *(
            tag("div", tag("dt", name), tag("dd", value))
            for name, value in pairs
            if value is not None and value != ""
        ),
        class_="facts",
    )


def page(title: str, *inside: Any) -> str:
    """Return a whole document: it loads nothing, runs nothing, and sends nothing."""
    digest = b64encode(sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"{tag('title', title)}\n<style>{STYLE}</style>\n</head>\n<body>\n{tag('main', *inside)}\n</body>\n</html>\n"
    )


STYLE = """
:root { --ground: #f5f6f9; --panel: #fff; --text: #161b26; --muted: #566071; --line: #e3e6ec; --accent: #3558d6;
  --soft: #dfe7ff; --good: #07623f; --bad: #b01c3d; --up: 7 130 84; --down: 196 40 76; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ground: #0e1116; --panel: #161b23; --text: #e7ebf3; --muted: #a0abbd;
  --line: #2a3240; --accent: #8aa6ff; --soft: #22305a; --good: #3fcf9a; --bad: #ff7b93; --up: 40 170 120; --down: 220 70 100; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); line-height: 1.5; font-size: 14px;
  font-family: Inter, ui-sans-serif, system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", sans-serif;
  font-variant-numeric: tabular-nums; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 40px; display: grid; gap: 16px; grid-template-columns: minmax(0, 1fr); }
header h1 { margin: 0; font-size: 1.7rem; letter-spacing: -.02em; line-height: 1.25; overflow-wrap: anywhere; }
header p { margin: 4px 0 0; color: var(--muted); overflow-wrap: anywhere; }
section { background: var(--panel); border: 1px solid var(--line); border-radius: 12px; padding: 16px 18px; min-width: 0; }
h2 { margin: 0 0 10px; font-size: 1.05rem; } h3 { margin: 14px 0 6px; font-size: .93rem; color: var(--muted); font-weight: 600; }
p { margin: 6px 0; } .muted, footer { color: var(--muted); } footer { font-size: .86rem; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(120px, 1fr)); gap: 10px; }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: 12px; padding: 10px 14px; min-width: 0; }
.card span { display: block; color: var(--muted); font-size: .86rem; } .card b { font-size: 1.22rem; font-weight: 650; white-space: nowrap; }
.bad { color: var(--bad); } .good { color: var(--good); }
.scroll { overflow-x: auto; } .scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { padding: 5px 8px; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--muted); font-weight: 600; } tbody tr:last-child td { border-bottom: 0; }
td.n, th.n { text-align: right; } .two th, .two td { padding: 5px 6px; }
table.months td, table.months th { text-align: right; padding: 5px 7px; } table.months td:first-child, table.months th:first-child { text-align: left; }
.u1 { background: rgb(var(--up) / 10%); } .u2 { background: rgb(var(--up) / 22%); } .u3 { background: rgb(var(--up) / 36%); }
.d1 { background: rgb(var(--down) / 10%); } .d2 { background: rgb(var(--down) / 22%); } .d3 { background: rgb(var(--down) / 36%); }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 4px 24px; margin: 0; }
.facts div { display: flex; justify-content: space-between; gap: 12px; border-bottom: 1px solid var(--line); padding: 3px 0; min-width: 0; }
.facts dt { color: var(--muted); overflow-wrap: anywhere; } .facts dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
.plot { display: grid; grid-template-columns: auto minmax(0, 1fr); column-gap: 8px; }
.plot .y { display: flex; flex-direction: column; justify-content: space-between; text-align: right; color: var(--muted); font-size: .82rem; line-height: 0; }
.plot .x { grid-column: 2; min-height: 1.2em; display: flex; justify-content: space-between; color: var(--muted); font-size: .82rem; padding-top: 4px; }
.plot svg { width: 100%; height: 240px; display: block; overflow: visible; } .plot.low svg { height: 130px; }
svg * { vector-effect: non-scaling-stroke; } .grid { stroke: var(--line); stroke-width: 1; } .zero { stroke: var(--muted); stroke-width: 1; }
.line { fill: none; stroke: var(--accent); stroke-width: 1.6; stroke-linejoin: round; } .area { fill: var(--soft); stroke: none; }
.fall { fill: rgb(var(--down) / 24%); stroke: var(--bad); stroke-width: 1; } .bar { fill: var(--accent); fill-opacity: .62; }
.mark { stroke: var(--good); stroke-width: 2; } .expected { stroke: var(--bad); stroke-width: 2; stroke-dasharray: 5 4; }
.up { fill: rgb(var(--up) / 78%); } .down { fill: rgb(var(--down) / 78%); } .other { fill: none; stroke: var(--muted); stroke-width: 1.2; stroke-linejoin: round; }
.plot .x.even span { flex: 1 1 0; text-align: center; }
.dot { stroke: var(--good); stroke-width: 5; stroke-linecap: round; } .dot.lost { stroke: var(--bad); }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 4px 28px; } .two > * { min-width: 0; }
.long { font-size: 1.05rem; margin: 0 0 10px; }
@media (max-width: 560px) { main { padding: 18px 12px; } section { padding: 14px 12px; } .plot .x:not(.even) :nth-child(even) { display: none; } .plot svg { height: 190px; } }
@media print { body { background: #fff; } section, .card { break-inside: avoid; } }
"""
