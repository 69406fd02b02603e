"""The chart of runs over time: how many were saved, and how the archive grew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import accumulate

from archiver.format.model import Record
from archiver.web import figures
from archiver.web import format as fmt
from archiver.web.data import growth

_MOST_POINTS = 1000
_SIZES = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"), (1, "bytes"))
_UNITS = (
    (timedelta(hours=2), timedelta(minutes=1), "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"),
    (timedelta(days=4), timedelta(hours=1), "%Y-%m-%dT%H", "%Y-%m-%d %H:00"),
    (timedelta.max, timedelta(days=1), "%Y-%m-%d", "%Y-%m-%d"),
)
"""Spans of time up to which bars stand for minutes, hours and days."""


def edges(first: datetime, last: datetime, least: timedelta) -> tuple[datetime, datetime]:
    """Return where an axis begins and ends: runs of one moment would be drawn from edge to edge."""
    around = max(least, (last - first) * 0.04)
    return first - around, last + around


def drawn(records: Sequence[Record]) -> figures.Figure:
    """Draw runs a day (an hour or a minute of a short history) and the bytes stored after each; newest first."""
    first, last = records[-1].created, records[0].created
    unit, cut, shown = next((unit, cut, shown) for most, unit, cut, shown in _UNITS if last - first <= most)
    count = Counter(record.created.strftime(cut) for record in records)
    begins = [datetime.strptime(text, cut) for text in sorted(count)]  # noqa: DTZ007 - both are UTC
    numbers = [count[text] for text in sorted(count)]
    start, end = edges(first, last, 4 * unit)
    bars = figures.bars(
        [f"{begin + unit / 2:%Y-%m-%dT%H:%M:%S}" for begin in begins],
        numbers,
        "rgba(79,124,255,0.55)",
        width=[unit.total_seconds() * 800] * len(begins),
        hovertext=[
            f"{fmt.counted(number, 'run')} on {begin:{shown}}"
            for begin, number in zip(begins, numbers, strict=True)
        ],
        hoverinfo="text",
    )
    sizes = [0, *accumulate(growth(records)[::-1])]
    scale, unit_name = next(one for one in _SIZES if sizes[-1] >= one[0])
    return figures.figure(
        [bars, _grown(records, sizes, scale, start, end)],
        y="Runs",
        xaxis={
            "range": [f"{start:%Y-%m-%dT%H:%M:%S}", f"{end:%Y-%m-%dT%H:%M:%S}"],
            "type": "date",
            "showgrid": False,
            "nticks": 6,
        },
        yaxis={"rangemode": "tozero", "tickformat": ",d", "nticks": min(5, max(numbers) + 1)},
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "title": {"text": f"{unit_name} stored", "standoff": 8, "font": {"size": 12}},
            "ticklabelstandoff": 6,
            "tickmode": "auto",
            "nticks": 5,
            "showgrid": False,
            "rangemode": "tozero",
            "automargin": True,
            "zeroline": False,
        },
    )


def _grown(
    records: Sequence[Record], sizes: list[int], scale: int, start: datetime, end: datetime
) -> figures.Figure:
    """Draw steps: from nothing at the left edge to all there is at the right one."""
    moments = [start, *(record.created for record in reversed(records))]
    step = max(1, len(sizes) // _MOST_POINTS)
    shown = [
        *zip(moments[::step], sizes[::step], strict=True),
        (records[0].created, sizes[-1]),
        (end, sizes[-1]),
    ]
    return figures.line(
        [f"{moment:%Y-%m-%dT%H:%M:%S}" for moment, _ in shown],
        [size / scale for _, size in shown],
        color=figures.COLORS[1],
        yaxis="y2",
        customdata=[fmt.size(size) for _, size in shown],
        hovertemplate="%{customdata} after %{x|%Y-%m-%d %H:%M}<extra></extra>",
    ) | {"line": {"color": figures.COLORS[1], "width": 1.8, "shape": "hv"}}
