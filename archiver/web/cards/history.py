"""The chart of runs over time: how many were saved, and how the archive grew."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from archiver.format.packs import moment_of
from archiver.web.elements import figures
from archiver.web.words import format as fmt

_MOST_POINTS = 1000
_SIZES = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"), (1, "bytes"))
_UNITS = (
    (timedelta(hours=2), timedelta(minutes=1), "%Y-%m-%d %H:%M"),
    (timedelta(days=4), timedelta(hours=1), "%Y-%m-%d %H:00"),
    (timedelta.max, timedelta(days=1), "%Y-%m-%d"),
)
"""Spans of time up to which bars stand for minutes, hours and days."""


def edges(first: datetime, last: datetime, least: timedelta) -> tuple[datetime, datetime]:
    """Return where an axis begins and ends: runs of one moment would be drawn from edge to edge."""
    around = max(least, (last - first) * 0.04)
    return first - around, last + around


def drawn(created: np.ndarray, brought: np.ndarray) -> figures.Figure:
    """Draw runs a day (an hour or a minute of a short history) and the bytes stored after each.

    created: when each run was made, newest first, in microseconds since 1970; brought: its bytes.
    """
    first, last = moment_of(int(created[-1])), moment_of(int(created[0]))
    unit, shown = next((unit, shown) for most, unit, shown in _UNITS if last - first <= most)
    width = int(unit / timedelta(microseconds=1))
    places, counts = np.unique(created // width, return_counts=True)
    begins = [moment_of(place * width) for place in places.tolist()]
    numbers = counts.tolist()
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
    sizes = np.concatenate([[0], np.cumsum(brought[::-1])])
    scale, unit_name = next(one for one in _SIZES if sizes[-1] >= one[0])
    return figures.figure(
        [bars, _grown(created, sizes, scale, start, end)],
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
    created: np.ndarray, sizes: np.ndarray, scale: int, start: datetime, end: datetime
) -> figures.Figure:
    """Draw steps: from nothing at the left edge to all there is at the right one."""
    step = max(1, len(sizes) // _MOST_POINTS)
    moments = [start, *map(moment_of, created[::-1][step - 1 :: step].tolist())]
    total = int(sizes[-1])
    shown = [
        *zip(moments, sizes[::step].tolist(), strict=True),
        (moment_of(int(created[0])), total),
        (end, total),
    ]
    return figures.line(
        [f"{moment:%Y-%m-%dT%H:%M:%S}" for moment, _ in shown],
        [size / scale for _, size in shown],
        color=figures.COLORS[1],
        yaxis="y2",
        customdata=[fmt.size(size) for _, size in shown],
        hovertemplate="%{customdata} after %{x|%Y-%m-%d %H:%M}<extra></extra>",
    ) | {"line": {"color": figures.COLORS[1], "width": 1.8, "shape": "hv"}}
