"""`archiver du`: what takes the space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from archiver.cli.call import Call

if TYPE_CHECKING:
    from archiver.health.usage import Usage


def du(
    ctx: typer.Context,
    runs: Annotated[bool, typer.Option("--runs", "-r", help="Show each run, the largest first.")] = False,
) -> None:
    """Show what takes the space: by universe, tier, what runs share, trash, orphans and bundles.

    The parts add up to the bytes in the store. What several runs share counts once.
    """
    from archiver.base.humanize import counted, size
    from archiver.cli.output import print_table

    call = Call.of(ctx)
    archive = call.archive()
    usage = archive.du(runs=runs)
    old = archive.old_versions()
    if call.json:
        call.print_json({**_document(usage), "old_versions": None if old is None else old._asdict()})
        return
    rows: list[list[Any]]
    if runs:
        ordered = sorted(usage.runs, key=lambda run: -(run.records + run.tier1 + run.tier2))
        rows = [
            [run.run, run.universe, *map(size, (run.records, run.tier1, run.tier2, run.shared))]
            for run in ordered
        ]
        _table(["run", "universe", "record", "tier 1", "tier 2", "shared"], rows)
    else:
        rows = [
            [name, own.runs, *map(size, (own.records, own.tier1, own.tier2, own.bytes))]
            for name, own in sorted(usage.universes.items(), key=lambda item: -item[1].bytes)
        ]
        _table(["universe", "runs", "records", "tier 1", "tier 2", "own"], rows)
        call.print("")
    parts: list[list[Any]] = [[name, part.objects, size(part.bytes)] for name, part in _ordered(usage)]
    print_table(
        ["part", "objects", "size"],
        [*parts, ["total", usage.total.objects, size(usage.total.bytes)]],
        right=["objects", "size"],
    )
    if old is not None and old.objects:
        call.say(
            f"the bucket keeps {counted(old.objects, 'old version')} beside that, {size(old.bytes)}: no listing shows them"
        )
        call.say_locks(archive)
    if usage.shared_saves:
        call.say(f"sharing bar series between runs saves {size(usage.shared_saves)}")
    for key in usage.unreadable:
        call.say(f"{key} cannot be read, so what it needs counts as orphans: run `archiver verify`")


def _table(headers: list[str], rows: list[list[Any]]) -> None:
    from archiver.cli.output import print_table

    if rows:
        print_table(headers, rows, right=[name for name in headers if name not in ("run", "universe")])


def _ordered(usage: Usage) -> list[tuple[str, Any]]:
    return sorted(usage.parts.items(), key=lambda item: -item[1].bytes)


def _document(usage: Usage) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "universes": {name: {**asdict(own), "bytes": own.bytes} for name, own in usage.universes.items()},
        "runs": [asdict(run) for run in usage.runs],
        "parts": {name: asdict(part) for name, part in _ordered(usage)},
        "total": asdict(usage.total),
        "shared_saves": usage.shared_saves,
        "unreadable": usage.unreadable,
    }
