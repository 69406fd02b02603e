"""Write what the documentation says of the code from the code; `--check` only says what is out of date.

The pages docs/reference/{cli,api,errors}.md; the tables in metrics.md and CONTRIBUTING.md, the floors in design.md.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer.main

import archiver
from archiver import capture, cli, errors
from archiver.analysis import luck, overfitting, parameters, portfolio, returns, samples
from archiver.archive import bucket_rules, judging
from archiver.base import unread
from archiver.engines import metrics
from archiver.format import model
from archiver.health import doctor, usage, verify
from archiver.interop import export_to, importing
from archiver.retention import plan, trash
from archiver.retention.gc import deleting
from archiver.runs import snapshot
from archiver.transfer import bundle
from archiver.transfer import copy as copying
from archiver.transfer import runs as transfer

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"
COMPLETION = ("install_completion", "show_completion")  # their wording is typer's, and changes
RETURNED = (
    model.Record,
    plan.Plan,
    plan.Decision,
    trash.Removed,
    deleting.Collected,
    deleting.Tally,
    verify.Report,
    verify.Problem,
    usage.Usage,
    usage.UniverseUsage,
    usage.RunUsage,
    usage.Amount,
    usage.Space,
    luck.Luck,
    overfitting.Overfitting,
    parameters.Parameters,
    parameters.Heat,
    parameters.Importance,
    samples.Samples,
    judging.Reported,
    returns.TearSheet,
    returns.Drawdown,
    portfolio.Portfolio,
    portfolio.Held,
    snapshot.Snapshot,
    bundle.Bundles,
    bundle.Bundle,
    transfer.Moved,
    copying.Extras,
    bucket_rules.Lifecycle,
    export_to.Exported,
    importing.Report,
    doctor.Finding,
    capture.Capture,
    unread.Unread,
)
NOTE = "<!-- Written by docs/generate.py: change the docstrings, not this file. -->\n"


NOTHING = {
    "ls, metrics, top, trades, params, sql": (
        "no row matches a filter, a tag or a query",
        "0: an empty answer is an answer. A universe, run or strategy that is named and not there: 10",
    ),
    "tree, show, code, report": ("what is named is not there", "10"),
    "samples": ("no pair is declared, or what is named is not there", "10"),
    "portfolio": ("no run has the details of two strategies, or what is named is not there", "10"),
    "tag": ("the run has the tag", "0, and says so"),
    "untag": ("the run has no such tag", "10"),
    "prune": (
        "no run falls to the policies",
        "0: what they ask for is so. None of their patterns matches a universe: 10",
    ),
    "undelete": ("the run is not in the trash", "10. Without RUN it lists, and an empty list is 0"),
    "gc, compact, verify, lifecycle": (
        "nothing to free, pack, mend or change",
        "0: they looked at everything",
    ),
    "copy": (
        "all runs are there already",
        "0, and says so. No run in SRC, or none that matches: 10 (with --delete-extra: 0)",
    ),
    "bundle": (
        "the bundle, or all of its runs, are there already",
        "0, and says so. No run matches, or no such bundle: 10. Neither RUN nor filter: 2",
    ),
    "import": (
        "all results are there already",
        "0, and says so. Nothing there, or nothing in a known format: 2. Something damaged: 3",
    ),
    "export": ("no run, universe or row to write", "10, and no file"),
    "du, df, doctor, config": ("", "0, but for what they find: see each"),
    "finish": ("the run is finished already", "0: what is asked for is so. No such run: 10"),
    "demo, browse, serve": ("", "0"),
}
"""What each command ends with when there is nothing to do: never 0 unless what was asked for is so."""


def cli_page() -> str:
    """Return the page of all commands."""
    root = typer.main.get_command(cli.app)
    parts = [f"# Commands\n\n{NOTE}", _command("archiver", root)]
    for name, command in root.commands.items():  # type: ignore[attr-defined]  # the root is a group
        parts.append(f"## {name}\n\n{_command(f'archiver {name}', command)}")
        for inner, subcommand in getattr(command, "commands", {}).items():
            parts.append(f"### {name} {inner}\n\n{_command(f'archiver {name} {inner}', subcommand)}")
    return "\n".join(parts)


def _command(path: str, command: Any) -> str:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [
        param
        for param in command.params
        if param.param_type_name == "option" and not param.hidden and param.name not in COMPLETION
    ]
    words = [path, *(["[OPTIONS]"] if options else []), *(_argument(param) for param in arguments)]
    words += ["COMMAND ..."] if hasattr(command, "commands") else []
    lines = ["```text", " ".join(words), "```", "", inspect.cleandoc(command.help or ""), ""]
    rows = [(f"`{param.metavar or param.name.upper()}`", param.help or "") for param in arguments]
    rows += [(_option(param), (param.help or "") + _default(param)) for param in options]
    if rows:
        lines += [
            "| | |",
            "|---|---|",
            *(f"| {_one_line(left)} | {_one_line(right)} |" for left, right in rows),
            "",
        ]
    return "\n".join(lines)


def _argument(param: Any) -> str:
    name = param.metavar or param.name.upper()
    name += "..." if param.nargs == -1 and not name.endswith("...") else ""
    return name if param.required else f"[{name}]"


def _option(param: Any) -> str:
    names = ", ".join(f"`{name}`" for name in [*param.opts, *param.secondary_opts])
    takes = "" if param.is_flag or getattr(param, "count", False) else param.metavar or "VALUE"
    return f"{names} {takes}".strip()


def _default(param: Any) -> str:
    default = None if callable(param.default) else param.default
    return "" if default in (None, False, "", ()) or param.is_flag else f" Default: {default}."


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def errors_page() -> str:
    """Return the page of errors and exit codes."""
    lines = [
        "# Errors and exit codes",
        "",
        NOTE,
        "Everything that archiver raises on purpose is an `archiver.ArchiverError`: its text is one line",
        "that says what to do. The command line prints that line on standard error and ends with the exit",
        "code of the class. A traceback and exit code 1 mean a bug: please report it.",
        "",
        "| exit code | error | meaning |",
        "|---|---|---|",
        "| 0 | | all is well |",
        "| 1 | | unexpected: a bug |",
    ]
    for kind, depth in _tree(errors.ArchiverError, 0):
        if depth:
            name = "&nbsp;" * 4 * (depth - 1) + f"`{kind.__name__}`"
            lines.append(f"| {kind.exit_code} | {name} | {_one_line(inspect.getdoc(kind) or '')} |")
    lines += [
        "| 4 | | a threshold given to `df` is crossed |",
        "| 130 | | interrupted |",
        "",
        "Wrong usage of a command is exit code 2, as a `ConfigError` is. `ConfigError` is also a",
        "`ValueError`, and `NotFoundError` a `LookupError`.",
        "",
        "## When there is nothing to do",
        "",
        "0 means that something was done, or that what was asked for is so already; then a line on standard",
        "error says which. Where a name or a filter meets nothing to act on, the exit code is not 0.",
        "",
        "| command | when | exit code |",
        "|---|---|---|",
        *(f"| {names} | {when} | {code} |" for names, (when, code) in NOTHING.items()),
    ]
    return "\n".join(lines) + "\n"


def _tree(kind: type[errors.ArchiverError], depth: int) -> Iterator[tuple[type[errors.ArchiverError], int]]:
    yield kind, depth
    for child in (child for child in kind.__subclasses__() if child.__module__ == errors.__name__):
        yield from _tree(child, depth + 1)


def api_page() -> str:
    """Return the page of the public Python interface: what `archiver.__all__` names."""
    parts = [f"# Python API\n\n{NOTE}", f"```python\nimport archiver\n```\n\n{inspect.getdoc(archiver)}\n"]
    for name in sorted(archiver.__all__, key=str.lower):
        thing = getattr(archiver, name)
        if inspect.isclass(thing) and issubclass(thing, BaseException):
            continue  # on the page of errors
        if inspect.ismodule(thing):
            thing = getattr(thing, name, None)  # a package that is called like the function of its name
        if inspect.isclass(thing):
            parts.append(_class(f"archiver.{name}", thing))
        elif callable(thing):
            parts.append(f"## archiver.{name}\n\n{_signature(f'archiver.{name}', thing)}\n{_doc(thing)}\n")
    parts.append("## What methods return\n")
    parts += [_class(kind.__name__, kind, "###") for kind in RETURNED]
    parts.append("## Errors\n\nSee [errors and exit codes](errors.md).\n")
    return "\n".join(parts)


def _class(title: str, kind: type, level: str = "##") -> str:
    parts = [f"{level} {title}\n"]
    if dataclasses.is_dataclass(kind) and kind not in RETURNED:
        parts.append(_signature(title, kind))
    parts.append(f"{_doc(kind)}\n")
    if dataclasses.is_dataclass(kind) and kind in RETURNED:
        parts.append("\n".join(_fields(kind)) + "\n")
    # What a class inherits is its own to whoever reads about it.
    members = {name: member for owner in kind.__mro__[:-1] for name, member in vars(owner).items()}
    for name, member in members.items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            parts.append(f"{level}# {kind.__name__}.{name}\n\n{_doc(member)}\n")
        elif inspect.isfunction(member):
            parts.append(f"{level}# {kind.__name__}.{name}\n\n{_signature(name, member)}\n{_doc(member)}\n")
    return "\n".join(parts)


def _fields(kind: type) -> Iterator[str]:
    """Yield a line for each field, with the text that stands below it in the source."""
    (body,) = ast.parse(inspect.getsource(kind)).body
    statements = body.body  # type: ignore[attr-defined]  # it is a class
    for statement, after in zip(statements, [*statements[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign):
            text = after.value.value if isinstance(after, ast.Expr) else ""  # type: ignore[attr-defined]  # a text
            told = f": {_one_line(text)}" if text else ""
            yield f"- `{ast.unparse(statement.target)}: {ast.unparse(statement.annotation)}`{told}"


def _signature(name: str, function: Any) -> str:
    signature = inspect.signature(function)
    kept = [param for param in signature.parameters.values() if param.name != "self"]
    words = list(_words(kept))
    returns = signature.return_annotation
    arrow = "" if returns is signature.empty else f" -> {_annotation(returns)}"
    text = f"({', '.join(words)}){arrow}"
    if len(name) + len(text) > 100:
        lines = ",\n    ".join(words)
        text = f"(\n    {lines},\n){arrow}"
    return f"```python\n{name}{text}\n```\n"


def _words(params: list[inspect.Parameter]) -> Iterator[str]:
    starred = False
    for param in params:
        if param.kind is param.KEYWORD_ONLY and not starred:
            yield "*"
        starred = starred or param.kind in (param.VAR_POSITIONAL, param.KEYWORD_ONLY)
        stars = {param.VAR_POSITIONAL: "*", param.VAR_KEYWORD: "**"}.get(param.kind, "")
        typed = "" if param.annotation is param.empty else f": {_annotation(param.annotation)}"
        value = "..." if callable(param.default) else repr(param.default)
        default = "" if param.default is param.empty else f"{' = ' if typed else '='}{value}"
        yield f"{stars}{param.name}{typed}{default}"


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _doc(thing: Any) -> str:
    """Return a docstring as Markdown: the lists under `Arguments:` become lists."""
    lines, listing = [], False
    for line in (inspect.getdoc(thing) or "").splitlines():
        entry = re.match(r"    (\w[\w, *]*): (.*)", line)
        if line.rstrip() == "Arguments:":
            listing = True
            lines += ["Arguments:", ""]
        elif listing and entry:
            lines.append(f"- `{entry[1]}`: {entry[2]}")
        elif listing and line.startswith("    "):
            lines.append(f"  {line.strip()}")
        else:
            listing = listing and not line.strip()
            lines.append(line)
    return "\n".join(lines).strip()


def floors() -> list[list[str]]:
    """Return the rooms of each floor, the highest first: modules and packages of archiver, as import-linter holds them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (one["layers"] for one in contracts if one.get("containers") == ["archiver"])
    return [re.findall(r"\w+", layer) for layer in layers]


def rooms_table() -> str:
    """Return what each room is for, by the first line of its docstring, and what the rooms in it are."""
    lines = ["| where | what |", "|---|---|"]
    for room in (ROOT / "archiver" / room for floor in floors() for room in floor):
        for at in [room, *sorted(path.parent for path in room.glob("*/__init__.py"))]:
            source = at / "__init__.py" if at.is_dir() else at.with_suffix(".py")
            shown = f"{at.relative_to(ROOT)}{'/' if at.is_dir() else '.py'}"
            first = (ast.get_docstring(ast.parse(source.read_text())) or "").partition("\n")[0]
            lines.append(f"| {'· ' * (at != room)}[`{shown}`]({shown}) | {_one_line(first)} |")
    return "\n".join(lines)


def floors_picture(width: int = 100) -> str:
    """Return the floors as a house drawn in text; a floor with many rooms takes several lines."""
    stories = [_story(floor, width) for floor in floors()]
    lines = [_ceiling("", stories[0][0], width)]
    for story, below in zip(stories, [*stories[1:], [""]], strict=True):
        lines += [*story, _ceiling(story[-1], below[0], width)]
    return "```text\n" + "\n".join(lines) + "\n```"


def _story(rooms: list[str], width: int) -> list[str]:
    """Return the lines of one floor: its rooms side by side, as many as fit."""
    fit = min(len(rooms), (width - 1) // (max(map(len, rooms)) + 3))
    rows = -(-len(rooms) // fit)
    a_row = -(-len(rooms) // rows)
    return [_walls(rooms[at : at + a_row], a_row, width) for at in range(0, len(rooms), a_row)]


def _walls(rooms: list[str], a_row: int, width: int) -> str:
    edges = pairwise(at * (width - 1) // a_row for at in range(a_row + 1))
    cells = [*rooms, *[""] * (a_row - len(rooms))]
    drawn = [f"│ {room}".ljust(end - begin) for room, (begin, end) in zip(cells, edges, strict=True)]
    return "".join(drawn) + "│"


def _ceiling(above: str, below: str, width: int) -> str:
    """Return the line between two lines of rooms, joined to the walls above and below it."""
    joints = {(False, False): "─", (True, False): "┴", (False, True): "┬", (True, True): "┼"}
    drawn = [
        joints[row_above == "│", row_below == "│"]
        for row_above, row_below in zip(above.ljust(width), below.ljust(width), strict=True)
    ]
    drawn[0], drawn[-1] = {"": "┌┐"}.get(above, "├┤" if below else "└┘")
    return "".join(drawn)


def _filled(page: Path, name: str, text: str) -> str:
    """Return a page with new text between its marks of a name."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    head, _, rest = page.read_text().partition(begin)
    return f"{head}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}"


def pages() -> dict[Path, str]:
    """Return the text of every page that is generated, or holds something that is."""
    made = {"cli.md": cli_page(), "errors.md": errors_page(), "api.md": api_page()}
    contributing, design = ROOT / "CONTRIBUTING.md", ROOT / "docs" / "explanation" / "design.md"
    return {
        **{REFERENCE / name: text for name, text in made.items()},
        REFERENCE / "metrics.md": _filled(REFERENCE / "metrics.md", "metrics", metrics.page()),
        contributing: _filled(contributing, "rooms", rooms_table()),
        design: _filled(design, "floors", floors_picture()),
    }


def main() -> None:
    """Write the pages, or with `--check` end with 1 when one is out of date."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        if stale:
            sys.exit(f"out of date: {', '.join(path.name for path in stale)}: run python docs/generate.py")
        return
    for path, text in pages().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
