"""The objects of an archive as folders with sizes, from one sorted list of keys; and previews of what they hold."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from archiver.errors import ArchiverError, IntegrityError, NotFoundError
from archiver.format.parquet import check_bounds
from archiver.format.records import decompress
from archiver.store import Store
from archiver.store.entry import Entry

if TYPE_CHECKING:
    import pyarrow as pa

_FRESH = 20.0
_MOST_TEXT = 200_000
_MOST_ROWS = 50
_MOST_PREVIEW = 64 * 1024 * 1024
_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Index:
    """Every object in order of its key, with the sum of sizes before each; when it was listed, in monotonic seconds."""

    entries: list[Entry]
    keys: list[str]
    sums: list[int]
    listed: float


@dataclass(frozen=True, slots=True)
class Item:
    """A folder (its key ends with `/`) or an object, with what lies in it."""

    key: str
    size: int
    objects: int
    modified: datetime | None

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.key.endswith("/")


@dataclass(frozen=True, slots=True)
class Folder:
    """One page of what lies directly below a prefix; `after` begins the next page, None on the last one."""

    prefix: str
    items: list[Item]
    size: int
    objects: int
    after: str | None


@dataclass(slots=True)
class Objects:
    """Lists a store now and then, and answers from memory in between."""

    store: Store
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _index: Index | None = None

    def index(self) -> Index:
        """Return all objects, listed at most a short while ago."""
        with self._lock:
            if self._index is None or time.monotonic() - self._index.listed > _FRESH:
                self._index = index_of(self.store)
            return self._index

    def entry(self, key: str) -> Entry:
        """Return one object as the store shows it now. Raises NotFoundError, and ConfigError for what is no key."""
        from archiver.store.contract import check_key

        check_key(key)
        found = self.store.stat(key)
        if found is None:
            raise NotFoundError(f"there is no object {key!r}: it may have been removed since the listing")
        return found


def index_of(store: Store, prefix: str = "") -> Index:
    """List every object whose key begins with a prefix, once, and sum up. Raises StorageError."""
    entries = list(store.list(prefix))
    return Index(
        entries,
        [entry.key for entry in entries],
        [0, *accumulate(entry.size for entry in entries)],
        time.monotonic(),
    )


def folder(index: Index, prefix: str = "", after: str = "", limit: int = 200) -> Folder:
    """Return a page of the folders and objects directly below a prefix, in order of their keys.

    Raises NotFoundError when nothing begins with the prefix.
    """
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    keys = index.keys
    begin, end = bisect_left(keys, prefix), bisect_left(keys, prefix + _LAST)
    if prefix and begin == end:
        raise NotFoundError(f"nothing lies below {prefix!r}: it may have been removed since")
    at = begin
    if after:
        at = max(begin, bisect_left(keys, after + (_LAST if after.endswith("/") else "\0")))
    items: list[Item] = []
    while at < end and len(items) < limit:
        name, slash, _ = keys[at][len(prefix) :].partition("/")
        if slash:
            own = prefix + name + "/"
            stop = bisect_left(keys, own + _LAST, at, end)
            newest = max(entry.modified for entry in index.entries[at : min(stop, at + 5_000)])
            items.append(Item(own, index.sums[stop] - index.sums[at], stop - at, newest))
            at = stop
        else:
            entry = index.entries[at]
            items.append(Item(entry.key, entry.size, 1, entry.modified))
            at += 1
    return Folder(
        prefix,
        items,
        index.sums[end] - index.sums[begin],
        end - begin,
        items[-1].key if items and at < end else None,
    )


def sizes(index: Index) -> dict[str, tuple[int, int]]:
    """Return (bytes, objects) of each top folder."""
    return {item.key.rstrip("/"): (item.size, item.objects) for item in folder(index, limit=10_000).items}


def below(index: Index, prefix: str) -> tuple[int, int]:
    """Return (bytes, objects) below a prefix."""
    begin, end = bisect_left(index.keys, prefix), bisect_left(index.keys, prefix + _LAST)
    return index.sums[end] - index.sums[begin], end - begin


@dataclass(frozen=True, slots=True)
class Preview:
    """The beginning of an object, by its kind: `table`, `text`, or `none` and `damaged` with the reason why."""

    kind: str
    table: pa.Table | None = None
    text: str = ""
    note: str = ""
    facts: tuple[tuple[str, str], ...] = ()


def preview(store: Store, entry: Entry) -> Preview:
    """Read the beginning of an object as far as it can be shown: Parquet, JSON or other text, also compressed."""
    key = entry.key
    if entry.size > _MOST_PREVIEW and not key.endswith(".parquet"):
        return Preview("none", note="too large for a preview: download it")
    if key.endswith(".parquet"):
        return _parquet(store, key, entry.size)
    if key.endswith(".tar.zst"):
        return Preview("none", note="a bundle: `archiver bundle ls` lists its runs")
    data = store.get(key)
    if key.endswith(".zst"):
        try:
            data = decompress(data, key)
        except ArchiverError as error:
            return Preview("damaged", note=str(error))
    return _text(data, key)


def _text(data: bytes, key: str) -> Preview:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return Preview("none", note="not text")
    if ".json" in key and ".jsonl" not in key:
        import json

        try:
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        except (ValueError, RecursionError):
            return Preview("damaged", note=f"{key} is damaged: its name says JSON, but it is none")
    if len(text) > _MOST_TEXT:
        return Preview("text", text=text[:_MOST_TEXT], note=f"the first {_MOST_TEXT:,} characters")
    return Preview("text", text=text, note="" if text else "empty: a marker whose name says everything")


def _parquet(store: Store, key: str, size: int) -> Preview:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with store.open(key) as source:
            file = pq.ParquetFile(pa.PythonFile(source, mode="r"))
            about: Any = file.metadata
            check_bounds(about, key, size)
            rows = next(iter(file.iter_batches(_MOST_ROWS, use_threads=False)), None)
            table = pa.table({}) if rows is None else pa.Table.from_batches([rows])
    except IntegrityError as error:
        return Preview("damaged", note=str(error))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:120]
        return Preview("damaged", note=f"{key} is damaged: it cannot be read as Parquet ({reason})")
    facts = (
        ("Rows", f"{about.num_rows:,}"),
        ("Columns", f"{len(table.column_names):,}"),
        ("Row groups", f"{about.num_row_groups:,}"),
        ("Written by", str(about.created_by)),
    )
    return Preview("table", table=table, facts=facts, note=f"the first {table.num_rows} rows")
