"""The parameters of strategies as columns: a metric `params` that is a dict is shown as `params.<name>`.

Dicts in it are taken apart the same way (`params.ma.fast`). Whatever is no dict stays in a column `params`. Where a
metric is called as such a column, the parameter's column has a `_` more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from archiver.format.rows import encode_rows, free_name
from archiver.format.text import dumps, loads

PARAMS = "params"
_INSIDE = f"{PARAMS}."


class Shown(NamedTuple):
    """A column as a table shows it: its name, its values, and whether these are JSON text."""

    name: str
    array: Any
    text: bool


def stored(columns: Collection[str] | None) -> set[str] | None:
    """Return what must be read for the columns asked for: `params` for any parameter."""
    if columns is None:
        return None
    return {*columns, *([PARAMS] if any(name.startswith(_INSIDE) for name in columns) else ())}


def asked(columns: Sequence[str], there: Collection[str]) -> list[str]:
    """Return the names asked for, with those of all parameters that are there in place of `params`."""
    names: list[str] = []
    for name in columns:
        inside = sorted(one for one in there if name == PARAMS and one.startswith(_INSIDE))
        names += [name] if name in there or not inside else []
        names += inside
    return list(dict.fromkeys(names))


def with_params(columns: Sequence[Shown], layout: Mapping[str, Any]) -> list[Shown]:
    """Return columns with `params` taken apart; the layout is that of the rows they are columns of."""
    import pyarrow as pa

    at = next((at for at, column in enumerate(columns) if column.name == PARAMS), None)
    if at is None:
        return list(columns)
    column = columns[at]
    parts = [column]
    if isinstance(column.array.type, pa.StructType):
        physical = {key: name for name, key in layout.get("keys", {}).items()}.get(PARAMS, PARAMS)
        parts = _members(column.array, layout.get("dicts", {}).get(physical, {}), PARAMS)
    elif column.text:
        parts = _of_text(column.array)
    taken = {other.name for other in columns if other is not column}
    shown = []
    for part in parts:
        name = free_name(part.name, taken)
        taken.add(name)
        shown.append(part._replace(name=name))
    return [*columns[:at], *shown, *columns[at + 1 :]]


def _members(array: Any, layout: Mapping[str, Any], name: str) -> list[Shown]:
    import pyarrow as pa

    whole = pa.chunked_array(array) if isinstance(array, pa.Array) else array
    whole = whole.combine_chunks() if whole.num_chunks != 1 else whole.chunk(0)
    found = []
    for field, member in zip(whole.type, whole.flatten(), strict=True):
        if field.name == layout.get("shape"):
            continue
        key = f"{name}.{layout.get('keys', {}).get(field.name, field.name)}"
        if isinstance(field.type, pa.StructType):
            found += _members(member, layout.get("dicts", {}).get(field.name, {}), key)
        else:
            found.append(Shown(key, member, field.name in layout.get("text", ())))
    return found


def _of_text(array: Any) -> list[Shown]:
    """Take dicts apart that are JSON text, as those are that stand beside values of other types."""
    import pyarrow as pa

    values = [None if text is None else loads(text) for text in array.to_pylist()]
    rows = [_flat(value) if isinstance(value, dict) else {} for value in values]
    encoded = encode_rows(rows, "results")
    if encoded is None:
        return [Shown(PARAMS, array, text=True)]
    layout = encoded.layout
    shown = [
        Shown(layout.get("keys", {}).get(name, name), member, name in layout.get("text", ()))
        for name, member in zip(encoded.names, encoded.arrays, strict=True)
        if name != layout.get("shape")
    ]
    others = [None if value is None or isinstance(value, dict) else dumps(value) for value in values]
    if any(text is not None for text in others):
        shown.append(Shown(PARAMS, pa.array(others, pa.string()), text=True))
    return shown


def _flat(value: Mapping[str, Any], name: str = PARAMS) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, member in value.items():
        inside = f"{name}.{key}"
        flat.update(_flat(member, inside) if isinstance(member, dict) else {inside: member})
    return flat
