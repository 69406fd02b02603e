"""Telling by names which files of a folder hold results, in which old format, and which belong together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from zipfile import BadZipFile, ZipFile

from archiver.errors import ConfigError
from archiver.format import layout
from archiver.interop.importing.source import RUN_FOLDER, SIDECAR, Source, sidecars
from archiver.store.entry import Entry

METRICS = "all_strategies_metrics.json"
DETAILS = "detailed_trades"
_FOLDERS = ("tiered-json", "run-folder")
_PARTS = frozenset({"results", "code", "metadata"})
_COMPRESSED = tuple(
    f".{kind}.{packer}" for kind in ("json", "parquet") for packer in ("gz", "zst", "bz2", "xz", "zip")
)
_NAMED = (".json", *_COMPRESSED)
_FREQTRADE, _LAST_RESULT = "backtest-result", ".last_result.json"
_FREQTRADE_JSON = re.compile(rb'\s*\{\s*"(?:metadata|strategy_comparison|strategy)"\s*:\s*[{\[]')
_HEAD = 100
_LEAN_JSON = re.compile(
    rb'\s*\{\s*"(?:rollingWindow|RollingWindow|totalPerformance|TotalPerformance|charts|Charts)"\s*:\s*\{'
)
_BESIDE = ("-summary.json", "-order-events.json")
_FEW, _MOST_NAMED = 5, 20
_UNKNOWN = "not in a format that archiver knows"
_NAME_UNKNOWN = (
    "not a name that archiver knows: `archiver import` of the file itself reads it if it holds results"
)


@dataclass(slots=True)
class Found:
    """Files that are read together.

    `form` is tiered-json, universe-json, parquet, run-folder, freqtrade or lean; `key` names the group: a file, or a folder ("" for
    the source itself).
    """

    form: str
    key: str
    entries: list[Entry] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(entry.size for entry in self.entries)

    @property
    def folder(self) -> str:
        """The folder that its files lie in."""
        return self.key if self.form in _FOLDERS else self.key.rpartition("/")[0]


@dataclass(slots=True)
class Findings:
    """What a source holds: groups to read, and (key, why) of what is left."""

    groups: list[Found]
    left: list[tuple[str, str]]

    @property
    def size(self) -> int:
        """Bytes of all groups."""
        return sum(group.size for group in self.groups)


def find(source: Source) -> Findings:
    """Sort the files of a source into groups.

    Raises ConfigError for an archive, and where nothing is in a format that is known.
    """
    entries = source.entries()
    if not entries and not source.passed_over:
        raise ConfigError(f"nothing to import at {source.url}: no file is there")
    if any(entry.key == layout.ARCHIVE for entry in entries):
        if not any(entry.key == METRICS or entry.key.startswith(f"{DETAILS}/") for entry in entries):
            raise ConfigError(f"{source.url} is an archive already: `archiver copy` copies it")
        entries = [entry for entry in entries if not _of_an_archive(entry.key)]
    archives = _archives(entries)
    for folder in archives:
        entries = [
            e for e in entries if not (e.key.startswith(folder) and _of_an_archive(e.key[len(folder) :]))
        ]
    groups, rest = _run_folders(entries)
    tiered, rest = _tiered(rest)
    engines, rest = _of_engines(source, rest)
    groups += engines
    single, rest, left = _single(rest, alone=len(entries) <= 2)
    groups += tiered + single
    left += [(folder.rstrip("/"), "an archive: `archiver copy` copies it") for folder in archives]
    left += [*_summed_up(rest), *source.passed_over]
    if not groups:
        told = [f"; {key}: {why}" for key, why in left if not why.startswith((_UNKNOWN, _NAME_UNKNOWN))]
        raise ConfigError(
            f"{source.url} holds no results in a format that archiver knows: `archiver import` reads"
            f" {METRICS} with {DETAILS}/, *_backtest.json, *.parquet, folders named by date and time, and results of freqtrade and Lean"
            + "".join(told[:1])
        )
    return Findings(sorted(groups, key=lambda group: (group.key, group.form)), left)


def _archives(entries: Sequence[Entry]) -> list[str]:
    """Return the folders below the source that are archives, with a slash: their Parquet is no source of results."""
    folders = [
        entry.key.removesuffix(layout.ARCHIVE)
        for entry in entries
        if entry.key.endswith(f"/{layout.ARCHIVE}")
    ]
    return [
        folder
        for folder in folders
        if any(
            entry.key.startswith(folder) and entry.key.startswith(layout.AREAS, len(folder))
            for entry in entries
        )
    ]


def _of_an_archive(key: str) -> bool:
    return key == layout.ARCHIVE or key.startswith(layout.AREAS)


def _run_folders(entries: Sequence[Entry]) -> tuple[list[Found], list[Entry]]:
    groups: dict[str, Found] = {}
    rest = []
    for entry in entries:
        parts = entry.key.split("/")
        for at, part in enumerate(parts[:-2]):
            if RUN_FOLDER.fullmatch(part) and parts[at + 1] in _PARTS:
                folder = "/".join(parts[: at + 1])
                groups.setdefault(folder, Found("run-folder", folder)).entries.append(entry)
                break
        else:
            rest.append(entry)
    return list(groups.values()), rest


def _tiered(entries: Sequence[Entry]) -> tuple[list[Found], list[Entry]]:
    groups: dict[str, Found] = {}
    rest = []
    for entry in entries:
        folder, _, name = entry.key.rpartition("/")
        parent, _, last = folder.rpartition("/")
        if name == METRICS:
            groups.setdefault(folder, Found("tiered-json", folder)).entries.append(entry)
        elif last == DETAILS and name.endswith(".json"):
            groups.setdefault(parent, Found("tiered-json", parent)).entries.append(entry)
        else:
            rest.append(entry)
    return list(groups.values()), rest


def _of_engines(source: Source, entries: Sequence[Entry]) -> tuple[list[Found], list[Entry]]:
    """Group result files of engines, which their content tells; what they write beside comes along."""
    by_key = {entry.key: entry for entry in entries}
    groups, taken = [], set()
    for entry in entries:
        if _is_freqtrade(source, entry):
            meta = by_key.get(f"{entry.key.rpartition('.')[0]}.meta.json")
            groups.append(Found("freqtrade", entry.key, [entry, *([meta] if meta else [])]))
            last = f"{entry.key.rpartition('/')[0]}/{_LAST_RESULT}".lstrip("/")
            taken |= {entry.key, last, *([meta.key] if meta else [])}
        elif entry.key not in taken and _is_lean(source, entry):
            beside = _beside(entry, entries)
            groups.append(Found("lean", entry.key, [entry, *beside]))
            taken |= {entry.key, *(one.key for one in beside)}
    return groups, [entry for entry in entries if entry.key not in taken]


def _is_freqtrade(source: Source, entry: Entry) -> bool:
    name = _name(entry)
    if name.endswith(".fthypt"):
        return True
    if name.endswith(".zip") and not name.endswith(_COMPRESSED):
        with source.open(entry.key) as file:
            try:
                with ZipFile(file) as packed:
                    return any(one.endswith("_config.json") for one in packed.namelist())
            except (BadZipFile, OSError):
                return name.startswith(_FREQTRADE)  # a damaged one is named, not passed over
    return name.endswith(".json") and bool(_FREQTRADE_JSON.match(source.read(entry.key, _HEAD)))


def _is_lean(source: Source, entry: Entry) -> bool:
    """Tell a backtest of Lean: its JSON begins with a part that it alone has; a summary of one has no orders."""
    if not entry.key.endswith(".json") or entry.key.endswith(_BESIDE):
        return False
    return bool(_LEAN_JSON.match(source.read(entry.key, _HEAD)))


def _beside(result: Entry, entries: Iterable[Entry]) -> list[Entry]:
    """Return what Lean wrote beside a result: files that begin with its id, the folder `code`, its configuration."""
    folder, _, name = result.key.rpartition("/")
    within = f"{folder}/" if folder else ""
    stem = f"{within}{name.removesuffix('.json')}-"
    others = (f"{within}code/", f"{within}config", f"{within}log.txt")
    return [one for one in entries if one != result and one.key.startswith((stem, *others))]


def _single(
    entries: Sequence[Entry], *, alone: bool
) -> tuple[list[Found], list[Entry], list[tuple[str, str]]]:
    """Group what stands in one file. `alone`: the file was named, so its name need not follow a pattern."""
    by_key = {entry.key: entry for entry in entries}
    merged = any("merged" in _name(entry) and entry.key.endswith(".parquet") for entry in entries)
    groups, rest, left = [], [], []
    for entry in entries:
        key, name = entry.key, _name(entry)
        if key.endswith(".parquet"):
            if merged and "/batch_results/" in f"/{key}":
                left.append((key, "a part of the merged Parquet file, which is read"))
                continue
            groups.append(Found("parquet", key, [entry, *(by_key[k] for k in sidecars(key) if k in by_key)]))
        elif name.endswith(SIDECAR) and any(k in by_key for k in _tables_of(key)):
            continue
        elif name.endswith("_backtest.json") or (alone and name.endswith(".json")):
            groups.append(Found("universe-json", key, [entry]))
        else:
            rest.append(entry)
    return groups, rest, left


def _tables_of(sidecar: str) -> tuple[str, str]:
    stem = sidecar.removesuffix(SIDECAR)
    return f"{stem}.parquet", f"{stem}_backtest.parquet"


def _name(entry: Entry) -> str:
    return entry.key.rpartition("/")[2]


def _summed_up(entries: Iterable[Entry]) -> list[tuple[str, str]]:
    """Name the few, and JSON that may hold results; count the many."""
    listed = list(entries)
    named = listed if len(listed) <= _FEW else [entry for entry in listed if entry.key.endswith(_NAMED)]
    if len(named) > _MOST_NAMED:
        named = []
    kinds = Counter(_kind(entry) for entry in listed if entry not in named)
    left = [(entry.key, _why(entry)) for entry in named]
    if kinds:
        texts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(6))
        left.append((f"{kinds.total()} other files", f"{_UNKNOWN} ({texts})"))
    return left


def _why(entry: Entry) -> str:
    if entry.key.endswith(_COMPRESSED):
        return "compressed: unpack it, and import again"
    return _NAME_UNKNOWN if entry.key.endswith(".json") else _UNKNOWN


def _kind(entry: Entry) -> str:
    return _name(entry).rpartition(".")[2].lower() if "." in _name(entry) else "no suffix"
