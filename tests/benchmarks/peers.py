"""Who is compared: archiver, three ways of plain files, and other tools where they are installed.

Each peer keeps the same results as its users would. None means that it has no such operation. Only archiver
writes durably (fsync); the others keep the advantage of not doing so.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import zstandard

import archiver

Result = dict[str, Any]
DETAIL = ("trades_detailed", "equity_curve", "drawdown_curve")


def flat(result: Result) -> Result:
    """Return the metrics of a result, with its name."""
    return {key: value for key, value in result.items() if key not in DETAIL}


def detailed(results: Iterable[Result]) -> list[Result]:
    """Return the results that carry details."""
    return [result for result in results if "trades_detailed" in result]


class Peer:
    """One way of keeping results in a folder."""

    name: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder

    def save(self, universe: str, results: list[Result]) -> None:
        """Keep all results of a universe."""
        raise NotImplementedError

    def metrics(self) -> pd.DataFrame:
        """Load the metrics of all universes."""
        raise NotImplementedError

    def strategy(self, universe: str, name: str) -> Any:
        """Load one strategy's details as Python objects."""
        raise NotImplementedError

    def table(self, universe: str, name: str) -> Any:
        """Load one strategy's trades, without the bars around them, as a table."""
        raise NotImplementedError

    def save_small(self, i: int, result: Result) -> None:
        """Keep a run of one result."""
        raise NotImplementedError

    def small_metrics(self) -> pd.DataFrame:
        """Load the metrics of all small runs."""
        raise NotImplementedError

    def ready(self) -> None:
        """Do what users do now and then between writing and reading; not part of any time."""


class Archiver(Peer):
    """The project itself, through its public interface."""

    name = "archiver"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.archive = archiver.open(str(folder))

    def save(self, universe: str, results: list[Result]) -> None:
        self.archive.save_universe_results(universe, results, code="none")

    def metrics(self) -> pd.DataFrame:
        return self.archive.load_metrics().to_pandas()

    def strategy(self, universe: str, name: str) -> Any:
        return self.archive.load_strategy(name, universe=universe)

    def table(self, universe: str, name: str) -> Any:
        columns = ["entry_time", "exit_time", "entry_price", "exit_price", "direction", "pnl_pips", "pnl_usd"]
        return self.archive.load_trades(name, universe=universe, columns=[*columns, "pnl_pct", "exit_reason"])

    def save_small(self, i: int, result: Result) -> None:
        self.archive.save_universe_results(f"small_{i}", [result], code="none")

    def small_metrics(self) -> pd.DataFrame:
        return self.archive.load_metrics().to_pandas()

    def ready(self) -> None:
        self.archive.compact()


class IndentedJson(Peer):
    """What users have today: `json.dump(indent=2)`, one file of metrics, one a strategy."""

    name = "json indent=2"

    def _write(self, path: Path, value: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            json.dump(value, file, indent=2)

    def _read(self, path: Path) -> Any:
        with path.open() as file:
            return json.load(file)

    suffix = "json"

    def save(self, universe: str, results: list[Result]) -> None:
        self._write(self.folder / f"metrics/{universe}.{self.suffix}", [flat(result) for result in results])
        for result in detailed(results):
            self._write(self.folder / f"detail/{universe}/{result['strategy_name']}.{self.suffix}", result)

    def metrics(self) -> pd.DataFrame:
        rows = [row for path in sorted(self.folder.glob("metrics/*")) for row in self._read(path)]
        return pd.json_normalize(rows)

    def strategy(self, universe: str, name: str) -> Any:
        return self._read(self.folder / f"detail/{universe}/{name}.{self.suffix}")

    def table(self, universe: str, name: str) -> Any:
        return pd.DataFrame(self.strategy(universe, name)["trades_detailed"]).drop(columns="price_history")

    def save_small(self, i: int, result: Result) -> None:
        self._write(self.folder / f"{i}/run.{self.suffix}", result)

    def small_metrics(self) -> pd.DataFrame:
        return pd.DataFrame([flat(self._read(path)) for path in self.folder.glob("*/run.*")])


class PackedJson(IndentedJson):
    """The quick remedy: orjson and zstd."""

    name = "orjson+zstd-3"
    suffix = "json.zst"

    def _write(self, path: Path, value: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(zstandard.compress(orjson.dumps(value), 3))

    def _read(self, path: Path) -> Any:
        return orjson.loads(zstandard.decompress(path.read_bytes()))


class NestedParquet(Peer):
    """One Parquet of metrics, and nested Parquet for details. Not exact: 0 becomes 0.0, missing keys None."""

    name = "nested Parquet"

    def _write(self, path: Path, rows: list[Result]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Arrow refuses int 0 among floats of a list of dicts in places; through pandas it becomes 0.0.
        table = pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)
        pq.write_table(table, path, compression="zstd", compression_level=3)

    def save(self, universe: str, results: list[Result]) -> None:
        self._write(self.folder / f"metrics/{universe}.parquet", [flat(result) for result in results])
        for result in detailed(results):
            path = self.folder / f"detail/{universe}/{result['strategy_name']}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            trades = pa.Table.from_pylist(result["trades_detailed"])
            pq.write_table(trades, path, compression="zstd", compression_level=3)
            self._write(path.with_suffix(".curves"), [{key: result[key] for key in DETAIL[1:]}])

    def metrics(self) -> pd.DataFrame:
        return ds.dataset(self.folder / "metrics").to_table().to_pandas()

    def strategy(self, universe: str, name: str) -> Any:
        path = self.folder / f"detail/{universe}/{name}.parquet"
        return pq.read_table(path).to_pylist(), pq.read_table(path.with_suffix(".curves")).to_pylist()

    def table(self, universe: str, name: str) -> Any:
        columns = ["entry_time", "exit_time", "entry_price", "exit_price", "direction", "pnl_pips", "pnl_usd"]
        path = self.folder / f"detail/{universe}/{name}.parquet"
        return pq.read_table(path, columns=[*columns, "pnl_pct", "exit_reason"])

    def save_small(self, i: int, result: Result) -> None:
        folder = self.folder / str(i)
        folder.mkdir()
        self._write(folder / "metrics.parquet", [flat(result)])
        pq.write_table(
            pa.Table.from_pylist(result["trades_detailed"]), folder / "trades.parquet", compression="zstd"
        )
        self._write(folder / "curves.parquet", [{key: result[key] for key in DETAIL[1:]}])

    def small_metrics(self) -> pd.DataFrame:
        return pd.concat(pd.read_parquet(path) for path in self.folder.glob("*/metrics.parquet"))


def _numbers(result: Result) -> dict[str, float]:
    return {key: float(value) for key, value in flat(result).items() if isinstance(value, int | float)}


class Mlflow(Peer):
    """A run of an experiment tracker for each small run, details as an artifact."""

    name = "MLflow"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        import mlflow

        self.mlflow = mlflow
        mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
        mlflow.create_experiment("small", artifact_location=(folder / "artifacts").as_uri())
        mlflow.set_experiment("small")

    def save_small(self, i: int, result: Result) -> None:
        with self.mlflow.start_run(run_name=str(i)):
            self.mlflow.log_metrics(
                {key: value for key, value in _numbers(result).items() if np.isfinite(value)}
            )
            self.mlflow.log_dict({key: result[key] for key in DETAIL}, "detail.json")

    def small_metrics(self) -> pd.DataFrame:
        return self.mlflow.search_runs(max_results=50_000)


class Arctic(Peer):
    """A library for time series: a symbol for each table."""

    name = "ArcticDB"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        import arcticdb

        self.library = arcticdb.Arctic(f"lmdb://{folder}").create_library("results")

    def save(self, universe: str, results: list[Result]) -> None:
        self.library.write(f"metrics/{universe}", pd.DataFrame(map(_numbers, results)))

    def metrics(self) -> pd.DataFrame:
        symbols = [name for name in self.library.list_symbols() if name.startswith("metrics/")]
        return pd.concat(item.data for item in self.library.read_batch(symbols))

    def save_small(self, i: int, result: Result) -> None:
        trades = pd.DataFrame(result["trades_detailed"]).drop(columns="market_context")
        curves = pd.DataFrame({key: result[key] for key in DETAIL[1:]})
        self.library.write(f"trades/{i}", trades, metadata=_numbers(result))
        self.library.write(f"curves/{i}", curves)

    def small_metrics(self) -> pd.DataFrame:
        symbols = [name for name in self.library.list_symbols() if name.startswith("trades/")]
        return pd.DataFrame([self.library.read_metadata(name).metadata for name in symbols])


class Delta(Peer):
    """A table format with a log: an append for each run."""

    name = "deltalake"

    def _append(self, table: str, frame: pd.DataFrame) -> None:
        import deltalake

        deltalake.write_deltalake(str(self.folder / table), pa.Table.from_pandas(frame), mode="append")

    def _read(self, table: str) -> pd.DataFrame:
        import deltalake

        return deltalake.DeltaTable(str(self.folder / table)).to_pandas()

    def save(self, universe: str, results: list[Result]) -> None:
        self._append("metrics", pd.DataFrame(map(_numbers, results)).assign(universe=universe))

    def metrics(self) -> pd.DataFrame:
        return self._read("metrics")

    def save_small(self, i: int, result: Result) -> None:
        self._append("small", pd.DataFrame([_numbers(result)]).assign(run=i))
        trades = pd.DataFrame(result["trades_detailed"]).drop(columns="market_context")
        self._append("trades", trades.assign(run=i))
        self._append("curves", pd.DataFrame({key: result[key] for key in DETAIL[1:]}).assign(run=i))

    def small_metrics(self) -> pd.DataFrame:
        return self._read("small")


_OPTIONAL: dict[str, type[Peer]] = {"mlflow": Mlflow, "arcticdb": Arctic, "deltalake": Delta}


def peers() -> list[type[Peer]]:
    """Return archiver, the plain ways, and those tools that are installed."""
    found = [peer for module, peer in _OPTIONAL.items() if importlib.util.find_spec(module)]
    return [Archiver, IndentedJson, PackedJson, NestedParquet, *found]


def has(peer: type[Peer], operation: str) -> bool:
    """Tell whether a peer has an operation at all."""
    mine: Callable[..., Any] = getattr(peer, operation)
    return mine is not getattr(Peer, operation)
