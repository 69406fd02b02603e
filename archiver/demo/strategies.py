"""The strategies of `archiver demo`. Run alone, this file prints the metrics of one backtest.

    python strategies.py goog_daily SmaCross '{"fast": 10, "slow": 50}'

The demo saves its runs with this very file, so that `archiver code RUN --to FOLDER` brings it back.
"""

import json
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import pandas as pd

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what the plotting library has to say is nothing to us
    from backtesting import Backtest, Strategy
    from backtesting.lib import crossover
    from backtesting.test import EURUSD, GOOG

UNIVERSES = {"goog_daily": GOOG[:"2009"], "goog_daily_oos": GOOG["2010":], "eurusd_hourly": EURUSD}
CASH, COMMISSION = 100_000, 0.0002


def mean(values: Any, length: int) -> pd.Series:
    """Return the rolling mean; the first values are NaN."""
    return pd.Series(values).rolling(length).mean()


def deviation(values: Any, length: int) -> pd.Series:
    """Return the rolling standard deviation; the first values are NaN."""
    return pd.Series(values).rolling(length).std()


class SmaCross(Strategy):
    """Follow the trend: long while the fast mean is above the slow one, short while it is below."""

    fast = 10
    slow = 50

    def init(self) -> None:
        self.fast_mean = self.I(mean, self.data.Close, self.fast)
        self.slow_mean = self.I(mean, self.data.Close, self.slow)

    def next(self) -> None:
        if crossover(self.fast_mean, self.slow_mean):
            self.position.close()
            self.buy(size=0.95)
        elif crossover(self.slow_mean, self.fast_mean):
            self.position.close()
            self.sell(size=0.95)


class BandFade(Strategy):
    """Fade extremes: enter when the price leaves a band around its mean, leave at the mean."""

    length = 20
    width = 2.0

    def init(self) -> None:
        self.middle = self.I(mean, self.data.Close, self.length)
        self.spread = self.I(deviation, self.data.Close, self.length)

    def next(self) -> None:
        price, middle, spread = self.data.Close[-1], self.middle[-1], self.spread[-1]
        if not self.position:
            if price < middle - self.width * spread:
                self.buy(size=0.95)
            elif price > middle + self.width * spread:
                self.sell(size=0.95)
        elif self.position.is_long == (price > middle):
            self.position.close()


STRATEGIES = {"SmaCross": SmaCross, "BandFade": BandFade}
GRIDS: dict[str, list[dict[str, Any]]] = {
    "SmaCross": [{"fast": fast, "slow": slow} for fast in range(5, 45, 5) for slow in range(50, 210, 25)],
    "BandFade": [
        {"length": length, "width": quarters / 4}
        for length in range(10, 60, 5)
        for quarters in range(4, 13, 2)
    ],
}


def backtest(universe: str, strategy: str, params: Mapping[str, Any]) -> pd.Series:
    """Run one strategy with these parameters over a universe; returns the series of backtesting.py."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        test = Backtest(
            UNIVERSES[universe], STRATEGIES[strategy], cash=CASH, commission=COMMISSION, finalize_trades=True
        )
        return test.run(**params)


def buy_and_hold(universe: str) -> pd.Series:
    """Return what the cash is worth when it buys at the first close and never sells."""
    close = UNIVERSES[universe]["Close"]
    return CASH / close.iloc[0] * close


if __name__ == "__main__":
    stats = backtest(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
    metrics = {name: value for name, value in stats.items() if not name.startswith("_")}
    sys.stdout.write(json.dumps(metrics, default=str, indent=2) + "\n")
