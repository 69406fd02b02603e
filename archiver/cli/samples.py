"""`archiver samples [INSIDE] [OUTSIDE]`: strategies in sample and out of sample."""

from __future__ import annotations

from typing import Annotated

import typer

from archiver.cli import complete
from archiver.cli.call import Call
from archiver.cli.options import By, Most


def samples(
    ctx: typer.Context,
    inside: Annotated[
        str | None,
        typer.Argument(
            metavar="[INSIDE",
            help="A universe (its newest run) or a run. Default: the newest pair that is declared.",
            autocompletion=complete.universes,
        ),
    ] = None,
    outside: Annotated[
        str | None,
        typer.Argument(
            metavar="[OUTSIDE]]", help="The same, out of sample.", autocompletion=complete.universes
        ),
    ] = None,
    by: By = None,
    limit: Most = 20,
) -> None:
    """Hold strategies in sample against the same ones out of sample: ranks, decay, rank correlation.

    A pair is declared by a tag of the run out of sample, `out-of-sample=NAME` (a universe or a run), or by the names of
    universes: `x_oos` is of `x_is`, else of `x`; `x_out_of_sample` of `x_in_sample`; `x_test` of `x_train`. Decay is the share
    of the value in sample that is lost out of sample.
    """
    from archiver.archive.documents import samples_document
    from archiver.cli.output import print_table

    call = Call.of(ctx)
    found = call.archive().samples(inside, outside, by)
    document = samples_document(found, limit)
    if call.json:
        call.print_json(document)
        return
    print_table(
        found.table.column_names,
        [list(row.values()) for row in document["rows"]],
        drop=True,
        styles={"strategy_name": "bold"},
    )
    call.say(f"{found.metric} of {found}")
