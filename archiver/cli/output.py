"""What commands print: lines, tables and pairs, through a pager where they are long.

Nothing else writes to standard output or error. Whatever an archive holds, and whatever an error quotes, passes
`printable` here: no escape, no control of direction and no line break in a name reaches a terminal or breaks a line.
JSON is left as it is, and so is data that is piped.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import RawIOBase, StringIO
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from archiver.base.humanize import cell, json_bytes, printable

if TYPE_CHECKING:
    from rich.console import Console

_LONGEST = 48
_BETWEEN = "   "
"""What rich puts between two columns."""


def tell(text: str) -> None:
    """Talk to the user: one line on standard error, after what was printed before it."""
    sys.stdout.flush()
    sys.stderr.write(f"{printable(text)}\n")


def put(text: str) -> None:
    """Write one line of data to standard output."""
    sys.stdout.write(f"{printable(text)}\n")


def put_json(document: Any) -> None:
    """Write one JSON document to standard output; NaN and infinities, which JSON lacks, are null."""
    sys.stdout.write(json_bytes(document).decode())


def lines_of(text: str) -> str:
    """Return a text of many lines as a terminal may show it: only its own line breaks and tabs are left."""
    return "".join(char if char in "\n\t" else printable(char) for char in text.replace("\r\n", "\n"))


class _Shown(RawIOBase):
    """Standard output for data, while a terminal shows it."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        sys.stdout.write(lines_of(bytes(data).decode(errors="backslashreplace")))
        return len(data)


def data_out(*, text: bool = True) -> BinaryIO:
    """Return standard output for bytes. Piped, they pass as they are; `text` that a terminal shows cannot steer it."""
    sys.stdout.flush()
    return cast("BinaryIO", _Shown()) if text and sys.stdout.isatty() else sys.stdout.buffer


def console() -> Console:
    """Return a console on standard output; piped, it is as wide as its content and has no colour."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


class _Held(StringIO):
    """Standard output that waits until it is known how long it is; it is still a terminal."""

    def isatty(self) -> bool:
        return True


@contextmanager
def paged() -> Iterator[None]:
    """Show what is printed inside through a pager, where a terminal watches and is too low for it.

    The pager is PAGER, else less; PAGER=cat, or an empty one, prints as usual.
    """
    screen = sys.stdout
    if not (screen.isatty() and sys.stdin.isatty()):
        yield
        return
    held = _Held()
    sys.stdout = held
    try:
        yield
    finally:
        sys.stdout = screen
        text = held.getvalue()
        if text.count("\n") < shutil.get_terminal_size().lines or not _page(text):
            screen.write(text)


def _page(text: str) -> bool:
    """Give a text to the pager; False where there is none that can be used."""
    import shlex
    import subprocess

    command = shlex.split(os.environ.get("PAGER", "less"))
    if not command or command == ["cat"] or shutil.which(command[0]) is None:
        return False
    # As git does: colours pass, long lines do not fold, the screen stays as it is afterwards.
    environment = {"LESS": "FRSX", "LESSCHARSET": "utf-8", **os.environ}
    pager = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)  # noqa: S603  # the user's own
    with pager, suppress(BrokenPipeError):
        pager.communicate(text.encode(errors="replace"))
    return True


def print_table(
    headers: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    right: Iterable[str] | None = None,
    title: str | None = None,
    drop: bool | Sequence[str] = False,
    styles: Mapping[str, str] | None = None,
    crop: str | None = None,
) -> int:
    """Print aligned columns: with colour on a terminal, tab-separated where output is piped.

    Arguments:
        headers: one name a column.
        rows: values, written by `cell`.
        right: names of columns to align at the right; None means those whose values are all numbers.
        title: a line above the table, on a terminal only.
        drop: leave out last columns that the terminal is too narrow for, and cut very long names, instead of
            folding cells. Names: leave out only these, the most wanted first.
        styles: rich styles by column, such as `cyan`; numbers below zero are red in any case.
        crop: the column that is cut short where the terminal is narrow; the others keep their widths.

    Returns how many columns were left out.
    """
    kept = [list(row) for row in rows]
    headers = [printable(header) for header in headers]
    drop = drop if isinstance(drop, bool) else [printable(header) for header in drop]
    crop, title = crop and printable(crop), title and printable(title)
    styles = {printable(header): style for header, style in (styles or {}).items()}
    texts = [[cell(value, header) for header, value in zip(headers, row, strict=True)] for row in kept]
    if not sys.stdout.isatty():
        sys.stdout.write("".join("\t".join(row) + "\n" for row in [list(headers), *texts]))
        return 0
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = console()
    if drop is True:
        texts = [
            [f"{text[: _LONGEST - 1]}…" if len(text) > _LONGEST else text for text in row] for row in texts
        ]
    shown = _fitting([list(headers), *texts], out.width, drop, crop)
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", show_edge=False, pad_edge=False)
    for at in shown:
        header = headers[at]
        to_right = _all_numbers(row[at] for row in kept) if right is None else header in set(right)
        table.add_column(
            Text(header, style="bold"),
            justify="right" if to_right else "left",
            overflow="ellipsis" if header == crop else "fold",
            no_wrap=crop is not None and header != crop,  # so that rich takes the width from that one
        )
    looks = [styles.get(header, "") for header in headers]
    for values, row in zip(kept, texts, strict=True):
        table.add_row(
            *(Text(row[at], _look(values[at], looks[at]), no_wrap=headers[at] == crop) for at in shown)
        )
    out.print(table)
    return len(headers) - len(shown)


def _look(value: Any, otherwise: str) -> str:
    """Choose a style: dim for what is missing, red for a loss, else the column's."""
    if value is None or value != value or value in ("", "-"):
        return "dim"
    if isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
        return "red"
    return otherwise


def _fitting(
    lines: Sequence[Sequence[str]], width: int, drop: bool | Sequence[str], crop: str | None
) -> list[int]:
    """Choose the columns that fit side by side; see `drop` of `print_table`. At least two stay."""
    from rich.cells import cell_len

    headers = lines[0]
    widths = [max(map(cell_len, column)) + len(_BETWEEN) for column in zip(*lines, strict=True)]
    left = width + len(_BETWEEN)
    if isinstance(drop, bool):
        shown = len(widths)
        while drop and shown > 2 and sum(widths[:shown]) > left:
            shown -= 1
        return list(range(shown))
    if crop in headers:
        at = headers.index(crop)
        widths[at] = min(widths[at], _LONGEST)
    kept = {at for at, header in enumerate(headers) if header not in drop}
    for at in map(headers.index, drop):
        if sum(widths[one] for one in kept) + widths[at] <= left:
            kept.add(at)
    return sorted(kept)


def _all_numbers(values: Iterable[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in known)


def print_pairs(pairs: Iterable[tuple[str, Any]]) -> None:
    """Print `name  value` lines, names aligned."""
    texts = [(printable(name), cell(value)) for name, value in pairs]
    width = max((len(name) for name, _ in texts), default=0)
    if not sys.stdout.isatty():
        sys.stdout.write("".join(f"{name}\t{text}\n" for name, text in texts))
        return
    from rich.text import Text

    out = console()
    for name, text in texts:
        out.print(Text.assemble((name.ljust(width), "bold"), "  ", text))
