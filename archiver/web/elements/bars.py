"""The bars around one trade as a figure, with its entry and exit."""

from __future__ import annotations

from typing import Any

from archiver.analysis.moments import when
from archiver.web.elements import figures
from archiver.web.words import format as fmt

_TICKS = 4
"""So many that their texts stand side by side on a phone."""
COLORS = {"entry": figures.ACCENT, "exit": figures.COLORS[1]}


def trade_figure(bars: dict[str, list[Any]], row: dict[str, Any]) -> figures.Figure:
    """Draw bars, by the names of `cut_around`, and where the trade was entered and left."""
    clock = _clock(bars)
    traces = [_candles(bars, clock)]
    shapes: list[figures.Figure] = []
    labels: list[figures.Figure] = []
    places = {side: _place(clock, row.get(f"{side}_time")) for side in ("entry", "exit")}
    for side, place in places.items():
        if place is None:
            continue
        price = row.get(f"{side}_price")
        at = price if isinstance(price, int | float) else bars["close"][place]
        traces.append(_marker(side, place, at, is_up=_is_long(row) == (side == "entry")))
        shapes.append(_line(side, place))
        labels.append(_label(side, place))
    if places["entry"] is not None and places["exit"] is not None:
        shapes.append(
            {
                "type": "rect", "xref": "x", "yref": "paper", "x0": places["entry"], "x1": places["exit"],
                "y0": 0, "y1": 1, "fillcolor": "rgba(79,124,255,0.10)", "line": {"width": 0}, "layer": "below",
            }
        )  # fmt: skip
    ticks = _ticks(clock)
    return figures.figure(
        traces,
        y="Price",
        shapes=shapes,
        annotations=labels,
        margin={"l": 8, "r": 34, "t": 26, "b": 8, "pad": 0},
        xaxis={
            "rangeslider": {"visible": False},
            "showgrid": False,
            "tickangle": 0,
            "tickvals": list(ticks),
            "ticktext": list(ticks.values()),
        },
    )


def _clock(bars: dict[str, list[Any]]) -> list[Any]:
    count = len(bars["close"])
    times = bars.get("time", [])
    return times if len(times) == count else list(range(count))


def _candles(bars: dict[str, list[Any]], clock: list[Any]) -> figures.Figure:
    at = list(range(len(clock)))
    times = [_said(value) for value in clock]
    names = ("open", "high", "low", "close")
    if any(len(bars.get(name, [])) != len(clock) for name in names):
        return figures.line(at, bars["close"], text=times, hovertemplate="%{text}<br>%{y}<extra></extra>")
    texts = [
        "<br>".join([time, *(f"{name} {fmt.shown('price', bars[name][place])}" for name in names)])
        for place, time in enumerate(times)
    ]
    return {
        "type": "candlestick",
        "x": at,
        **{name: bars[name] for name in names},
        "text": texts,
        "hoverinfo": "text",
        "increasing": {"line": {"color": figures.GOOD, "width": 1}, "fillcolor": figures.GOOD},
        "decreasing": {"line": {"color": figures.BAD, "width": 1}, "fillcolor": figures.BAD},
        "name": "",
    }


def _marker(side: str, place: int, price: Any, *, is_up: bool) -> figures.Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [place],
        "y": [price],
        "marker": {
            "symbol": "triangle-up" if is_up else "triangle-down",
            "size": 13,
            "color": COLORS[side],
            "line": {"width": 1.5, "color": "#ffffff"},
        },
        "hovertemplate": f"{side.title()} {fmt.shown('price', price)}<extra></extra>",
    }


def _line(side: str, place: int) -> figures.Figure:
    return {
        "type": "line", "xref": "x", "yref": "paper", "x0": place, "x1": place, "y0": 0, "y1": 1,
        "line": {"color": COLORS[side], "width": 1, "dash": "dot"}, "layer": "below",
    }  # fmt: skip


def _label(side: str, place: int) -> figures.Figure:
    """Name a side above the bars, where it hides none; entry and exit lean apart, so that they never meet."""
    return {
        "xref": "x", "yref": "paper", "x": place, "y": 1, "text": side.title(), "showarrow": False,
        "yanchor": "bottom", "xanchor": "right" if side == "entry" else "left", "font": {"size": 12},
    }  # fmt: skip


def _is_long(row: dict[str, Any]) -> bool:
    return str(row.get("direction", "")).lower() in ("long", "buy", "1")


def _said(value: Any) -> str:
    moment = when(value)
    return fmt.shortened(f"{moment:%Y-%m-%d %H:%M:%S}") if moment else str(value)[:40]


def _ticks(clock: list[Any]) -> dict[int, str]:
    """Choose bars to name and their texts: time, below it the day, below it the year; whole days have no time.

    What stands below is said again only once it changes.
    """
    count = len(clock)
    step = max(1, -(-count // _TICKS))
    chosen = range(min(step // 2, max(0, count - 1)), count, step)
    is_daily = all(len(_said(value)) == len("2025-01-31") for value in clock)
    texts: dict[int, str] = {}
    before = ["", ""]
    for at in chosen:
        moment = when(clock[at])
        if moment is None:
            texts[at] = str(clock[at])[:16]
            continue
        day, year = f"{moment:%m-%d}", f"{moment:%Y}"
        lines = [day] if is_daily else [f"{moment:%H:%M}"]
        if not is_daily and [year, day] != before:
            lines.append(day)
        if year != before[0]:
            lines.append(year)
        texts[at] = "<br>".join(lines)
        before = [year, day]
    return texts


def _place(clock: list[Any], moment: Any) -> int | None:
    """Return the last bar that begins at or before a moment."""
    wanted = when(moment)
    if wanted is None:
        return clock.index(moment) if moment is not None and moment in clock else None
    moments = [when(value) for value in clock]
    try:
        return max(
            (at for at, value in enumerate(moments) if value is not None and value <= wanted), default=None
        )
    except TypeError:  # one side has a time zone, the other none
        return None
