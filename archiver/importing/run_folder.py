"""A folder for each run of an optimiser: YYYYMMDD_HHMMSS_mmm/{results,code,metadata}."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from archiver.capture.secrets import credential, secret_name
from archiver.errors import IntegrityError
from archiver.importing.batch import (
    SKIPPED,
    Batch,
    Outcome,
    Result,
    as_result,
    fingerprint,
    load_json,
    moment,
)
from archiver.importing.find import Found
from archiver.importing.source import Source
from archiver.model import Code, CodeFile, Entry

_STAMP = re.compile(r"(\d{8})_(\d{6})(?:_(\d{1,6}))?")
_MOST_CODE = 4 << 20
_MOST_TEXT = 64 << 10
_LISTS = ("results", "all_results", "strategies")
_ROLES = (
    (re.compile("equity", re.IGNORECASE), "equity_curve"),
    (re.compile("drawdown", re.IGNORECASE), "drawdown_curve"),
    (re.compile("trade", re.IGNORECASE), "trades_detailed"),
)
_NAMES = ("strategy_name", "strategy", "name")
_CURVES = {
    "drawdown_curve": ("drawdown",),
    "equity_curve": ("equity", "balance", "capital", "portfolio"),
}
_KINDS: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"-?(0|[1-9]\d*)"), int),
    (
        re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)(e[+-]?\d+)?|nan|[+-]?inf(inity)?", re.IGNORECASE),
        float,
    ),
    (re.compile(r"true|false", re.IGNORECASE), lambda cell: cell.lower() == "true"),
)
"""What a column of CSV holds where every cell is of one kind; 007 and dates are text."""


def read_run_folder(source: Source, found: Found, outcomes: list[Outcome]) -> Iterator[Batch]:
    """Yield the batch of one run folder. `outcomes` takes what is not read of it.

    Raises IntegrityError, naming the file, when its results or metadata are damaged.
    """
    folder = _Folder(source, found, outcomes)
    metadata = folder.metadata()
    results = folder.results(metadata)
    code, blobs = folder.code()
    universe = _universe({**metadata, **folder.facts}, results, found.key, source)
    if not results:
        raise IntegrityError(f"{found.key}/results holds no results that can be read")
    digests = [
        text for entry in found.entries for text in (entry.key[len(found.key) :], source.sha256(entry.key))
    ]
    yield Batch(
        key=found.key,
        form="run-folder",
        universe=universe,
        created=_created(found),
        fingerprint=fingerprint("run-folder", found.key.rpartition("/")[2], *digests),
        results=lambda: (as_result(one, universe, found.key) for one in results),
        facts={name: facts for name, facts in (("metadata", metadata), ("results", folder.facts)) if facts},
        code=code,
        blobs=blobs,
    )


def _created(found: Found) -> datetime:
    latest = max(entry.modified for entry in found.entries)
    match = _STAMP.match(found.key.rpartition("/")[2])
    try:
        assert match is not None  # noqa: S101 - only folders of such names are found
        stamp = datetime.strptime(match[1] + match[2], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        return moment(stamp.replace(microsecond=int((match[3] or "0").ljust(6, "0"))).isoformat(), latest)
    except ValueError:
        return latest


def _universe(metadata: dict[str, Any], results: list[Result], key: str, source: Source) -> str:
    for facts in (*metadata.values(), *results):
        for name in ("universe_name", "universe"):
            if isinstance(facts, dict) and isinstance(facts.get(name), str) and facts[name]:
                return str(facts[name])
    return key.rpartition("/")[0].rpartition("/")[2] or source.name or "runs"


@dataclass(slots=True)
class _Folder:
    """The files of one run folder."""

    source: Source
    found: Found
    outcomes: list[Outcome]
    facts: dict[str, Any] = field(default_factory=dict)
    """What files of results say besides results, by name."""
    listed: list[Result] = field(default_factory=list)
    named: dict[str, Result] = field(default_factory=dict)
    """Results that have a file of their own, by strategy."""
    parts: Result = field(default_factory=dict)
    """What files of single parts (metrics, trades, a curve) say of the one strategy that such a folder is of."""

    def _files(self, part: str) -> Iterator[tuple[Entry, str]]:
        prefix = f"{self.found.key}/{part}/"
        for entry in self.found.entries:
            if entry.key.startswith(prefix):
                yield entry, entry.key[len(prefix) :]

    def metadata(self) -> dict[str, Any]:
        """Return metadata files by name: parsed JSON, or text."""
        found: dict[str, Any] = {}
        for entry, name in self._files("metadata"):
            if name.endswith(".json"):
                found[name] = load_json(self.source.read(entry.key), entry.key)
            elif entry.size <= _MOST_TEXT:
                found[name] = self.source.read(entry.key).decode("utf-8", "backslashreplace")
            else:
                self.outcomes.append(Outcome(entry.key, SKIPPED, f"larger than {_MOST_TEXT} bytes"))
        return found

    def results(self, metadata: dict[str, Any]) -> list[Result]:
        """Return the results, put together from what the files hold."""
        for entry, name in self._files("results"):
            stem, _, suffix = name.rpartition(".")
            if suffix == "json":
                value = load_json(self.source.read(entry.key), entry.key)
            elif suffix in ("csv", "parquet"):
                value = _table(self.source.read(entry.key), suffix, entry.key)
            else:
                self.outcomes.append(Outcome(entry.key, SKIPPED, "not in a format that archiver knows"))
                continue
            if not self._take(stem, value, entry.key):
                self.outcomes.append(Outcome(entry.key, SKIPPED, "neither metrics, trades nor a curve"))
        return self._together(metadata)

    def _together(self, metadata: dict[str, Any]) -> list[Result]:
        if self.parts and len(self.named) == 1 and not self.listed:
            (name,) = self.named
            self.named[name] |= self.parts
        elif self.parts:
            name = _strategy(self.parts, metadata) or self.found.key.rpartition("/")[2]
            self.named[name] = {"strategy_name": name, **self.named.get(name, {}), **self.parts}
        # A strategy that is in a list, and has a file with its trades, is one strategy.
        joined = [{**one, **self.named.pop(one.get("strategy_name", ""), {})} for one in self.listed]
        return joined + list(self.named.values())

    def _take(self, stem: str, value: Any, key: str) -> bool:
        """Take the content of one file; tell whether it was understood."""
        role = next((role for pattern, role in _ROLES if pattern.search(stem)), None)
        if isinstance(value, dict):
            lists = [name for name in _LISTS if isinstance(value.get(name), list)]
            if lists:
                self.listed += [as_result(item, "", key) for item in value[lists[0]]]
                self.facts[f"{stem}.json"] = {k: v for k, v in value.items() if k != lists[0]}
                return True
            if isinstance(value.get("strategy_name"), str):
                flat = as_result(value, "", key)
                self.named.setdefault(flat["strategy_name"], {}).update(flat)
                return True
            if role is None or not isinstance(value.get(role), list):
                flat = as_result({**value, "strategy_name": ""}, "", key)
                self.parts |= {k: v for k, v in flat.items() if k != "strategy_name"}
                return True
            value = value[role]
        return isinstance(value, list) and self._take_list(role, value, key)

    def _take_list(self, role: str | None, value: list[Any], key: str) -> bool:
        rows = bool(value) and all(isinstance(item, dict) for item in value)
        if rows and "strategy_name" in value[0]:
            self.listed += [as_result(item, "", key) for item in value]
        elif role == "trades_detailed" and (rows or not value):
            self.parts[role] = value
        elif role in ("equity_curve", "drawdown_curve"):
            curves = _curves(role, value) if rows else {role: value}
            self.parts |= curves
            return bool(curves)
        elif rows and len(value) == 1:
            self.parts |= value[0]
        else:
            return False
        return True

    def code(self) -> tuple[Code, dict[str, bytes]]:
        """Return the copied code as a run's code, and its bytes by sha256; secrets stay out."""
        files, blobs, warnings = [], {}, []
        for entry, name in self._files("code"):
            if "__pycache__/" in name or name.endswith(".pyc"):
                continue
            data = self.source.read(entry.key, _MOST_CODE + 1)
            secret = "its name" if secret_name(name) else credential(data)
            if secret or len(data) > _MOST_CODE:
                warnings.append(f"{name}: " + (f"looks like a secret ({secret})" if secret else "too large"))
                self.outcomes.append(Outcome(entry.key, SKIPPED, warnings[-1].partition(": ")[2]))
                continue
            digest = hashlib.sha256(data).hexdigest()
            files.append(CodeFile(name, len(data), digest))
            blobs[digest] = data
        if not files:
            return Code("none", reason="the run's folder has no code", warnings=tuple(warnings)), {}
        return Code("listed", tuple(files), provenance={"imported": True}, warnings=tuple(warnings)), blobs


def _strategy(one: Result, metadata: dict[str, Any]) -> str | None:
    for facts in (one, *metadata.values()):
        for name in _NAMES:
            if isinstance(facts, dict) and isinstance(facts.get(name), str) and facts[name]:
                return str(facts[name])
    return None


def _curves(role: str, rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the curves that a table holds, told by the names of its columns; of one column of numbers alone the role."""
    numbers = [name for name in rows[0] if all(isinstance(row.get(name), int | float) for row in rows)]
    curves: dict[str, list[Any]] = {}
    for curve, words in _CURVES.items():
        for name in numbers:
            if curve not in curves and any(word in name.lower() for word in words):
                curves[curve] = [row[name] for row in rows]
    if not curves and len(numbers) == 1:
        curves[role] = [row[numbers[0]] for row in rows]
    return curves


def _table(data: bytes, suffix: str, key: str) -> list[Any]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        if suffix == "parquet":
            return list(parquet.read_table(io.BytesIO(data)).to_pylist())
        return _csv_rows(data.decode("utf-8-sig"))
    except (pa.ArrowException, ValueError, csv.Error) as error:
        raise IntegrityError(f"{key} is damaged: {str(error).splitlines()[0]}") from None


def _csv_rows(text: str) -> list[dict[str, Any]]:
    """Read rows; a column is numbers or truth values where every cell is one, and a name is always text."""
    head, *lines = list(csv.reader(io.StringIO(text), strict=True)) or [[]]
    lines = [line for line in lines if line]
    if any(len(line) != len(head) for line in lines):
        raise ValueError("a line has more or fewer cells than the first one")
    columns = [
        list(cells) if name in _NAMES else _cells(cells)
        for name, cells in zip(head, zip(*lines, strict=True), strict=False)
    ]
    return [dict(zip(head, row, strict=True)) for row in zip(*columns, strict=True)]


def _cells(cells: Sequence[str]) -> list[Any]:
    filled = [cell for cell in cells if cell]
    for pattern, convert in _KINDS:
        if filled and all(map(pattern.fullmatch, filled)):
            return [convert(cell) if cell else None for cell in cells]
    return list(cells)
