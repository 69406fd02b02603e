"""Seeded results in the shape and with the flaws of a real grid search. Needs numpy only.

`universe` is a search over one slice of data: thousands of strategies, the best of them with all trades, each
trade with the bars around it. `small_run` is one of very many runs of an optimiser. What makes such data hard
to store exactly is here on purpose:

* strategies without trades carry the integer 0 where others carry a float, NaN ratios and None months;
* a profit factor without losers is infinite; some ratios are NaN; some values None;
* strategies that did not qualify have no `composite_score` key at all;
* the bars around a trade are copies of one series, made anew for every trade.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Result = dict[str, Any]

BEFORE, AFTER = 50, 20  # bars kept before a trade's entry and after its exit
PIP = 0.0001
LONGEST = 90  # bars a trade may last
CASH = 10_000.0
KINDS = ("TrendRider", "MeanSnap", "RangeBreak", "NightFade", "PullbackBuyer")
REGIMES = ("calm", "trend", "range", "storm")
PATTERNS = ("none", "doji", "hammer", "engulfing", "inside", "marubozu")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# Where a strategy never traded, the program that made the result said `else 0`.
ZERO_WITHOUT_TRADES = (
    "win_rate",
    "profit_factor",
    "total_return",
    "calmar_ratio",
    "avg_win",
    "avg_loss",
    "largest_win",
    "largest_loss",
    "expectancy",
    "recovery_factor",
    "gross_pnl",
    "total_commission",
    "net_pnl",
)


@dataclass(frozen=True)
class Bars:
    """One five-minute series without week-ends, and what a trader sees in it at each bar."""

    times: list[str]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    volatility: Floats
    trend: Floats
    relative_volume: Floats
    pattern: NDArray[np.intp]
    weekday: NDArray[np.intp]


@cache
def make_bars(seed: int, count: int) -> Bars:
    """Make the series: prices of five decimals, busier in the afternoon, volatility that clusters."""
    rng = np.random.default_rng([seed, 11])
    at = np.arange(count)
    minutes = at // 1440 * 10_080 + at % 1440 * 5
    moments = np.datetime64("2025-01-06T00:00", "s") + (minutes * 60).astype("timedelta64[s]")
    busy = 1 + np.exp(-(((minutes // 60 % 24) - 14.5) ** 2) / 18)
    cluster = np.exp(0.4 * np.sin(at / 700) + 0.25 * np.sin(at / 89 + 1))
    step = 0.00011 * busy * cluster
    close = np.round(1.085 * np.exp(np.cumsum(rng.standard_normal(count) * step)), 5)
    gap = np.round(rng.standard_normal(count) * 0.15) * 1e-5
    open_ = np.round(np.roll(close, 1) + gap, 5)
    open_[0] = 1.085
    wick = np.abs(rng.standard_normal((2, count))) * step * 0.6
    high = np.round(np.maximum(open_, close) + wick[0], 5)
    low = np.round(np.minimum(open_, close) - wick[1], 5)
    volume = np.round(rng.lognormal(5.8, 0.5, count) * busy)
    returns = np.diff(np.log(close), prepend=np.log(close[0]))
    ranges = _rolling(high - low, 14) + 1e-6
    body = np.abs(close - open_) / (high - low + 1e-9)
    pattern = np.select(
        [
            body < 0.1,
            body > 0.9,
            (high < np.roll(high, 1)) & (low > np.roll(low, 1)),
            volume > 900,
            volume < 160,
        ],
        [1, 5, 4, 3, 2],
        0,
    )
    return Bars(
        times=[str(moment).replace("T", " ") for moment in moments],
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        volatility=np.sqrt(np.maximum(_rolling(returns**2, 20), 1e-14)) * np.sqrt(72_576),
        trend=(_rolling(close, 20) - _rolling(close, 60)) / ranges,
        relative_volume=volume / np.maximum(_rolling(volume, 20), 1),
        pattern=pattern,
        weekday=(moments.astype("datetime64[D]").astype(np.int64) + 3) % 7,
    )


def _rolling(values: Floats, length: int) -> Floats:
    """Mean of the last values; of the first ones, of as many as there are."""
    total = np.cumsum(values)
    total[length:] -= total[:-length].copy()
    return total / np.minimum(np.arange(1, len(values) + 1), length)


def names(rng: np.random.Generator, count: int) -> list[str]:
    """Draw unique names of parameterisations from a grid; a second grid adds `_V2`, and so on."""
    grid = [
        f"{kind}_L{length}_T{threshold}_SL{stop}_TP{target}"
        for kind in KINDS
        for length in (5, 8, 13, 21, 34, 55, 89, 144)
        for threshold in (0.5, 0.75, 1.0, 1.5, 2.0)
        for stop in (8, 12, 16, 20, 25, 30, 40)
        for target in (10, 15, 20, 30, 40, 50, 60, 80, 100, 120)
    ]
    found: list[str] = []
    version = 1
    while len(found) < count:
        picked = np.sort(rng.permutation(len(grid))[: count - len(found)])
        found += [grid[at] + ("" if version == 1 else f"_V{version}") for at in picked]
        version += 1
    return found


def metrics(rng: np.random.Generator, count: int) -> dict[str, list[Any]]:
    """Draw the 35 metrics that every strategy has, consistent with each other, a list each."""
    normal = rng.standard_normal
    skill = normal(count)
    trades = rng.lognormal(6.0, 0.9, count).astype(np.int64)
    winners = np.round(np.clip(0.46 + 0.05 * skill + 0.08 * normal(count), 0.02, 1.0) * trades)
    winners = np.where(rng.random(count) < 0.01, trades, winners)
    losers = trades - winners
    lot = rng.choice([0.01, 0.02, 0.1, 0.2, 1.0], count)
    win = (115 + 35 * normal(count)) * lot
    loss = -np.abs(92 + 20 * normal(count)) * lot
    gross = winners * win + losers * loss
    commission = trades * lot * 7.0
    net = gross - commission
    earned = net / CASH * 100
    sharpe = 0.85 * skill + 0.3 * normal(count)
    drawdown = np.abs(11 + 8 * normal(count) - 3 * skill)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(losers > 0, winners * win / (-losers * loss), np.inf)
    tail, skewness = rng.lognormal(0, 0.3, count), normal(count)
    tail[rng.random(count) < 0.02] = np.nan
    skewness[rng.random(count) < 0.01] = np.nan
    columns: dict[str, Any] = {
        "n_trades": trades,
        "win_rate": winners / np.maximum(trades, 1),
        "profit_factor": factor,
        "total_return": earned,
        "sharpe_ratio": sharpe,
        "sortino_ratio": sharpe * (1.35 + 0.2 * normal(count)),
        "calmar_ratio": earned / np.maximum(drawdown, 0.01),
        "max_drawdown": drawdown,
        "avg_win": win,
        "avg_loss": loss,
        "largest_win": win * (2 + rng.exponential(1, count)),
        "largest_loss": loss * (1.5 + rng.exponential(1, count)),
        "expectancy": net / np.maximum(trades, 1),
        "recovery_factor": net / np.maximum(drawdown * 100, 1),
        "ulcer_index": drawdown * 0.4 + rng.exponential(0.5, count),
        "lot_size": lot,
        "gross_pnl": gross,
        "total_commission": commission,
        "net_pnl": net,
        "omega": np.exp(0.2 * skill + 0.1 * normal(count)),
        "var_95": -np.abs(1.5 + 0.5 * normal(count)),
        "cvar_95": -np.abs(2.2 + 0.7 * normal(count)),
        "skew": skewness,
        "kurtosis": 3 + rng.exponential(2, count),
        "exposure_pct": rng.beta(2, 5, count) * 100,
        "avg_duration_minutes": rng.lognormal(4.5, 0.6, count),
        "longest_dd_days": rng.integers(1, 220, count),
        "best_month": np.abs(4 + 2 * normal(count)),
        "worst_month": -np.abs(3 + 2 * normal(count)),
        "tail_ratio": tail,
        "max_consecutive_wins": rng.integers(1, 20, count),
        "max_consecutive_losses": rng.integers(1, 20, count),
        "sqn": sharpe * 1.1 + 0.1 * normal(count),
        "regime": np.array(REGIMES)[rng.integers(0, len(REGIMES), count)],
        "valid": trades > 30,
    }
    return {name: values.tolist() for name, values in columns.items()}


def universe(
    seed: int, n_strategies: int = 10_000, top: int = 50, trades: int = 1404, bars: int = 60_000
) -> list[Result]:
    """Make the results of one search; the `top` best carry trades with their bars, and both curves."""
    rng = np.random.default_rng([seed, 1])
    columns = metrics(rng, n_strategies)
    luck = rng.random(n_strategies)
    keys = ["strategy_name", *columns]
    rows = zip(names(rng, n_strategies), *columns.values(), strict=True)
    results = [dict(zip(keys, row, strict=True)) for row in rows]
    scores = np.full(n_strategies, -np.inf)
    for at, result in enumerate(results):
        if luck[at] < 0.03:
            _never_traded(result)
        elif result["n_trades"] > 30:
            scores[at] = 0.5 * result["sharpe_ratio"] + 0.02 * min(max(result["total_return"], -50.0), 50.0)
            result["composite_score"] = float(scores[at])
        if luck[at] > 0.97:
            result["omega"] = None
    series = make_bars(seed, bars) if top else None
    for at in np.argsort(-scores, kind="stable")[:top].tolist():
        assert series is not None
        _add_detail(results[at], series, np.random.default_rng([seed, 2, at]), trades)
    return results


def _never_traded(result: Result) -> None:
    result.update(dict.fromkeys(ZERO_WITHOUT_TRADES, 0))
    result.update(n_trades=0, sharpe_ratio=float("nan"), sortino_ratio=float("nan"))
    result.update(best_month=None, worst_month=None, valid=False)


def _add_detail(result: Result, series: Bars, rng: np.random.Generator, count: int) -> None:
    """Simulate trades with the strategy's stop and target, and make the metrics agree with them."""
    rows, pnl = simulate(result["strategy_name"], series, rng, count, result["lot_size"], windows=True)
    equity, drawdown = curves(pnl)
    won, lost = pnl[pnl > 0], pnl[pnl <= 0]
    commission = 7.0 * result["lot_size"] * count
    net = float(pnl.sum())
    result.update(
        n_trades=count,
        win_rate=len(won) / count,
        profit_factor=float(won.sum() / -lost.sum()) if lost.sum() else float("inf"),
        total_return=net / CASH * 100.0,
        max_drawdown=max(drawdown),
        avg_win=float(won.mean()) if len(won) else 0,
        avg_loss=float(lost.mean()) if len(lost) else 0,
        largest_win=float(pnl.max()),
        largest_loss=float(pnl.min()),
        expectancy=float(pnl.mean()),
        gross_pnl=net + commission,
        total_commission=commission,
        net_pnl=net,
    )
    result.update(trades_detailed=rows, equity_curve=equity, drawdown_curve=drawdown)


def curves(pnl: Floats) -> tuple[list[float], list[float]]:
    """Return equity after each trade, and how far it is below its highest value, in percent."""
    balance = peak = CASH
    equity, drawdown = [balance], [0.0]
    for amount in pnl.tolist():
        balance += amount
        peak = max(peak, balance)
        equity.append(balance)
        drawdown.append((peak - balance) / peak * 100.0)
    return equity, drawdown


def simulate(
    name: str, series: Bars, rng: np.random.Generator, count: int, lot: float, *, windows: bool
) -> tuple[list[Result], Floats]:
    """Enter where the price is stretched, leave at the stop, the target or a signal.

    Returns the trades, and the money made by each.
    """
    kind, _length, _threshold, stop_part, target_part, *_ = name.split("_")
    stop, target = float(stop_part[2:]), float(target_part[2:])
    entry = _entries(name, series, rng, count)
    price = series.close[entry]
    above = price > _rolling(series.close, 60)[entry]
    side = np.where(above == (kind in ("TrendRider", "RangeBreak")), 1, -1)
    ahead = np.minimum(entry[:, None] + np.arange(1, LONGEST + 1), len(series.close) - 1)
    up, down = (series.high[ahead] - price[:, None]) / PIP, (price[:, None] - series.low[ahead]) / PIP
    good, bad = np.where(side[:, None] > 0, up, down), np.where(side[:, None] > 0, down, up)
    signal = np.minimum(rng.geometric(0.05, count), LONGEST - 1)
    held = np.stack([_first(bad >= stop), _first(good >= target), signal])
    reason = held.argmin(axis=0)
    leave = np.minimum(entry + 1 + held.min(axis=0), len(series.close) - 1)
    exits = np.stack([price - side * stop * PIP, price + side * target * PIP, series.close[leave]])
    paid = np.round(exits[reason, np.arange(count)], 5)
    pips = side * (paid - price) / PIP
    pnl = pips * 10.0 * lot - 7.0 * lot
    spread = np.round(0.5 + rng.exponential(0.3, count), 1).tolist()
    balance = np.concatenate([[CASH], CASH + np.cumsum(pnl)[:-1]])
    plain = [
        column.tolist()
        for column in (entry, leave, side, reason, price, paid, pips, pnl, pnl / balance * 100.0)
    ]
    rows = [
        _trade(series, *row, context=_context(series, row[0], wide), windows=windows)
        for *row, wide in zip(*plain, spread, strict=True)
    ]
    return rows, pnl


def _entries(name: str, series: Bars, rng: np.random.Generator, count: int) -> NDArray[np.intp]:
    """Choose entry bars; strategies that differ only in stop and target share most signals."""
    first, last = BEFORE + 10, len(series.close) - LONGEST - AFTER - 2
    signals = np.random.default_rng(list("_".join(name.split("_")[:3]).encode()))
    candidates = signals.choice(np.arange(first, last), min(2 * count, last - first), replace=False)
    return np.sort(rng.choice(candidates, count, replace=len(candidates) < count))


def _first(hits: NDArray[np.bool_]) -> NDArray[np.intp]:
    return np.where(hits.any(axis=1), hits.argmax(axis=1), 10**6)


def _trade(
    series: Bars,
    entry: int,
    leave: int,
    side: int,
    reason: int,
    price: float,
    paid: float,
    pips: float,
    pnl: float,
    percent: float,
    *,
    context: Result,
    windows: bool,
) -> Result:
    trade: Result = {
        "entry_time": series.times[entry],
        "exit_time": series.times[leave],
        "entry_price": price,
        "exit_price": paid,
        "direction": "long" if side > 0 else "short",
        "pnl_pips": pips,
        "pnl_usd": pnl,
        "pnl_pct": percent,
        "duration_minutes": (leave - entry) * 5,
        "exit_reason": ("stop_loss", "take_profit", "signal")[reason],
        "market_context": context,
    }
    if windows:
        cut = slice(max(entry - BEFORE, 0), leave + AFTER + 1)
        trade["price_history"] = {
            "timestamps": series.times[cut],
            "open": series.open[cut].tolist(),
            "high": series.high[cut].tolist(),
            "low": series.low[cut].tolist(),
            "close": series.close[cut].tolist(),
            "volume": series.volume[cut].tolist(),
        }
    return trade


def _context(series: Bars, at: int, spread: float) -> Result:
    """Describe the market at a bar; only the spread is the trade's own."""
    return {
        "volatility": float(series.volatility[at]),
        "trend_strength": float(series.trend[at]),
        "volume_relative": float(series.relative_volume[at]),
        "spread_pips": spread,
        "pattern_detected": PATTERNS[series.pattern[at]],
        "pattern_sequence": [PATTERNS[series.pattern[at - back]] for back in (2, 1, 0)],
        "hour_of_day": int(series.times[at][11:13]),
        "day_of_week": WEEKDAYS[series.weekday[at]],
    }


def small_run(seed: int, i: int, trades: int = 100, points: int = 1000) -> Result:
    """Make the only result of the i-th run of an optimiser: metrics, trades without bars, two curves."""
    rng = np.random.default_rng([seed, 3, i])
    (name,) = names(rng, 1)
    result: Result = {"strategy_name": f"{name}_R{i}"}
    result.update({key: values[0] for key, values in metrics(rng, 1).items()})
    result["composite_score"] = float(rng.standard_normal())
    result["trades_detailed"], _ = simulate(name, make_bars(seed, 20_000), rng, trades, 0.1, windows=False)
    result["n_trades"] = trades
    result["equity_curve"], result["drawdown_curve"] = curves(rng.normal(0.5, 12.0, points - 1))
    return result
