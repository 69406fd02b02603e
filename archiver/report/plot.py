"""Plots as inline SVG: the drawing stretches with the page, the texts beside it keep their size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from math import ceil, floor, isfinite, log10

from archiver.analysis.moments import Points
from archiver.base.humanize import number
from archiver.report.html import Markup, tag

WIDTH, HEIGHT = 1000, 300
_MOST_POINTS = 1_000
_BINS = 40
_MOST_NAMED = 12
"""So many bars are named; of more every second one, and so on."""


def line(
    values: Sequence[float | None],
    times: Sequence[datetime] | None,
    name: str,
    *,
    kind: str = "line",
    percent: bool = False,
    beside: Points | None = None,
) -> Markup:
    """Draw a curve by its dates, or by its points where it has none.

    kind: `line`, or `fall` for what lies below 0; beside: another curve with the same axis, drawn behind it.
    """
    at = [place for place, value in enumerate(values) if value is not None and isfinite(value)]
    if len(at) < 2:
        return Markup("")
    kept = _thinned([(place, float(values[place] or 0.0)) for place in at])
    where = _places(len(values), times)
    other = _beside(beside, where, times) if beside else []
    reach = [value for _, value in kept] + [value for _, value in other]
    ticks = _ticks(reach + ([0.0] if kind == "fall" else []))
    points = [(where(place), _height(value, ticks)) for place, value in kept]
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    floor_at = _height(min(max(0.0, ticks[0]), ticks[-1]), ticks)
    closed = f"{points[0][0]:.1f},{floor_at:.1f} {drawn} {points[-1][0]:.1f},{floor_at:.1f}"
    marks = [tag("polygon", points=closed, class_="fall" if kind == "fall" else "area")]
    if other:
        marks.append(
            tag(
                "polyline",
                points=" ".join(f"{x:.1f},{_height(value, ticks):.1f}" for x, value in other),
                class_="other",
            )
        )
    marks += [] if kind == "fall" else [tag("polyline", points=drawn, class_="line")]
    labels = _dates(times) if times else ["1", *(f"{len(values) * part // 4:,}" for part in (1, 2, 3, 4))]
    return _framed(marks, ticks, labels, name, percent=percent, low=kind == "fall")


def _beside(
    other: Points, where: Callable[[int], float], times: Sequence[datetime] | None
) -> list[tuple[float, float]]:
    """Return another curve's points, as far as they lie within the axis: places across, and values."""
    kept = _thinned(list(enumerate(other.values)))
    if not times or not other.times:
        return [(where(place), value) for place, value in kept]
    begin, whole = times[0], (times[-1] - times[0]).total_seconds()
    found = [((other.times[place] - begin).total_seconds() / (whole or 1.0) * WIDTH, value) for place, value in kept]  # fmt: skip
    return [(x, value) for x, value in found if 0 <= x <= WIDTH]


def bars(values: Mapping[str, float], name: str) -> Markup:
    """Draw a bar for each name, up or down from zero; values are shares."""
    if not values:
        return Markup("")
    ticks, wide = _ticks([0.0, *values.values()]), WIDTH / len(values)
    zero = _height(0.0, ticks)
    marks = [
        _bar(at * wide + wide * 0.15, wide * 0.7, _height(value, ticks), zero, "up" if value >= 0 else "down")
        for at, value in enumerate(values.values())
    ]
    every = -(-len(values) // _MOST_NAMED)
    labels = [text if at % every == 0 else "" for at, text in enumerate(values)]
    return _framed(marks, ticks, labels, name, percent=True, low=True, even=True)


def _bar(x: float, width: float, end: float, foot: float, kind: str) -> Markup:
    return tag(
        "rect",
        x=f"{x:.1f}",
        width=f"{width:.1f}",
        y=f"{min(foot, end):.1f}",
        height=f"{abs(foot - end):.1f}",
        class_=kind,
    )


def histogram(values: Sequence[float], name: str, best: float, expected: float | None) -> Markup:
    """Draw how values are spread, with a mark at the best and one at what is to be expected."""
    low, high = min(values), max([*values, *([] if expected is None else [expected])])
    if not (isfinite(high - low) and high > low):
        return Markup("")
    counts = [0] * _BINS
    for value in values:
        counts[min(_BINS - 1, int((value - low) / (high - low) * _BINS))] += 1
    ticks, wide = _ticks([0.0, float(max(counts))]), WIDTH / _BINS
    marks = [
        _bar(at * wide + 1, wide - 2, _height(count, ticks), HEIGHT, "bar")
        for at, count in enumerate(counts)
        if count
    ]
    for marked, kind in ((best, "mark"), (expected, "expected")):
        if marked is not None:
            x = f"{(marked - low) / (high - low) * WIDTH:.1f}"
            marks.append(tag("line", x1=x, x2=x, y1=0, y2=HEIGHT, class_=kind))
    labels = [number(low + (high - low) * part / 4) for part in range(5)]
    return _framed(marks, ticks, labels, name)


def scatter(points: Sequence[tuple[float, float, bool]], name: str) -> Markup:
    """Draw points (x, y, won), both shares from 0 on."""
    if not points:
        return Markup("")
    across, ticks = _ticks([0.0, *(x for x, _, _ in points)]), _ticks([0.0, *(y for _, y, _ in points)])
    marks = []
    for x, y, won in points[:_MOST_POINTS]:
        left, top = f"{x / across[-1] * WIDTH:.1f}", f"{_height(y, ticks):.1f}"
        marks.append(tag("line", x1=left, x2=left, y1=top, y2=top, class_="dot" if won else "dot lost"))
    return _framed(marks, ticks, [_percent(across[-1] * part / 4) for part in range(5)], name, percent=True)


def _framed(
    marks: Sequence[Markup],
    ticks: Sequence[float],
    labels: Sequence[str],
    name: str,
    *,
    percent: bool = False,
    low: bool = False,
    even: bool = False,
) -> Markup:
    heights = [(tick, f"{_height(tick, ticks):.1f}") for tick in ticks]
    lines = [
        tag("line", x1=0, x2=WIDTH, y1=y, y2=y, class_="zero" if tick == 0 else "grid") for tick, y in heights
    ]
    drawing = tag(
        "svg",
        *lines,
        *marks,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=name,
    )
    written = [_percent(tick) if percent else _short(tick) for tick in reversed(ticks)]
    beside = tag("div", *(tag("span", text) for text in written), class_="y", aria_hidden="true")
    below = tag(
        "div", *(tag("span", text) for text in labels), class_="x even" if even else "x", aria_hidden="true"
    )
    return tag("div", beside, drawing, below, class_="plot low" if low else "plot")


def _percent(value: float) -> str:
    return f"{100 * value:,.0f} %" if abs(value) >= 1 else f"{100 * value:.3g} %"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e9 else f"{value:.4g}"


def _ticks(values: Sequence[float]) -> list[float]:
    """Return round numbers, evenly apart, around all values."""
    low, high = min(values), max(values)
    reach = high - low
    if not isfinite(reach) or reach <= 1e-12 * max(abs(low), abs(high)):
        pad = abs(low) * 0.1 or 1.0
        low, high, reach = low - pad, low + pad, 2 * pad
    rough = reach / 4
    unit = 10.0 ** floor(log10(rough))
    step = next((unit * size for size in (1, 2, 2.5, 5) if unit * size >= rough), unit * 10)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [round(at * step, 12) for at in range(first, max(last, first + 1) + 1)]


def _height(value: float, ticks: Sequence[float]) -> float:
    return HEIGHT * (ticks[-1] - value) / (ticks[-1] - ticks[0])


def _places(count: int, times: Sequence[datetime] | None) -> Callable[[int], float]:
    if times and times[-1] > times[0]:
        begin, whole = times[0], (times[-1] - times[0]).total_seconds()
        return lambda place: (times[place] - begin).total_seconds() / whole * WIDTH
    return lambda place: place / max(1, count - 1) * WIDTH


def _dates(times: Sequence[datetime]) -> list[str]:
    reach = times[-1] - times[0]
    form = "%Y-%m-%d" if reach.days > 4 else "%m-%d %H:%M"
    return [f"{times[0] + reach * (part / 4):{form}}" for part in range(5)]


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return at most about so many points as can be seen; the least and the greatest of each stretch stay."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    edges = [len(points) * at // (_MOST_POINTS // 2) for at in range(_MOST_POINTS // 2 + 1)]
    kept = {points[0], points[-1]}
    for begin, end in pairwise(edges):
        cut = points[begin:end]
        kept |= {min(cut, key=lambda one: one[1]), max(cut, key=lambda one: one[1])}
    return sorted(kept)
