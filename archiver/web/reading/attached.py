"""One of a strategy's curves, tables and files, to save: nothing of them is run in a page."""

from __future__ import annotations

import io
from typing import Any

from archiver.errors import ConfigError
from archiver.runs import extras
from archiver.web.reading.site import Site

KINDS = ("curve", "table", "file")


def read(
    site: Site, name: str, universe: str | None, run: str | None, asked: dict[str, str]
) -> tuple[bytes, str]:
    """Return one curve or table as Parquet, or a file as it is, and the name to save it under.

    asked: `curve`, `table` or `file`, and its name. Raises ConfigError for none or several of them.
    """
    if len(asked) != 1:
        raise ConfigError("name one curve, table or file: curve=NAME, table=NAME or file=NAME")
    ((kind, part),) = asked.items()
    found = site.details.find(name, universe, run)
    of = (site.data.reader, found.record, found.detail, part)
    if kind == "file":
        return extras.file(*of), part
    table = extras.curve(*of) if kind == "curve" else extras.table(*of)
    return _parquet(table), f"{name}-{part}.parquet"


def _parquet(table: Any) -> bytes:
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()
