"""What adapters of engines cost beside the engines' own runs, how fast files of freqtrade come in, what a large table takes.

    python -m tests.benchmarks.bench_engines                 # engines that are installed; others are named
    python -m tests.benchmarks.bench_engines bt freqtrade

Times are user and system time of this process, the least of several runs; each line has what it is to stay under.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import archiver

ROUNDS = 7
Lines = Iterator[tuple[str, float, str, float]]
"""What is measured, the figure, its unit, and what it is to reach."""
_LOAD = """
import json, sys
import archiver
from tests.benchmarks.run import peak, reset_peak
archive = archiver.open(sys.argv[1])
archive.load_metrics("u")
held = reset_peak()
table = archive.load_table("s", "orders")
print(json.dumps([table.nbytes / 1e6, (peak() - held) / 1e6]))
"""
FILES = Path(__file__).parent.parent / "fixtures/engines/freqtrade"


def least(call: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Return the least time that a call takes, in seconds of this process."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        call()
        times.append(time.process_time() - began)
    return min(times)


def beside(name: str, engine: Callable[[], Any], adapter: Callable[[Any], Any]) -> Lines:
    """Compare what `archiver.result` takes with the engine's own run; each engine's result is fresh: some compute when asked."""
    own, taken = [], []
    for _ in range(ROUNDS):
        began = time.process_time()
        obj = engine()
        done = time.process_time()
        adapter(obj)
        own.append(done - began)
        taken.append(time.process_time() - done)
    yield f"{name}: result, of the engine's {min(own) * 1000:.0f} ms", min(taken) / min(own) * 100, "%", 10.0


def prices(days: int, assets: int = 2) -> Any:
    """Return wandering prices by working day."""
    import numpy as np
    import pandas as pd

    steps = np.random.default_rng(1).normal(0, 0.01, (days, assets)).cumsum(axis=0)
    index = pd.date_range("2015-01-01", periods=days, freq="B")
    return pd.DataFrame(100 * np.exp(steps), index=index, columns=list("ABCDEFGH")[:assets])


def bars(days: int) -> Any:
    """Return bars whose four prices are near each other."""
    import pandas as pd

    close = prices(days)["A"]
    return pd.DataFrame(
        {"Open": close, "High": close * 1.01, "Low": close * 0.99, "Close": close, "Volume": 1.0}
    )


def of_backtesting() -> Lines:
    from backtesting import Backtest
    from backtesting.test import GOOG

    from archiver.demo.strategies import SmaCross

    test = Backtest(GOOG, SmaCross, cash=10_000, commission=0.002, finalize_trades=True)
    yield from beside("backtesting", lambda: test.run(fast=10, slow=50), archiver.result)


def of_bt() -> Lines:
    import bt

    algos = [bt.algos.RunMonthly(), bt.algos.SelectAll(), bt.algos.WeighEqually(), bt.algos.Rebalance()]
    data = prices(2000)

    def engine() -> Any:
        return bt.run(bt.Backtest(bt.Strategy("equal", copy.deepcopy(algos)), data, progress_bar=False))

    yield from beside("bt", engine, lambda found: list(archiver.result(found)))


def of_backtrader() -> Lines:
    import backtrader as bt

    class Cross(bt.Strategy):  # type: ignore[misc]  # backtrader has no types
        def __init__(self) -> None:
            self.cross = bt.ind.CrossOver(bt.ind.SMA(period=5), bt.ind.SMA(period=20))

        def next(self) -> None:
            if self.cross > 0:
                self.order_target_size(target=10)
            elif self.cross < 0:
                self.close()

    data = bars(2000).rename(columns=str.lower)

    def run(*, kept: bool) -> Any:
        cerebro = bt.Cerebro()
        cerebro.adddata(bt.feeds.PandasData(dataname=data))
        cerebro.addstrategy(Cross)
        if kept:
            cerebro.addanalyzer(archiver.engines.backtrader.Result)
        found = cerebro.run()
        return list(archiver.result(found)) if kept else found

    pairs = [(least(lambda: run(kept=False), 1), least(lambda: run(kept=True), 1)) for _ in range(2 * ROUNDS)]
    own = min(without for without, _ in pairs)
    extra = (median(kept / without for without, kept in pairs) - 1.0) * 100
    yield f"backtrader: analyzer and result, of the engine's {own * 1000:.0f} ms", extra, "%", 10.0


def of_vectorbt() -> Lines:
    import numpy as np
    import vectorbt as vbt

    close = prices(1000)["A"]
    fast, slow = vbt.MA.run_combs(close, window=np.arange(2, 37), r=2, short_names=["fast", "slow"])
    grid = vbt.Portfolio.from_signals(
        close, fast.ma_crossed_above(slow), fast.ma_crossed_below(slow), init_cash=100, fees=0.001, freq="1D"
    )
    grid.stats(agg_func=None)  # compiles what it needs
    columns = len(grid.wrapper.columns)
    own = least(lambda: grid.copy().stats(agg_func=None), 3)
    with tempfile.TemporaryDirectory() as folder:
        archive = archiver.open(folder)
        taken = least(lambda: archive.save(grid.copy(), "u", code="none"), 3) - own
    yield f"vectorbt: {columns} combinations saved, beyond pf.stats() ({own:.1f} s)", taken, "s", 2.0


def of_optuna() -> Lines:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trials = 200

    def study(**how: Any) -> None:
        sampler = optuna.samplers.RandomSampler(seed=1)
        made = optuna.create_study(sampler=sampler)
        made.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=trials, **how)

    own = least(study, 3)
    with tempfile.TemporaryDirectory() as folder:
        archive = archiver.open(folder)
        adding = [archiver.engines.optuna.Callback(archive, "u") for _ in range(3)]
        runs = iter(adding)
        taken = (least(lambda: study(callbacks=[next(runs)]), 3) - own) / trials * 1000
        for callback in adding:
            callback.finish()
    yield "optuna: a trial added, durably, without details", taken, "ms", 3.5


def of_freqtrade(results: int = 100, trades: int = 400) -> Lines:
    with tempfile.TemporaryDirectory() as folder:
        megabytes = write_results(Path(folder) / "results", results, trades) / 1e6
        archive = archiver.open(Path(folder) / "archive")
        began = time.process_time()
        report = archive.import_from(Path(folder) / "results")
        taken = time.process_time() - began
        assert len(report.of("imported")) == results
    yield f"freqtrade: {results} results of {megabytes:.0f} MB, imported", megabytes / taken, "MB/s", 20.0


def write_results(folder: Path, results: int, trades: int) -> int:
    """Write result files as freqtrade does, with so many trades for each of two strategies; return the bytes of their JSON."""
    source = FILES / "backtest-result-2024-02-01_00-00-00.zip"
    with zipfile.ZipFile(source) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    base = json.loads(members.pop(f"{source.stem}.json"))
    rng, total = random.Random(1), 0
    folder.mkdir(parents=True)
    for at in range(results):
        content = copy.deepcopy(base)
        for stats in content["strategy"].values():
            own = list(itertools.islice(itertools.cycle(stats["trades"]), trades))
            stats["trades"] = [moved(trade, rng) for trade in own]
            stats["backtest_run_start_ts"] += at * 60
        body = json.dumps(content).encode()
        total += len(body)
        stem = f"backtest-result-2024-02-01_{at // 60:02d}-{at % 60:02d}-00"
        with zipfile.ZipFile(folder / f"{stem}.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(f"{stem}.json", body)
            for name, data in members.items():
                packed.writestr(name.replace(source.stem, stem), data)
    return total


def moved(trade: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return a trade at other prices."""
    orders = [{**order, "amount": rng.random(), "safe_price": rng.random()} for order in trade["orders"]]
    told = {key: rng.random() * 1000 for key in ("open_rate", "close_rate", "profit_abs")}
    return {**trade, **told, "profit_ratio": rng.random() / 10, "orders": orders}


def of_tables(rows: int = 1_000_000) -> Lines:
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "time": pd.date_range("2020", periods=rows, freq="min", tz="UTC"),
            "price": rng.normal(100, 1, rows),
            "size": rng.integers(1, 100, rows),
            "side": pd.Categorical(rng.choice(["buy", "sell"], rows)),
            "order": [f"o{at}" for at in range(rows)],
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        archive = archiver.open(folder)
        archive.save({"strategy_name": "s", "tables": {"orders": frame}}, "u", code="none")
        done = subprocess.run(
            [sys.executable, "-c", _LOAD, folder], capture_output=True, text=True, check=True
        )
        size, over = json.loads(done.stdout)
    yield f"load_table of {rows:,} rows ({size:.0f} MB), memory", over, "MB", 250.0


ALL: dict[str, Callable[[], Lines]] = {
    "backtesting": of_backtesting,
    "bt": of_bt,
    "backtrader": of_backtrader,
    "vectorbt": of_vectorbt,
    "optuna": of_optuna,
    "freqtrade": of_freqtrade,
    "tables": of_tables,
}
FILES_ALONE = ("freqtrade", "tables")
"""What needs no engine."""


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("engines", nargs="*", default=list(ALL), metavar="engine", help=", ".join(ALL))
    wanted = parser.parse_args(argv).engines
    warnings.simplefilter("ignore")  # engines and what they import warn
    for name in wanted:
        if name not in FILES_ALONE and find_spec(name) is None:
            print(f"{name}: not installed, not measured", file=sys.stderr)
            continue
        for what, figure, unit, goal in ALL[name]():
            reached = figure >= goal if unit == "MB/s" else figure <= goal
            sign = ">=" if unit == "MB/s" else "<="
            print(f"{what:70} {figure:8.2f} {unit:5} ({sign} {goal:g}{'' if reached else ', MISSED'})")


if __name__ == "__main__":
    main()
