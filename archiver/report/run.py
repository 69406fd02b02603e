"""The report on one run, and what both reports say of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archiver.analysis.luck import Luck
from archiver.analysis.moments import Points
from archiver.analysis.overfitting import Overfitting
from archiver.base.humanize import captured, counted, moment, size
from archiver.format.model import Run
from archiver.report import plot
from archiver.report.html import Markup, facts, page, section, table, tag

if TYPE_CHECKING:
    from archiver.runs.snapshot import Snapshot

_MOST_FILES = 40


def run_page(
    run: Run,
    params: Mapping[str, Any] | None,
    best: Sequence[Mapping[str, Any]],
    sharpes: Sequence[float],
    luck: Luck,
    over: Overfitting,
    curves: Sequence[tuple[str, Points]],
    code: Snapshot,
) -> str:
    """Return the page: the run, its best strategies, their curves, the luck in it, its code."""
    drawn = [(name, plot.line(points.values, points.times, f"equity of {name}")) for name, points in curves]
    return page(
        f"{run.universe} - run {run.id}",
        opening(run.universe, run),
        section("Run", _about(run), facts(params.items()) if params else None),
        section(
            "Best strategies",
            table([name.removeprefix("params.") for name in best[0]], [list(row.values()) for row in best])
            if best
            else None,
        ),
        luck_part(luck, sharpes, over),
        section("Equity of the best", _curves(drawn)),
        section("Code", _code(code)),
        closing(),
    )


def opening(title: str, run: Run) -> Markup:
    """Return the head of a page: what it is about, and of which run."""
    tags = f" · {', '.join(run.tags)}" if run.tags else ""
    about = f"{run.universe} · run {run.id} · {moment(run.created)} · {counted(run.strategies, 'strategy', 'strategies')}{tags}"
    return tag("header", tag("h1", title), tag("p", about), tag("p", run.note) if run.note else None)


def closing() -> Markup:
    """Return the foot of a page: how to read its numbers."""
    return tag(
        "footer",
        "Made by archiver from what was saved. Returns are simple ones, the risk-free rate is 0, and what is annualised is"
        " so by the dates of the curve; the formulas and their sources stand in docs/reference/returns.md of archiver. No"
        " investment advice.",
    )


def luck_part(luck: Luck, sharpes: Sequence[float], over: Overfitting | None = None) -> Markup:
    """Return what is said of luck: one line, how the trials are spread, what it was computed from."""
    if luck.best is None or luck.trials < 2:
        return Markup("")
    spread = (
        plot.histogram(sharpes, f"{luck.metric} of all trials", luck.best, luck.expected_best)
        if sharpes
        else None
    )
    legend = (
        "Trials by their Sharpe ratio. Green: the best. Red, dashed: the best to be expected without skill."
    )
    chance = None if luck.deflated is None else f"{100 * luck.deflated:.1f} %"
    inputs = [
        ("trials", luck.trials),
        ("best strategy", luck.strategy),
        (f"its {luck.metric}", luck.best),
        ("best to be expected without skill", luck.expected_best),
        ("deflated Sharpe ratio", chance),
        ("variance of the trials", luck.variance),
        ("returns of the best", luck.observations),
        ("its Sharpe ratio a step", luck.sharpe),
        ("skewness", luck.skewness),
        ("kurtosis", luck.kurtosis),
        ("steps a year", luck.per_year),
        ("metric divided by", luck.scale),
    ]
    notes = [
        (
            "The deflated Sharpe ratio is the probability that the true Sharpe ratio of the best is above what so many trials"
            " give without skill (Bailey and Lopez de Prado 2014). The trials are taken for independent: of trials that resemble"
            " each other less of the best is luck than this says."
        ),
        luck.scale_from and f"Units: {luck.scale_from}.",
        over and over.probability is not None and _overfitting(over),
        luck.why_not and f"No deflated Sharpe ratio: {luck.why_not}.",
    ]
    return section(
        "How much of the best is luck",
        tag("p", f"{str(luck)[:1].upper()}{str(luck)[1:]}.", class_="long"),
        spread,
        spread and tag("p", legend, class_="muted"),
        facts(inputs),
        *(tag("p", note, class_="muted") for note in notes if note),
    )


def _overfitting(over: Overfitting) -> str:
    said = str(over)
    return (
        f"{said[:1].upper()}{said[1:]}. Its curves are cut into {over.blocks} blocks of time; the best of each half of them is"
        " looked for in the other, and is below the middle there so often (CSCV, Bailey, Borwein, Lopez de Prado and Zhu 2017)."
    )


def _about(run: Run) -> Markup:
    return facts(
        [
            ("strategies", run.strategies),
            ("details", run.details or None),
            ("ranked by", run.rank_by),
            ("size", size(run.bytes)),
        ]
    )


def _curves(drawn: Sequence[tuple[str, Markup]]) -> Markup | None:
    parts = [tag("div", tag("h3", name), picture) for name, picture in drawn if picture]
    return tag("div", *parts, class_="two") if parts else None


def _code(code: Snapshot) -> Markup | None:
    git = code.provenance.get("git")
    known = git if isinstance(git, dict) else {}
    changed = {True: "yes", False: "no"}.get(known.get("dirty"))  # type: ignore[arg-type]  # what is neither is not known
    said = facts(
        [
            ("captured", captured(code.how)),
            ("why not", code.reason),
            ("git commit", known.get("commit")),
            ("uncommitted changes", changed),
            ("Python", code.provenance.get("python")),
            ("files", len(code.files) or None),
        ]
    )
    files = [[file.path, size(file.size), file.sha256[:16]] for file in code.files[:_MOST_FILES]]
    return tag("div", said, table(["file", "size", "sha256"], files) if files else None)
