"""Which rows of a table of metrics are asked for, and in which order."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archiver.errors import ConfigError
from archiver.format.arrays import numpy_of
from archiver.format.params import PARAMS
from archiver.query.expression import Expression, known_column
from archiver.runs.ranking import known_metrics, rank_order

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from archiver.format.model import Record
    from archiver.runs.packed.metrics import Rows

KEYS = ("universe", "strategy_name", "run")
"""The first columns of every table of metrics; the others are metrics."""
LEADING = (
    "composite_score",
    "sharpe_ratio",
    "total_return",
    "return_pct",
    "max_drawdown",
    "max_drawdown_pct",
    "profit_factor",
    "win_rate",
    "win_rate_pct",
    "n_trades",
)
"""What most people look at first of the metrics there are."""
_IN_PERCENT = {"return_pct": "total_return", "max_drawdown_pct": "max_drawdown", "win_rate_pct": "win_rate"}
"""What an engine calls its own number in percent, and the same as archiver has it of every engine."""
OF_TRADES = (
    "entry_time",
    "pnl_usd",
    "pnl",
    "pnl_pct",
    "pnl_pips",
    "direction",
    "size",
    "exit_time",
    "exit_reason",
    "entry_price",
    "exit_price",
    "duration_minutes",
    "tag",
)
"""What most people look at first of the columns of trades there are."""
_MOST_KEYS = 8
_KEY = re.compile(r"\s*(-?)\s*(?:`([^`]*)`|([^,`\s-][^,`]*))")
_LONGEST_SEARCH = 400


@dataclass(frozen=True, slots=True)
class Ask:
    """Which rows, in which order: `sort` holds (column, descending)."""

    universe: str = ""
    search: str = ""
    where: str = ""
    sort: tuple[tuple[str, bool], ...] = ()


def leading(names: Collection[str]) -> list[str]:
    """Return what most people look at first among `names`, no number twice."""
    return [name for name in LEADING if name in names and _IN_PERCENT.get(name) not in names]


def score_of(records: Sequence[Record], names: Collection[str]) -> str | None:
    """Return the metric to rank by among `names`: what the newest run (first) was ranked by, else the usual ones."""
    ranked = [rank_order(record.rank_by)[0] for record in records[:1] if record.rank_by]
    return next((name for name in (*ranked, *known_metrics(names)) if name in names), None)


def greatest_first(records: Sequence[Record], metric: str) -> bool:
    """Tell whether the greatest of the metric is the best; not where the newest run (first) was ranked by the least."""
    return (metric, False) not in [rank_order(record.rank_by) for record in records[:1] if record.rank_by]


def parse_sort(text: str | None) -> tuple[tuple[str, bool], ...]:
    """Read `sharpe_ratio,-n_trades`: a column puts its greatest first, one with a leading `-` its least.

    Commands, Python, the API and the pages all read it here. A name that holds a comma, or begins with `-`, stands
    in backticks, as in filters. Returns (column, descending) pairs. Raises ConfigError for too many columns.
    """
    keys = tuple((quoted or plain.strip(), not turned) for turned, quoted, plain in _KEY.findall(text or ""))
    keys = tuple(key for key in keys if key[0])
    if len(keys) > _MOST_KEYS:
        raise ConfigError(f"sort by at most {_MOST_KEYS} columns")
    return keys


def sort_text(keys: Iterable[tuple[str, bool]]) -> str:
    """Write (column, descending) pairs as `parse_sort` reads them."""
    texts = []
    for name, descending in keys:
        plain = not (set(name) & set(",`") or name.startswith("-"))
        texts.append(("" if descending else "-") + (name if plain else f"`{name}`"))
    return ",".join(texts)


def select(
    load: Callable[[list[str] | None], pa.Table],
    columns: Sequence[str] | None = None,
    where: str | None = None,
    sort: str | None = None,
    limit: int | None = None,
) -> pa.Table:
    """Return rows of a table of metrics, of which no more columns are read than are needed.

    Arguments:
        load: reads the named metrics, or with None all.
        columns: the metrics wanted; None for all.
        where, sort, limit: as `Archive.load_metrics` takes them.

    Raises what `choose` raises.
    """
    if limit is not None and limit < 0:
        raise ConfigError(f"the limit is {limit}: give 0 or more")
    ask = Ask(where=where or "", sort=parse_sort(sort))
    if columns is None:
        return take(load(None), ask)[:limit]
    wanted = [columns] if isinstance(columns, str) else list(columns)
    more = [*(name for name, _ in ask.sort), *(sorted(Expression(where).columns) if where else ())]
    more = [name for name in dict.fromkeys(more) if name not in KEYS and not _is_among(name, wanted)]
    table = take(load([*wanted, *more]), ask)[:limit]
    return table.drop_columns([name for name in more if name in table.column_names]) if more else table


def _is_among(name: str, wanted: Collection[str]) -> bool:
    """Tell whether a column is asked for; `params` asks for all parameters."""
    return name in wanted or (PARAMS in wanted and name.startswith(f"{PARAMS}."))


def first_of(
    load: Callable[[list[str]], Rows], columns: Sequence[str], where: str | None, sort: str | None, limit: int
) -> tuple[pa.Table, pa.Table] | None:
    """Return what `select` does, and of all rows that pass the filter, in their order, the columns that they are ordered by.

    Other columns are read for the first rows alone. None where these cannot be told without the others: use `select`.
    """
    ask = Ask(where=where or "", sort=parse_sort(sort))
    used = [name for name, _ in ask.sort]
    asked = dict.fromkeys([*used, *(sorted(Expression(where).columns) if where else ())])
    rows = load([name for name in asked if name not in KEYS])
    narrow = rows.only([name for name in rows.joined.column_names if name in asked])
    chosen = choose(narrow, ask)
    places = rows.places if chosen is None else rows.places[numpy_of(chosen)]
    found = rows.read(columns, places[:limit])
    if found is None:
        return None
    return found, narrow.select(used) if chosen is None else narrow.select(used).take(chosen)


def take(table: pa.Table, ask: Ask) -> pa.Table:
    """Return the rows asked for in their order; None and NaN sort last. Raises what `choose` raises."""
    chosen = choose(table, ask)
    return table if chosen is None else table.take(chosen)


def choose(table: pa.Table, ask: Ask) -> pa.Array | None:
    """Return the indices of the rows asked for in their order; None for all rows as they stand.

    Raises ConfigError for an unknown column, one that cannot be sorted, or an expression that cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = _mask(table, ask)
    keys = [(known_column(name, table.column_names), down) for name, down in ask.sort]
    for name, _ in keys:
        if pa.types.is_nested(table.schema.field(name).type):
            raise ConfigError(f"{name!r} holds lists or dicts and cannot be sorted: choose another column")
    chosen = None if mask is None else pc.indices_nonzero(mask)
    if not keys:
        return chosen
    narrow = table.select(list(dict.fromkeys(name for name, _ in keys)))
    if chosen is not None:
        narrow = narrow.take(chosen)
    order = pc.sort_indices(
        narrow, sort_keys=[(name, "descending" if down else "ascending") for name, down in keys]
    )
    return order if chosen is None else chosen.take(order)


def _mask(table: pa.Table, ask: Ask) -> pa.ChunkedArray | None:
    import pyarrow.compute as pc

    masks = []
    if ask.universe:
        masks.append(pc.equal(table["universe"], ask.universe))
    if len(ask.search) > _LONGEST_SEARCH:
        raise ConfigError(f"search for at most {_LONGEST_SEARCH} characters")
    words = ask.search.split()
    masks += [pc.match_substring(table["strategy_name"], word, ignore_case=True) for word in words]
    if ask.where.strip():
        masks.append(Expression(ask.where).mask(table))
    result = None
    for mask in masks:
        result = mask if result is None else pc.and_(result, mask)
    return result


def finite(column: pa.ChunkedArray) -> list[float]:
    """Return the finite numbers of a column; nothing where it holds none."""
    values: list[float] = finite_numbers(column).tolist()
    return values


def finite_numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Return what `finite` does, as an array."""
    import numpy as np
    import pyarrow as pa

    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return np.array([], np.float64)
    values = numpy_of(column.cast(pa.float64(), safe=False).drop_null())
    found: np.ndarray = values[np.isfinite(values)]
    return found
