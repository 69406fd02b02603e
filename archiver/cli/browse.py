"""`archiver browse`: the archive in a terminal."""

from __future__ import annotations

import sys

import typer

from archiver.cli.call import Call


def browse(ctx: typer.Context) -> None:
    """Walk through the archive in this terminal: universes, runs, strategies, curves, trades, space; read-only.

    Keys are shown at the bottom; ? explains them. Needs pip install 'archiver[tui]'.
    """
    import archiver
    from archiver.errors import ConfigError

    call = Call.of(ctx)
    if call.json:
        raise ConfigError("browse has no JSON: use ls, top, tree or show with --json")
    try:
        from archiver.tui import run_app
    except ImportError as error:
        raise ConfigError(
            f"browse needs {(error.name or 'textual').partition('.')[0]}: pip install 'archiver[tui]'"
        ) from None
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError("browse needs a terminal: use ls, top, tree or show where output is piped")
    run_app(archiver.open(call.url, read_only=True))
