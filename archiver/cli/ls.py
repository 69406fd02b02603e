"""`archiver ls`: the runs of an archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from archiver.cli import complete
from archiver.cli.call import Call
from archiver.cli.options import Universe

if TYPE_CHECKING:
    from archiver.format.model import Run


def ls(
    ctx: typer.Context,
    universe: Universe = None,
    tag: Annotated[
        str | None, typer.Option("--tag", "-t", help="Only runs with this tag.", autocompletion=complete.tags)
    ] = None,
    archived: Annotated[
        bool, typer.Option("--archived", help="Only runs whose details are in a bundle, and in which.")
    ] = False,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=0, help="At most so many runs.")] = None,
) -> None:
    """List the runs, newest first."""
    from archiver.base.humanize import age, size
    from archiver.cli.output import paged, print_table
    from archiver.format.model import run_document

    call = Call.of(ctx)
    archive = call.archive()
    every = None if tag or archived else limit
    found = archive.runs(universe, tag, limit=every, errors=call.unread)
    runs = [run for run in found if run.archived or not archived]
    if not runs:
        call.require_universe(archive, universe)
    shown = runs if limit is None else runs[:limit]
    # Of a limit that was not reached there are no more.
    total = (
        archive.run_count(universe, call.unread) if every is not None and len(runs) == every else len(runs)
    )
    if call.json:
        call.print_json(
            {"runs": [run_document(run) | ({"bundle": run.archived} if archived else {}) for run in shown]}
        )
        return
    rows = [
        [
            run.id,
            run.universe,
            age(run.created),
            run.strategies,
            _detailed(run),
            size(run.bytes),
            ", ".join(run.tags),
            *([run.archived] if archived else []),
        ]
        for run in shown
    ]
    if rows:
        headers = ["run", "universe", "age", "strategies", "detailed", "size", "tags"]
        headers += ["bundle"] if archived else []
        styles = {"run": "cyan", "universe": "bold", "age": "dim", "size": "green", "tags": "yellow"}
        with paged():
            print_table(
                headers,
                rows,
                right=["age", "strategies", "detailed", "size"],
                styles=styles,
                drop=["tags", "strategies", "detailed"],
                crop="universe",
            )
    if len(shown) < total:
        call.say(f"{total - len(shown)} older runs are not shown: raise --limit")
    elif not runs:
        narrowed = " that match" if universe or tag or archived else ""
        call.say(
            f"no runs{narrowed} in {archive.store.url}" + ("" if narrowed else "; `archiver demo` makes some")
        )


def _detailed(run: Run) -> int | str:
    """Return how many details a run has, or what has become of them."""
    from archiver.runs.details import NONE

    if run.open:
        return f"open, {run.detailed}"
    return run.detailed if run.detailed or run.details == NONE else run.details
