"""`archiver code RUN`: the captured code of a run."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archiver.base.humanize import counted
from archiver.cli import complete
from archiver.cli.call import Call
from archiver.cli.output import data_out

if TYPE_CHECKING:
    from archiver.runs.snapshot import Snapshot


def code(
    ctx: typer.Context,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Run id, or its beginning.", autocompletion=complete.runs)
    ],
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="Print this captured file.")] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Restore all files into a new or empty folder.")
    ] = None,
    diff: Annotated[
        str | None,
        typer.Option(
            "--diff", metavar="RUN2", help="What changed from RUN to RUN2.", autocompletion=complete.runs
        ),
    ] = None,
    env: Annotated[
        bool, typer.Option("--env", help="The installed packages, as lines for `pip install -r`.")
    ] = False,
) -> None:
    """Show the code that a run was made with: its files, where they come from, and what was left out.

    --diff compares files, parameters, packages and provenance of two runs.
    """
    from archiver.errors import ConfigError

    call = Call.of(ctx)
    if sum((file is not None, to is not None, diff is not None, env)) > 1:
        raise ConfigError("give one of FILE, --to, --diff and --env")
    archive = call.archive()
    run = archive.run(run).id
    snapshot = archive.code(run)
    if file is not None:
        _print_file(call, snapshot, file)
    elif to is not None:
        _restore(call, snapshot, to)
    elif diff is not None:
        text = snapshot.diff(archive.code(archive.run(diff).id))
        _print_text(call, "diff", text, "diff")
        if not text:
            call.say("nothing differs")
    elif env:
        _print_text(call, "requirements", snapshot.requirements(), "text")
    else:
        _show(call, run, snapshot)


def _show(call: Call, run: str, snapshot: Snapshot) -> None:
    from archiver.base.humanize import size
    from archiver.cli.output import print_pairs, print_table

    facts = {"how": snapshot.how, "reason": snapshot.reason, **snapshot.provenance}
    if call.json:
        files = [dataclasses.asdict(file) for file in snapshot.files]
        call.print_json({"run": run, **facts, "warnings": snapshot.warnings, "files": files})
        return
    git = facts.pop("git", None)
    if isinstance(git, dict):
        state = {True: f", and changes: archiver code {run} diff", None: ", state not known"}.get(
            git.get("dirty"), ""
        )
        facts["git"] = f"{git.get('commit') or 'no commit'} ({git.get('branch') or 'detached'}){state}"
    facts["argv"] = " ".join(facts.get("argv") or ()) or None
    print_pairs((name, value) for name, value in facts.items() if value is not None)
    for warning in snapshot.warnings:
        call.say(f"warning: {warning}")
    if snapshot.files:
        rows = [[file.path + "*" * file.executable, size(file.size), file.sha256] for file in snapshot.files]
        print_table(["file", "size", "sha256"], rows, right=["size"])


def _print_file(call: Call, snapshot: Snapshot, name: str) -> None:
    data = snapshot.read(name)
    if call.json or sys.stdout.isatty():
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = None
        if call.json:
            call.print_json({"path": name, "size": len(data), "text": text})
        elif text is None:
            call.say(f"{name} is no text: redirect the output to a file to have its bytes")
        else:
            _highlight(text, _language(name, text))
        return
    data_out().write(data)


def _restore(call: Call, snapshot: Snapshot, folder: Path) -> None:
    written = snapshot.restore(folder)
    if call.json:
        call.print_json({"restored": [str(path) for path in written]})
        return
    for path in written:
        call.print(str(path))
    call.say(f"{counted(len(written), 'file')} restored into {folder}")


def _print_text(call: Call, key: str, text: str, language: str) -> None:
    if call.json:
        call.print_json({key: text})
    elif sys.stdout.isatty() and text:
        _highlight(text, language)
    else:
        data_out().write(text.encode(errors="surrogateescape"))


def _language(name: str, text: str) -> str:
    from rich.syntax import Syntax

    return "json" if name.endswith(".ipynb") else Syntax.guess_lexer(name, code=text)


def _highlight(text: str, language: str) -> None:
    from rich.syntax import Syntax

    from archiver.cli.output import console, lines_of

    syntax: Any = Syntax(
        lines_of(text), language, theme="ansi_dark", background_color="default", word_wrap=True
    )
    console().print(syntax)
