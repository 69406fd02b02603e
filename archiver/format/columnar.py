"""Arrays, series and tables of numpy, pandas, polars and Arrow as lists: told by their class, none of them imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from archiver.errors import ConfigError

Lost = Callable[[str], None]
"""Is told of an index that has no place in a list."""
_List = Callable[[Any, str, Lost], list[Any]]


def is_columnar(value: Any) -> bool:
    """Tell whether a value is an array, series or table; an array without dimensions is a scalar."""
    kind: type = type(value)
    found = lister(kind)
    return found is not None and (found is not _ndarray or value.shape != ())


def to_list(value: Any, where: str, lost: Lost) -> list[Any]:
    """Return an array or series as a list of its values, a table as one dict a row.

    Values are what the library gives for them. Raises ConfigError, naming `where`, for two columns of one name.
    """
    kind: type = type(value)
    found = lister(kind)
    assert found is not None  # noqa: S101  # the caller has asked is_columnar
    return found(value, where, lost)


@lru_cache(maxsize=1024)
def lister(kind: type) -> _List | None:
    """Return what makes lists of the values of a class; None where it is not columnar."""
    return next((found for base in kind.__mro__ if (found := _LISTERS.get(class_name(base)))), None)


def class_name(kind: type) -> tuple[str, str]:
    """Return the top module and the name of a class: libraries move their classes between modules."""
    return str(kind.__module__).partition(".")[0], kind.__qualname__


def _array(value: Any, _where: str, _lost: Lost) -> list[Any]:
    return list(value.tolist())


def _ndarray(value: Any, where: str, _lost: Lost) -> list[Any]:
    if value.dtype.names:
        return _rows(value.dtype.names, [list(value[name]) for name in value.dtype.names], len(value), where)
    # Of moments and durations tolist() makes ints.
    return list(value) if value.dtype.kind in "MmV" else list(value.tolist())


def _series(value: Any, where: str, lost: Lost) -> list[Any]:
    if not is_numbering(value.index):
        lost(f"{where} ({_named(value.index)})")
    return _cells(value)


def _index(value: Any, _where: str, _lost: Lost) -> list[Any]:
    return list(value.tolist())


def _extension(value: Any, _where: str, _lost: Lost) -> list[Any]:
    missing = value.isna().tolist() if _is_text(value.dtype) else [False] * len(value)
    return [None if gone else item for item, gone in zip(value.tolist(), missing, strict=True)]


def _frame(value: Any, where: str, lost: Lost) -> list[Any]:
    """Return rows; an index that says something comes first, as `reset_index` has it."""
    if not is_numbering(value.index):
        if value.index.nlevels == 1 and value.index.name is None and value.index.dtype.kind in "iu":
            lost(f"{where} ({_named(value.index)})")
        else:
            try:
                value = value.reset_index()
            except ValueError as error:
                raise ConfigError(f"{where}: its index cannot be a column ({error}): rename one") from None
    columns = [_cells(value.iloc[:, at]) for at in range(value.shape[1])]
    return _rows([column_name(name) for name in value.columns.tolist()], columns, len(value), where)


def column_name(name: Any) -> str:
    """Return a column's name as text; levels of names are joined by dots."""
    if isinstance(name, tuple):
        return ".".join(text for text in map(column_name, name) if text)
    return str.__str__(name) if isinstance(name, str) else str(name)


def is_numbering(index: Any) -> bool:
    """Tell whether an index only counts from 0, as pandas gives it to whatever has none."""
    if index.nlevels > 1 or index.name is not None:
        return False
    return not len(index) or (index.dtype.kind in "iu" and index.tolist() == list(range(len(index))))


def has_index(index: Any) -> bool:
    """Tell whether an index says something, be it only by its type where it is empty."""
    return not is_numbering(index) or (not len(index) and index.dtype.kind not in "iuO")


def _named(index: Any) -> str:
    names = ", ".join(str(name) for name in index.names if name is not None)
    return f"{type(index).__name__} {names}".rstrip()


def _is_text(dtype: Any) -> bool:
    # In columns of text and of categories pandas writes NaN for what is missing.
    return str(dtype) in ("str", "string", "category")


def _cells(series: Any) -> list[Any]:
    values = list(series.tolist())
    if not _is_text(series.dtype):
        return values
    return [None if gone else value for value, gone in zip(values, series.isna().tolist(), strict=True)]


def _polars_series(value: Any, _where: str, _lost: Lost) -> list[Any]:
    return list(value.to_list())


def _polars_frame(value: Any, _where: str, _lost: Lost) -> list[Any]:
    return list(value.to_dicts())


def _arrow_array(value: Any, where: str, _lost: Lost) -> list[Any]:
    try:
        return list(value.to_pylist())
    except (ValueError, OverflowError) as error:
        # Two fields of one name, moments that Python's types cannot hold.
        raise ConfigError(f"{where}: an Arrow array of {value.type} cannot be kept: {error}") from None


def _arrow_table(value: Any, where: str, lost: Lost) -> list[Any]:
    columns = [_arrow_array(column, where, lost) for column in value.columns]
    return _rows(value.schema.names, columns, len(value), where)


def _rows(
    names: Sequence[str], columns: Sequence[Sequence[Any]], length: int, where: str
) -> list[dict[str, Any]]:
    if len(set(names)) != len(names):
        raise ConfigError(
            f"{where}: a table has two columns of one name among {', '.join(names)}: rename one"
        )
    if not names:
        return [{} for _ in range(length)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


_LISTERS: dict[tuple[str, str], _List] = {
    ("array", "array"): _array,
    ("numpy", "ndarray"): _ndarray,
    ("pandas", "Series"): _series,
    ("pandas", "DataFrame"): _frame,
    ("pandas", "Index"): _index,
    ("pandas", "ExtensionArray"): _extension,
    ("polars", "Series"): _polars_series,
    ("polars", "DataFrame"): _polars_frame,
    ("pyarrow", "Array"): _arrow_array,
    ("pyarrow", "ChunkedArray"): _arrow_array,
    ("pyarrow", "Table"): _arrow_table,
    ("pyarrow", "RecordBatch"): _arrow_table,
}
