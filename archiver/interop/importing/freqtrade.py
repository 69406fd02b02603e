"""Result files of freqtrade: zip files of backtests, the older plain JSON, and .fthypt of hyperopt."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from archiver.engines.freqtrade import of_epoch, of_strategy, universe_of, without_secrets
from archiver.errors import IntegrityError
from archiver.interop.importing.batch import (
    NO_CODE,
    SKIPPED,
    Batch,
    Outcome,
    Result,
    fingerprint,
    load_json,
)
from archiver.interop.importing.find import Found
from archiver.interop.importing.listed import listed_code
from archiver.interop.importing.source import Source
from archiver.interop.importing.spool import Spool

if TYPE_CHECKING:
    import pyarrow as pa

_MOST = 1 << 30
"""Bytes that a file inside a zip may unpack to."""
_FILEVERSION = "fthypt_fileversion"
_KNOWN_FILEVERSION = 2
_WALLET, _MARKET = ("date", "rate", "balance"), ("date", "rel_mean")


def read_freqtrade(source: Source, found: Found, spool: Spool, outcomes: list[Outcome]) -> Iterator[Batch]:
    """Yield the batch of one result file. Raises IntegrityError where it is damaged or of an unknown version."""
    entry = found.entries[0]
    stem = entry.key.rpartition("/")[2].rpartition(".")[0]
    if entry.key.endswith(".fthypt"):
        yield _hyperopt(source, found, stem, spool)
        return
    if entry.key.endswith(".zip"):
        files = _unpacked(source.read(entry.key), entry.key, outcomes)
        name = f"{stem}.json"
        if name not in files:
            # The zip was renamed: its result is the one JSON that is no configuration and no parameters.
            results = [
                one for one in files if one.endswith(".json") and b'"strategy_comparison"' in files[one]
            ]
            if len(results) != 1:
                raise IntegrityError(
                    f"{entry.key} has no result of a backtest: {', '.join(files) or 'nothing'}"
                )
            name = results[0]
            stem = name.removesuffix(".json")
        content = load_json(files.pop(name), f"{entry.key}/{name}")
    else:
        files, content = {}, load_json(source.read(entry.key), entry.key)
    yield _backtest(source, found, stem, content, files, outcomes)


def _unpacked(data: bytes, key: str, outcomes: list[Outcome]) -> dict[str, bytes]:
    files = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            for member in packed.infolist():
                if member.filename.endswith((".pkl", ".joblib")):
                    outcomes.append(
                        Outcome(f"{key}/{member.filename}", SKIPPED, "a pickle: it is never opened")
                    )
                elif member.file_size > _MOST:
                    raise IntegrityError(f"{key}/{member.filename} unpacks to more than {_MOST >> 20} MB")
                elif not member.is_dir():
                    files[member.filename] = packed.read(member)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise IntegrityError(f"{key} is damaged or half-written: {error}") from None
    except Exception as error:  # noqa: BLE001  # zlib has an error of its own for each way bytes can be wrong
        raise IntegrityError(f"{key} is damaged: {error}") from None
    return files


def _backtest(
    source: Source,
    found: Found,
    stem: str,
    content: Any,
    files: dict[str, bytes],
    outcomes: list[Outcome],
) -> Batch:
    entry = found.entries[0]
    strategies = content.get("strategy") if isinstance(content, dict) else None
    if not isinstance(strategies, dict) or not all(isinstance(one, dict) for one in strategies.values()):
        raise IntegrityError(
            f"{entry.key} is no result of freqtrade that archiver knows: it has no strategies"
        )
    facts: dict[str, Any] = {}
    for name, key in (("strategy_comparison", "strategy_comparison"), ("metadata", "metadata")):
        if content.get(key):
            facts[name] = content[key]
    for meta in found.entries[1:]:
        facts["metadata"] = load_json(source.read(meta.key), meta.key)
    config = files.pop(f"{stem}_config.json", None)
    if config is not None:
        facts["config"] = without_secrets(load_json(config, f"{entry.key}/{stem}_config.json"))
    sources = {name: files.pop(name) for name in [*files] if name.endswith(".py")}
    code, blobs = listed_code(
        ((f"{entry.key}/{name}", name.removeprefix(f"{stem}_"), data) for name, data in sources.items()),
        outcomes,
    )
    feathers = {name: files.pop(name) for name in [*files] if name.endswith(".feather")}
    market = _table(feathers.pop(f"{stem}_market_change.feather", None), entry.key, _MARKET)
    details = {}
    for name in strategies:
        params = files.pop(f"{stem}_{name}.json", None)
        details[name] = (
            None if params is None else _params(load_json(params, f"{entry.key}/{stem}_{name}.json")),
            _table(feathers.pop(f"{stem}_{name}_wallet.feather", None), entry.key, _WALLET),
        )
    left = "not a part of a result that archiver knows"
    outcomes += [Outcome(f"{entry.key}/{name}", SKIPPED, left) for name in (*files, *feathers)]
    first: dict[str, Any] = next(iter(strategies.values()), {})
    started = first.get("backtest_run_start_ts")
    created = datetime.fromtimestamp(started, UTC) if isinstance(started, int) else entry.modified
    universe = universe_of(first)

    def results() -> Iterator[Result]:
        for name, stats in strategies.items():
            params, wallet = details[name]
            yield of_strategy(name, stats, params, wallet=wallet, market=market)

    return Batch(
        key=entry.key,
        form="freqtrade",
        universe=universe,
        created=min(created, datetime.now(UTC)),
        fingerprint=fingerprint("freqtrade", universe, source.sha256(entry.key)),
        results=results,
        facts=facts,
        code=code if blobs else NO_CODE,
        blobs=blobs,
    )


def _params(content: Any) -> dict[str, Any]:
    """Return what a strategy was optimised to: the spaces of its parameter file, by space and name."""
    told = content.get("params") if isinstance(content, dict) else None
    return told if isinstance(told, dict) else {}


def _table(data: bytes | None, key: str, wanted: tuple[str, ...]) -> pa.Table | None:
    if data is None:
        return None
    import pyarrow as pa

    try:
        # What pandas calls feather is Arrow's own file; `pyarrow.feather` imports pandas.
        table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
    except pa.ArrowException as error:
        raise IntegrityError(f"{key} has a damaged table: {str(error).splitlines()[0]}") from None
    if not {*wanted} <= {*table.column_names}:
        raise IntegrityError(f"{key} has a table of {table.column_names}: archiver knows {', '.join(wanted)}")
    return table.replace_schema_metadata(None)  # it is of the frame's index, a range


def _hyperopt(source: Source, found: Found, stem: str, spool: Spool) -> Batch:
    entry = found.entries[0]
    strategy = stem.removeprefix("strategy_").rsplit("_", 2)[0] or "strategy"
    universe = ""
    with source.open(entry.key) as file:
        for at, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                epoch = json.loads(line)
            except ValueError as error:
                raise IntegrityError(f"{entry.key} is damaged in line {at}: {error}") from None
            version = epoch.get(_FILEVERSION) if isinstance(epoch, dict) else None
            if version != _KNOWN_FILEVERSION:
                raise IntegrityError(
                    f"{entry.key} has {_FILEVERSION} {version!r} in line {at}: archiver knows {_KNOWN_FILEVERSION}"
                )
            told = epoch.get("results_metrics") or {}
            strategy = told.get("strategy_name") or strategy
            universe = universe or universe_of(told)
            epoch.setdefault("current_epoch", at)
            spool.add("epochs", of_epoch(strategy, epoch))
    universe = universe or "freqtrade"
    return Batch(
        key=entry.key,
        form="freqtrade-hyperopt",
        universe=universe,
        created=entry.modified,
        fingerprint=fingerprint("freqtrade-hyperopt", universe, source.sha256(entry.key)),
        results=partial(spool.values, "epochs"),
    )
