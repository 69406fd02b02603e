"""Options that several commands have: one wording, one short name, one completion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from archiver.cli import complete


def universe_option(text: str) -> Any:
    """Return the option that takes a universe; text: its help."""
    return typer.Option("--universe", "-u", help=text, autocompletion=complete.universes)


def run_option(text: str) -> Any:
    """Return the option that takes a run or the beginning of its id; text: its help."""
    return typer.Option("--run", "-r", help=f"{text} (or its beginning).", autocompletion=complete.runs)


Universe = Annotated[str | None, universe_option("Only this universe.")]
Run = Annotated[str | None, run_option("Only this run")]
ItsUniverse = Annotated[str | None, universe_option("The strategy's universe.")]
ItsRun = Annotated[str | None, run_option("The strategy's run")]
Where = Annotated[
    str | None,
    typer.Option(
        "--where", "-w", metavar="EXPR", help="Filter, as in 'sharpe_ratio > 1 and n_trades >= 30'."
    ),
]
By = Annotated[
    str | None,
    typer.Option(
        "--by",
        "-b",
        metavar="[-]METRIC",
        help="Greatest is best; `-METRIC`: least is. Default: what the newest run was ranked by.",
    ),
]
Sort = Annotated[
    str | None,
    typer.Option(
        "--sort",
        "-s",
        metavar="[-]COLUMN,...",
        help="Greatest first; `-COLUMN`: least first. Several, separated by commas, sort ties.",
    ),
]
Most = Annotated[int, typer.Option("--limit", "-n", min=0, help="So many strategies.")]
Newest = Annotated[
    str,
    typer.Option(
        "--newest",
        metavar="WHOSE",
        help="strategy: each strategy's row is of the newest run that has it; "
        "universe: only rows of the newest run of each universe.",
    ),
]
History = Annotated[
    bool, typer.Option("--history", help="The rows of every run, not only of the newest ones.")
]
Format = Annotated[
    str | None, typer.Option("--format", "-f", metavar="FORMAT", help="table, csv, json, jsonl or parquet.")
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Write here; its suffix is the format; csv without one."
    ),
]
SafeCsv = Annotated[
    bool,
    typer.Option(
        "--safe-csv",
        help="In csv, put a ' before text that a spreadsheet would take for a formula: it begins with = + - @, a tab or "
        "a line break.",
    ),
]
