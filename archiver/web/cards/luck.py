"""How much of the best of a run is luck: all Sharpe ratios, the deflated one, the probability of overfitting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import html

from archiver.analysis.luck import Luck
from archiver.analysis.overfitting import Overfitting
from archiver.analysis.reading import sharpes_of
from archiver.format.model import Record
from archiver.web.cards.columns import heading
from archiver.web.elements import figures, parts
from archiver.web.words import format as fmt
from archiver.web.words import links

if TYPE_CHECKING:
    from archiver.web.reading.site import Site

_BINS = 60


def view(site: Site, record: Record, query: links.Query) -> Any:  # noqa: ARG001 - as all tabs
    """Show what a run's best is worth."""
    luck, over = site.data.archive.luck(record.run), site.data.archive.overfitting(record.run)
    if luck.best is None or luck.expected_best is None or luck.metric is None:
        return parts.empty("Nothing to judge", luck.why_not or "No strategy has a finite Sharpe ratio.")
    beyond = luck.best > luck.expected_best
    figures_ = parts.stats(
        parts.stat("Trials", fmt.count(luck.trials), "strategies with a finite Sharpe ratio"),
        parts.stat("Best", fmt.number(luck.best), luck.strategy),
        parts.stat(
            "Expected without skill",
            fmt.number(luck.expected_best),
            "the best is above it" if beyond else "the best is not above it",
        ),
        parts.stat(
            "Deflated Sharpe ratio",
            _percent(luck.deflated),
            luck.why_not or "chance that its skill is above that",
        ),
        parts.stat(
            "Overfitting",
            _percent(over.probability),
            over.why_not or "chance that the best of one half is below the middle in the other",
        ),
    )
    return [
        figures_,
        html.Div(
            [
                html.Div(parts.card("All trials", _trials(site, record, luck)), className="span-2"),
                html.Div(parts.card("Deflated Sharpe ratio", _deflated(luck))),
                html.Div(parts.card("Probability of backtest overfitting", _ranks(over)), className="span-2"),
                html.Div(parts.card("How that is known", _overfitting(over))),
            ],
            className="grid",
        ),
    ]


def _percent(share: float | None) -> str:
    return fmt.NONE if share is None else f"{100 * share:.1f} %"


def _trials(site: Site, record: Record, luck: Luck) -> Any:
    _, sharpes = sharpes_of(site.data.reader, record)
    low, high = min(sharpes.values()), max(sharpes.values())
    width = (high - low) / _BINS or 1.0
    counts = [0] * _BINS
    for value in sharpes.values():
        counts[min(_BINS - 1, int((value - low) / width))] += 1
    middles = [low + (at + 0.5) * width for at in range(_BINS)]
    most = max(counts)

    def mark(x: float | None, text: str, color: str, height: float) -> figures.Figure:
        return {
            "type": "scatter",
            "mode": "lines+text",
            "x": [x, x],
            "y": [0, most * height],
            "text": ["", text],
            "textposition": "top left",
            "line": {"color": color, "width": 2},
            "hoverinfo": "skip",
        }

    shown = figures.figure(
        [
            figures.bars(middles, counts, hovertemplate="%{y} around %{x:.3~g}<extra></extra>"),
            mark(luck.expected_best, "expected without skill", figures.COLORS[1], 0.98),
            mark(luck.best, "best", figures.GOOD, 0.8),
        ],
        x=heading(luck.metric or ""),
        y="trials",
        bargap=0.04,
        yaxis={"range": [0, most * 1.14]},
    )
    return figures.graph(
        "luck-trials", shown, "All Sharpe ratios, the best and the expected best marked", height=420
    )


def _deflated(luck: Luck) -> Any:
    told: list[tuple[str, Any]] = [
        ("Strategy", luck.strategy),
        ("Variance of trials", fmt.number(luck.variance)),
        ("Returns", fmt.number(luck.observations)),
        ("Sharpe ratio a step", fmt.number(luck.sharpe)),
        ("Skewness", fmt.number(luck.skewness)),
        ("Kurtosis", fmt.number(luck.kurtosis)),
        ("Scale", fmt.number(luck.scale)),
        ("From", luck.scale_from or fmt.NONE),
    ]
    text = (
        "The chance that the best's true Sharpe ratio is above what so many trials give without skill (Bailey, Lopez de Prado"
        " 2014). Trials are taken for independent, returns for serially uncorrelated."
    )
    return html.Div([parts.pairs(told), html.P(text, className="note")])


def _ranks(over: Overfitting) -> Any:
    if over.probability is None:
        return parts.empty("Its curves do not tell", over.why_not)
    middle = (over.strategies + 1) / 2
    x = list(range(1, len(over.ranks) + 1))
    colors = [figures.BAD if at <= middle else figures.GOOD for at in x]
    shown = figures.figure(
        [
            figures.bars(
                x, list(over.ranks), colors, hovertemplate="rank %{x}: %{y:,} halvings<extra></extra>"
            )
        ],
        x="rank in the other half (1 is the worst)",
        y="halvings",
        bargap=0.1,
    )
    return figures.graph("luck-ranks", shown, "Rank in the other half of the best of one half", height=260)


def _overfitting(over: Overfitting) -> Any:
    told: list[tuple[str, Any]] = [
        ("Curves", f"{over.strategies:,} of {over.trials:,} strategies"),
        ("Returns", f"{over.observations:,} in {over.blocks} blocks"),
        ("Halvings", fmt.count(over.combinations)),
        ("Loss", _percent(over.loss)),
        ("Slope", fmt.number(over.slope)),
    ]
    text = (
        "The time is halved in every way that its blocks allow; the best of one half is looked for in the other (CSCV: Bailey,"
        " Borwein, Lopez de Prado, Zhu 2017). Red: not above the middle. Loss: it has a negative Sharpe ratio there. Slope: of its Sharpe"
        " ratio there over the one here; below 1 is decay. Only curves"
        " that were kept count, and these are the best: keep more (top_n) to know more."
    )
    return html.Div([parts.pairs(told), html.P(text, className="note")])
