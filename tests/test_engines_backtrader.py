"""backtrader: what the analyzer collects is what the engine's own objects and analyzers say."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

import archiver
from archiver.engines.shared import plain_value
from archiver.errors import ConfigError
from tests.engine_runs import bars, leaves, same, saved

bt = pytest.importorskip(
    "backtrader", reason="backtrader is not installed: pip install 'archiver[engines-dev]'"
)
pytestmark = [
    pytest.mark.engines,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


class Cross(bt.Strategy):
    params = (("fast", 4), ("slow", 9))

    def __init__(self) -> None:
        self.cross = bt.ind.CrossOver(bt.ind.SMA(period=self.p.fast), bt.ind.SMA(period=self.p.slow))

    def next(self) -> None:
        if self.cross > 0:
            self.order_target_size(target=10)
        elif self.cross < 0:
            self.order_target_size(target=-10)


class Pyramid(bt.Strategy):
    """Two data, entries in parts, an exit in parts, a rejected order, and one that stays open."""

    def next(self) -> None:
        at = len(self)
        first, second = self.datas
        if at in (5, 6):
            self.buy(first, size=5)
        if at in (10, 12):
            self.sell(first, size=5)
        if at == 20:
            self.buy(second, size=10_000_000)
        if at == 30:
            self.sell(second, size=3)
        if at == 40:
            self.buy(first, size=1, exectype=bt.Order.Limit, price=1.0)


def cerebro(*names: str) -> Any:
    made = bt.Cerebro(stdstats=False)
    for name in names or ("eur",):
        made.adddata(bt.feeds.PandasData(dataname=bars()), name=name)
    made.broker.setcash(10_000)
    made.broker.setcommission(0.001)
    made.addanalyzer(archiver.engines.backtrader.Result)
    made.addanalyzer(bt.analyzers.TradeAnalyzer, _name="trades")
    made.addanalyzer(bt.analyzers.TimeReturn, _name="daily")
    made.addanalyzer(bt.analyzers.Transactions, _name="transactions")
    made.addanalyzer(bt.analyzers.PyFolio, _name="pyfolio")
    made.addanalyzer(bt.analyzers.DrawDown, _name="drawdown")
    return made


def lost_orders(strategy: Any, tables: dict[str, Any]) -> list[str]:
    """Return the fields of the broker's orders, and of their fills, that tables do not have."""
    own = {order.ref: order for order in strategy.broker.orders}
    assert {row["order"] for row in tables["orders"]} == {*own}
    lost = []
    for row in tables["orders"]:
        order = own[row["order"]]
        created, executed = order.created, order.executed
        held = {
            **{"type": order.getordername(), "status": order.getstatusname(), "trade_id": order.tradeid},
            **{"side": order.ordtypename().lower(), "size": created.size, "price": created.price},
            **{"created": moment(created.dt), "executed": moment(executed.dt), "pnl": executed.pnl},
            **{"executed_size": executed.size, "executed_price": executed.price},
            **{"executed_value": executed.value, "commission": executed.comm},
        }
        lost += [f"order {key}" for key, value in held.items() if row[key] != value]
    fills = iter(tables["fills"])
    for order in sorted(own.values(), key=lambda order: order.ref):
        for bit in order.executed.exbits:
            row = next(fills)
            held = {
                **{"order": order.ref, "time": moment(bit.dt), "size": bit.size, "price": bit.price},
                **{"opened": bit.opened, "closed": bit.closed, "pnl": bit.pnl, "position_size": bit.psize},
                **{"opened_value": bit.openedvalue, "closed_value": bit.closedvalue},
                **{"opened_commission": bit.openedcomm, "closed_commission": bit.closedcomm},
                **{"position_price": bit.pprice},
            }
            lost += [f"fill {key}" for key, value in held.items() if row[key] != value]
    assert list(fills) == []
    return lost


def lost_trades(strategy: Any, trades: list[dict[str, Any]]) -> list[str]:
    """Return the fields of the engine's own trades that are not kept."""
    own = {
        trade.ref: trade for by_id in strategy._trades.values() for many in by_id.values() for trade in many
    }
    assert {row["trade"] for row in trades} == {*own}
    lost = []
    for row in trades:
        trade = own[row["trade"]]
        held = {
            **{"entry_time": moment(trade.dtopen), "entry_price": trade.price, "pnl": trade.pnl},
            **{"exit_time": moment(trade.dtclose), "pnl_net": trade.pnlcomm, "commission": trade.commission},
            **{"value": trade.value, "bars": trade.barlen, "entry_bar": trade.baropen},
            **{"open": not trade.isclosed, "direction": "long" if trade.long else "short"},
            **{"exit_bar": trade.barclose if trade.isclosed else None, "trade_id": trade.tradeid},
        }
        lost += [f"trade {key}" for key, value in held.items() if row[key] != value]
    return lost


def moment(number: float) -> str | None:
    return bt.num2date(number).isoformat() if number else None


def test_nothing_that_analyzers_and_the_engine_say_is_lost(tmp_path: Path) -> None:
    made = cerebro()
    made.addstrategy(Cross)
    (strategy,) = made.run()
    (found,) = archiver.result([strategy])
    assert found["strategy_name"] == "Cross_fast=4_slow=9"
    assert found["params"] == {"fast": 4, "slow": 9}
    lost = []
    for name in ("trades", "drawdown"):
        own = strategy.analyzers.getbyname(name).get_analysis()
        lost += [key for key, value in leaves(dict(own), name).items() if not same(found.get(key), value)]
    pyfolio = strategy.analyzers.pyfolio.get_analysis()
    for name, own in {
        "daily": strategy.analyzers.daily.get_analysis(),
        "transactions": strategy.analyzers.transactions.get_analysis(),
        **{f"pyfolio.{key}": value for key, value in pyfolio.items()},
    }.items():
        rows = [{"key": plain_value(key), "value": plain_value(value, "rows")} for key, value in own.items()]
        lost += [name] * (rows != found["tables"][name])
    lost += lost_orders(strategy, found["tables"]) + lost_trades(strategy, found["trades"])
    assert lost == []
    summed = strategy.analyzers.trades.get_analysis()
    closed = [trade for trade in found["trades"] if not trade["open"]]
    assert len(closed) == summed.total.closed == found["n_trades"]
    assert sum(trade["pnl_net"] for trade in closed) == pytest.approx(summed.pnl.net.total)
    assert found["win_rate"] == summed.won.total / summed.total.closed
    times, values = found["curves"]["equity"]
    assert isinstance(times[0], dt.datetime)
    assert values[-1] == made.broker.getvalue() == found["final_equity"]
    assert found["max_drawdown"] == pytest.approx(
        strategy.analyzers.drawdown.get_analysis().max.drawdown / 100
    )
    for trade in closed:
        sign = 1 if trade["direction"] == "long" else -1
        assert trade["size"] == 10 * sign
        assert trade["pnl"] == pytest.approx((trade["exit_price"] - trade["entry_price"]) * trade["size"])
    kept = saved(archiver.open(tmp_path / "archive"), found)
    assert kept["trades"] == found["trades"]
    assert (kept.get("params") or kept["metrics"]["params"]) == found["params"]


def test_parts_several_data_open_trades_and_refused_orders() -> None:
    made = cerebro("eur", "usd")
    made.addstrategy(Pyramid)
    (found,) = archiver.result(made.run())
    first, second = found["trades"]
    assert (first["data"], first["size"], first["open"]) == ("eur", 10, False)
    prices = bars()["open"].tolist()
    assert first["exit_price"] == pytest.approx((prices[10] + prices[12]) / 2)
    assert (second["data"], second["direction"], second["open"]) == ("usd", "short", True)
    assert (second["exit_time"], second["exit_price"]) == (None, None)
    status = [order["status"] for order in found["tables"]["orders"]]
    assert status.count("Completed") == 5
    assert status.count("Margin") == 1
    assert status.count("Accepted") == 1
    assert len(found["tables"]["fills"]) == 5
    assert found["tables"]["positions"] == [{"data": "usd", "size": -3, "price": second["entry_price"]}]
    assert (found["n_trades"], found["n_open_trades"]) == (1, 1)


@pytest.mark.parametrize("processes", [1, 2])
def test_optstrategy_gives_a_result_each(processes: int) -> None:
    made = cerebro()
    made.optstrategy(Cross, fast=[3, 5], slow=[8, 12])
    found = list(archiver.result(made.run(maxcpus=processes)))
    assert len({one["strategy_name"] for one in found}) == 4
    assert [one["params"] for one in found] == [{"fast": f, "slow": s} for f in (3, 5) for s in (8, 12)]
    assert all(one["curves"]["equity"][1] for one in found)


def test_a_strategy_without_the_analyzer_says_what_to_add() -> None:
    made = bt.Cerebro()
    made.adddata(bt.feeds.PandasData(dataname=bars()))
    made.addstrategy(Cross)
    with pytest.raises(ConfigError, match=r"addanalyzer\(archiver\.engines\.backtrader\.Result\)"):
        list(archiver.result(made.run()))


def test_a_strategy_that_never_trades() -> None:
    made = cerebro()
    made.addstrategy(bt.Strategy)
    (found,) = archiver.result(made.run())
    assert (found["trades"], found["n_trades"], found["total_return"]) == ([], 0, 0.0)
