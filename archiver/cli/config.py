"""`archiver config`: every setting, and where it came from."""

from __future__ import annotations

import typer

from archiver.cli.call import Call


def config(ctx: typer.Context) -> None:
    """Show every setting, its value, and where it came from. Secrets are not shown."""
    from archiver.cli.output import print_table
    from archiver.config.settings import load_settings

    call = Call.of(ctx)
    shown = load_settings(url=call.url).shown()
    if call.json:
        rows = [{"name": name, "value": value, "origin": origin} for name, value, origin in shown]
        call.print_json({"settings": rows})
    else:
        print_table(["setting", "value", "from"], shown)
