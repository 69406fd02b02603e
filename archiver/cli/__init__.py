"""The command line `archiver [--url URL] [--json] COMMAND`: stdout is data, stderr is talk."""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from itertools import islice
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from archiver.base.version import __version__
from archiver.cli.call import Call
from archiver.cli.output import put, tell
from archiver.cli.quick import spare_converters
from archiver.errors import ArchiverError

# The commands in the order of `archiver --help`. To add one: write `archiver/cli/<name>.py`, add a line here.
#
# * The target is "module:attribute" below archiver.cli: a function with typer annotations, or, for a command
#   with subcommands (`bundle create`), a `typer.Typer()`. It is imported when the command is used.
# * The function takes `ctx: typer.Context` first; `call = Call.of(ctx)` gives `call.archive()`, `call.json`,
#   `call.say(text)` (stderr), `call.print_json(document)` and `call.progress(...)`; who reads many runs gives
#   `errors=call.unread`, which names what is left out and sets the exit code; tables, sizes, ages and sparklines
#   are in archiver.cli.output, which alone writes to the streams; completions of run ids and names in
#   archiver.cli.complete.
# * Its docstring is its help: one imperative line, then what a user must know. Keep the module's own imports
#   to typer and archiver.cli: everything heavy is imported inside the function, so that `--version`, `--help`
#   and completion stay quick.
# * `--url` and `--json` are taken out of the arguments wherever they stand: declare neither. Raise
#   archiver.errors for what may go wrong: one line and the exit code follow from the class.
#   `raise typer.Exit(IntegrityError.exit_code)` ends with a code and no text.
# * What it does is a method of the archive: a command parses, calls and prints. What it ends with when there is
#   nothing to do stands in NOTHING of docs/generate.py.
# * Then run `python docs/generate.py`, which writes the command into docs/reference/cli.md.
COMMANDS: dict[str, str] = {
    "demo": "demo:demo",
    "config": "config:config",
    "ls": "ls:ls",
    "tree": "tree:tree",
    "show": "show:show",
    "metrics": "metrics:metrics",
    "top": "top:top",
    "params": "params:params",
    "samples": "samples:samples",
    "portfolio": "portfolio:portfolio",
    "trades": "trades:trades",
    "report": "report:report",
    "code": "code:code",
    "finish": "finish:finish",
    "tag": "tag:tag",
    "untag": "tag:untag",
    "prune": "prune:prune",
    "undelete": "undelete:undelete",
    "gc": "gc:gc",
    "verify": "verify:verify",
    "compact": "compact:compact",
    "copy": "copy:copy",
    "bundle": "bundle:bundle",
    "du": "du:du",
    "df": "df:df",
    "browse": "browse:browse",
    "serve": "serve:serve",
    "lifecycle": "lifecycle:lifecycle",
    "doctor": "doctor:doctor",
    "import": "import_:import_",
    "export": "export:export",
    "sql": "sql:sql",
}

_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]  # typer has moved it between packages


class _Commands(Mapping[str, Any]):
    """The registry as the mapping that typer asks for a command: names are known, modules load on use."""

    def __getitem__(self, name: str) -> Any:
        module, attribute = COMMANDS[name].split(":")
        target = getattr(import_module(f"archiver.cli.{module}"), attribute)
        if not isinstance(target, typer.Typer):
            function, target = target, typer.Typer()
            target.command(name)(function)
        target._add_completion = False
        # Docstrings are read as Markdown: rich's own markup would swallow `[web]` in `archiver[web]`.
        target.rich_markup_mode = "markdown"
        command = get_command(target)
        command.name = name
        spare_converters(command)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Root(TyperGroup):
    """The group of all commands."""

    def __init__(self, *args: Any, **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.commands: Any = {}
        spare_converters(self)
        self.commands = _Commands()

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is click's
        return list(COMMANDS)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _globals_first(args))

    def invoke(self, ctx: Any) -> Any:
        try:
            found = super().invoke(ctx)
            if code := Call.of(ctx).end():
                raise typer.Exit(code)
            return found
        except KeyboardInterrupt:
            _say("archiver: interrupted")
            raise typer.Exit(130) from None
        except BrokenPipeError:
            _discard_output()
            raise typer.Exit(0) from None


def _globals_first(args: Sequence[str]) -> list[str]:
    """Move `--url` and `--json` before the command, so that they may stand anywhere."""
    first: list[str] = []
    rest: list[str] = []
    remaining = iter(args)
    for arg in remaining:
        if arg == "--":
            rest += [arg, *remaining]
        elif arg == "--url":
            first += [arg, *islice(remaining, 1)]
        elif arg == "--json" or arg.startswith("--url="):
            first.append(arg)
        else:
            rest.append(arg)
    return first + rest


app = typer.Typer(
    cls=_Root,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        put(f"archiver {__version__}")
        raise typer.Exit


@app.callback()
def _archiver(
    ctx: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where the archive is: a folder, s3://bucket/path, any fsspec URL. "
            "Default: ARCHIVER_URL, then archiver.toml or pyproject.toml, "
            "then your own settings, then ./archive.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """The archive that every backtest writes to: metrics, trades, curves and code, on disk or S3.

    --url and --json may stand before or after the command.
    """  # noqa: D401 - it is the help text
    ctx.obj = Call(url=url, json=as_json)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; an unexpected error keeps its traceback."""
    args = list(sys.argv[1:] if argv is None else argv)
    _prepare_streams()
    warnings.showwarning = _show_warning  # type: ignore[assignment]  # we need two of its arguments
    try:
        code = app(args=args or ["--help"], prog_name="archiver", standalone_mode=False)
        sys.stdout.flush()
    except _USAGE_ERROR as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "archiver"
        _say(f"archiver: {error.format_message().rstrip('.')} (see {path} --help)")  # type: ignore[attr-defined]  # as click's has
        return 2
    except ArchiverError as error:
        _say(f"archiver: {error}")
        return error.exit_code
    except typer.Abort:
        _say("archiver: stopped")
        return 130
    except BrokenPipeError:
        _discard_output()
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        _discard_output()
        _say(f"archiver: the output cannot be written ({error.strerror}): write it elsewhere")
        return 14
    return code if isinstance(code, int) else 0


def _prepare_streams() -> None:
    """Let every text be written, whatever the locale; what cron or a shell has closed leads nowhere."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  # as long as the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Who reads a pipe gets UTF-8, as in files; a terminal may know less.
        encoding = None if sys.stdout.isatty() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")


def _discard_output() -> None:
    """Go on without a reader, who has what it asked for; Python flushes once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str) -> None:
    tell(" ".join(text.split()))


def _show_warning(message: Warning | str, category: type[Warning], *_where: Any) -> None:
    """Print a warning meant for users as one line; those for programmers have no place here."""
    if issubclass(category, UserWarning):
        _say(f"archiver: warning: {message}")
