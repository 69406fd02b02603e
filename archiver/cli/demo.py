"""`archiver demo`: see everything work on real data."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import typer

from archiver.base.humanize import counted
from archiver.cli.call import Call

_COLUMNS = [
    "universe",
    "strategy_name",
    "sharpe_ratio",
    "return_pct",
    "max_drawdown_pct",
    "win_rate_pct",
    "n_trades",
]


def demo(ctx: typer.Context) -> None:
    """Search parameters over real prices, archive the results, read them back, and show what came of it.

    Takes less than a minute. Needs the extra `demo` (backtesting.py with its bundled GOOG and EURUSD prices).
    """
    from archiver import demo as search
    from archiver.base.humanize import size
    from archiver.cli.output import print_table
    from archiver.query.selection import Ask, take

    call = Call.of(ctx)
    total = len(search.jobs())
    archive = call.archive()
    call.say(
        f"{total} backtests of 2 strategies over GOOG (daily, in and out of sample) and EUR/USD (hourly) ->"
        f" {archive.store.url}"
    )
    started = time.perf_counter()
    with call.progress("backtests", total) as step:
        saved = search.run(archive, step=step)
    seconds = time.perf_counter() - started

    best: list[dict[str, Any]] = []
    ask = Ask(sort=(("sharpe_ratio", True),))
    for run in saved.runs:
        table = archive.load_metrics(universe=run.universe, columns=_COLUMNS[2:], run=run.id)
        best += take(table.select(_COLUMNS), ask)[:5].to_pylist()
    trades = sum(len(result["trades"]) for results in saved.results for result in results)
    if call.json:
        runs = [{"id": run.id, "universe": run.universe, "bytes": run.bytes} for run in saved.runs]
        call.print_json(
            {
                "runs": runs,
                "bytes": saved.bytes,
                "json_bytes": saved.json_bytes,
                "backtests": total,
                "best": best,
            }
        )
        return
    print_table(_COLUMNS, [list(row.values()) for row in best], drop=True)
    call.say(
        f"{counted(total, 'backtest')}, {counted(trades, 'trade')} in {seconds:.0f} s; read back: every value is the same"
    )
    call.say(
        f"{size(saved.bytes)} in the archive, code included; {size(saved.json_bytes)} as indented JSON "
        f"({saved.json_bytes / saved.bytes:.0f} times as much)"
    )
    call.say("")
    _next_steps(call, saved.runs[0].id, best[0])


def _next_steps(call: Call, run: str, best: dict[str, Any]) -> None:
    from archiver.cli import COMMANDS

    # Called by its path, as in a fresh clone, it may not be found by its name alone.
    called = Path(sys.argv[0])
    named = shutil.which("archiver") or called.name != "archiver"
    program = "archiver" if named else os.path.relpath(called)
    at = f" --url {call.url}" if call.url else ""
    call.say("Now try:")
    for command, purpose in (
        ("ls", "the runs"),
        (f"show {run}", "one run"),
        ("top --where 'n_trades >= 30'", "the leaderboard"),
        ("params fast slow -u goog_daily", "what the parameters say"),
        ("samples", "what is left out of sample"),
        (f"trades {best['strategy_name']} --universe {best['universe']}", "the trades of the best"),
        (f"code {run}", "the code that made them"),
        ("browse", "all of it in the terminal (extra: tui)"),
        ("serve --open", "all of it on a page (extra: web)"),
    ):
        if command.split()[0] in COMMANDS:
            call.say(f"  {program}{at} {command:<62} # {purpose}")
