"""All trades of the details that one run holds, read as columns: of strategies by the hundred, not one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from archiver.format.detail import Source, text_rows, window_values, without_shapes
from archiver.format.metrics import json_field
from archiver.format.parquet import decoding
from archiver.format.tapes import cut_windows
from archiver.query.sql_extras import of_part
from archiver.runs.newest import Part
from archiver.runs.read import Reader

if TYPE_CHECKING:
    import pyarrow as pa

_ELEMENT = "trades.list.element"
Choose = Callable[[Sequence[str]], Sequence[str]]
"""Gives of the names of columns those that are wanted."""


def trades_of(
    reader: Reader,
    part: Part,
    choose: Choose,
    windows: Collection[str] = (),
    *,
    only: Collection[str] | None = None,
) -> list[pa.Table]:
    """Return the trades of a part's strategies, the keys before them: one table of those in columns, one of each other.

    choose: the columns that are wanted; windows: those of price windows that are, which take most of the time. only: read
    no other columns than these; of the others there are types alone.
    """
    source = reader.details(part.record)
    with decoding(source.key):
        typed = _typed(reader, source, part, choose, windows, only=only)
        return [*([] if typed is None else [typed]), *_texts(source, part)]


def _typed(
    reader: Reader,
    source: Source,
    part: Part,
    choose: Choose,
    windows: Collection[str],
    *,
    only: Collection[str] | None,
) -> pa.Table | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = source.schema
    if "trades" not in schema.names:
        return None
    facts = source.facts.get("trades", {})
    full = {name: text for name, text in facts.get("windows", {}).items() if name in windows}
    hidden = {facts.get("shape"), *facts.get("windows", {}), *facts.get("windows", {}).values()}
    fields = [item.name for item in schema.field("trades").type.value_type if item.name not in hidden]
    keys = {name: facts.get("keys", {}).get(name, name) for name in fields}
    chosen = set(choose(list(keys.values())))
    wanted = [name for name in fields if keys[name] in chosen]
    read = wanted or ([] if full else fields[:1])
    inner = [*read, *full, *(text for text in full.values() if text)]
    columns = ["strategy_name", *(f"{_ELEMENT}.{name}" for name in inner)]
    texts = facts.get("text", ())
    if only is not None:
        inner = [name for name in inner if name in full or name in full.values() or keys.get(name) in only]
    table = schema.empty_table().select(["strategy_name", "trades"])
    if inner:
        columns = ["strategy_name", *(f"{_ELEMENT}.{name}" for name in inner)]
        table = source.read(groups=part.groups(), columns=columns)
    lists = table["trades"].combine_chunks()
    lists = lists if isinstance(lists, pa.ListArray) else pa.concat_arrays(lists.chunks)
    flat = pa.Table.from_struct_array(pc.list_flatten(lists))
    found = []
    for name in read:
        column = flat[name].combine_chunks() if name in inner else _none(schema, name, flat.num_rows)
        if name in facts.get("dicts", {}):
            column = without_shapes(column, facts["dicts"][name])
        found.append((json_field(keys[name], column.type, text=name in texts), column))
    for name, text in full.items():
        column = pa.array(
            window_values(flat, name, text, lambda _, at: cut_windows(reader.tapes(part.record), at))
        )
        found.append((pa.field(facts.get("keys", {}).get(name, name), column.type), column))
    strategies = table["strategy_name"].combine_chunks().take(pc.list_parent_indices(lists))
    every = pa.Table.from_arrays([column for _, column in found], schema=pa.schema([one for one, _ in found]))
    return of_part(every, strategies, part)


def _none(schema: pa.Schema, name: str, rows: int) -> pa.Array:
    import pyarrow as pa

    return pa.nulls(rows, schema.field("trades").type.value_type.field(name).type)


def _texts(source: Source, part: Part) -> list[pa.Table]:
    """Return the trades of strategies whose trades are too irregular for columns."""
    if "trades_text" not in source.names:
        return []
    import pyarrow as pa

    table = source.read(groups=part.groups(), columns=["strategy_name", "trades_text"])
    found = []
    for strategy, text in zip(
        table["strategy_name"].to_pylist(), table["trades_text"].to_pylist(), strict=True
    ):
        if text is not None and part.has(strategy):
            own = text_rows(text)
            found.append(of_part(own, pa.array([strategy] * len(own), pa.string()), part))
    return found
