"""The analyzer that is added to a backtrader run. A module of its own: backtrader is imported with it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import backtrader as bt

from archiver.engines import returns
from archiver.engines.shared import Result as Made
from archiver.engines.shared import params_of, plain_value


class Result(bt.Analyzer):  # type: ignore[misc]  # backtrader has no types
    """Collect the value at every bar, every order with its fills, and every trade, open ones too."""

    def create_analysis(self) -> None:
        self.rets: Made = {}
        self._numbers: list[float] = []
        self._values: list[float] = []
        self._cash: list[float] = []
        self._exposed = 0
        self._orders: dict[int, Any] = {}
        self._parts: dict[tuple[str, int], list[Any]] = {}
        self._fills: list[Made] = []
        self._seen: dict[int, int] = {}
        self._open: dict[int, Any] = {}
        self._trades: list[Made] = []

    def start(self) -> None:
        # Each of these is a search through lines and their aliases, at every bar.
        self._clock, self._broker, self._data = self.strategy.datetime, self.strategy.broker, list(self.datas)

    def next(self) -> None:
        broker = self._broker
        self._numbers.append(self._clock[0])
        self._values.append(float(broker.getvalue()))
        self._cash.append(float(broker.getcash()))
        for data in self._data:
            if broker.getposition(data).size:
                self._exposed += 1
                break

    def notify_order(self, order: Any) -> None:
        self._orders[order.ref] = order
        bits = list(order.executed.exbits)
        for bit in bits[self._seen.get(order.ref, 0) :]:
            self._parts.setdefault(_place(order), []).append((bit.opened, bit.closed, bit.price))
            self._fills.append(
                {
                    "order": order.ref,
                    "data": _data_name(order.data),
                    "time": plain_value(bt.num2date(bit.dt)),
                    "size": bit.size,
                    "price": bit.price,
                    "opened": bit.opened,
                    "closed": bit.closed,
                    "opened_value": bit.openedvalue,
                    "closed_value": bit.closedvalue,
                    "opened_commission": bit.openedcomm,
                    "closed_commission": bit.closedcomm,
                    "pnl": bit.pnl,
                    "position_size": bit.psize,
                    "position_price": bit.pprice,
                }
            )
        self._seen[order.ref] = len(bits)

    def notify_trade(self, trade: Any) -> None:
        if not trade.isclosed:
            self._open[trade.ref] = trade
            return
        self._open.pop(trade.ref, None)
        self._trades.append(self._trade(trade))

    def stop(self) -> None:
        strategy = self.strategy
        still = [self._trade(trade) for trade in self._open.values()]
        kept = params_of(dict(strategy.params._getkwargs()))
        times = [_moment(number, self._clock._tz) for number in self._numbers]
        found: Made = {"strategy_name": type(strategy).__name__, **self._metrics(times, len(still))}
        found["params"] = kept
        found["trades"] = self._trades + still
        found["curves"] = {"equity": (times, self._values), "cash": (times, self._cash)}
        found["tables"] = {
            "orders": [_order(order) for order in self._orders.values()],
            "fills": self._fills,
            "positions": list(_positions(strategy.broker, self.datas)),
        }
        self.rets.update(found)
        # What is left must travel to another process: no orders, no trades of the engine.
        self._orders, self._parts, self._open = {}, {}, {}
        del self._clock, self._broker, self._data

    def _metrics(self, times: list[datetime], still: int) -> Made:
        found = returns.of_equity(times, self._values)
        pnls = [trade["pnl_net"] for trade in self._trades]
        won = sum(pnl for pnl in pnls if pnl > 0)
        lost = -sum(pnl for pnl in pnls if pnl < 0)
        found |= {"n_trades": len(pnls), "n_open_trades": still}
        if pnls:
            found["win_rate"] = sum(pnl > 0 for pnl in pnls) / len(pnls)
            found["expectancy"] = sum(pnls) / len(pnls)
        if lost:
            found["profit_factor"] = won / lost
        if times:
            found["exposure"] = self._exposed / len(times)
            found |= {"start": times[0].isoformat(), "end": times[-1].isoformat()}
        found["total_fees"] = float(
            sum(one["opened_commission"] + one["closed_commission"] for one in self._fills)
        )
        return found

    def _trade(self, trade: Any) -> Made:
        place = (_data_name(trade.data), trade.tradeid)
        parts = self._parts.pop(place, [])
        if trade.isclosed and parts and parts[-1][0] and parts[-1][1]:
            # One fill closed this trade and opened the next, the other way round.
            opened, closed, price = parts.pop()
            parts.append((0, closed, price))
            self._parts[place] = [(opened, 0, price)]
        size = sum(opened for opened, _, _ in parts) or trade.size
        closed = sum(closed for _, closed, _ in parts)
        return {
            "entry_time": plain_value(bt.num2date(trade.dtopen)),
            "exit_time": plain_value(bt.num2date(trade.dtclose)) if trade.isclosed else None,
            "entry_price": trade.price,
            "exit_price": sum(c * price for _, c, price in parts) / closed if closed else None,
            "direction": "long" if trade.long else "short",
            "size": size,
            "pnl": trade.pnl,
            "pnl_net": trade.pnlcomm,
            "commission": trade.commission,
            "value": trade.value,
            "bars": trade.barlen,
            "entry_bar": trade.baropen,
            "exit_bar": trade.barclose if trade.isclosed else None,
            "data": place[0],
            "trade": trade.ref,
            "trade_id": trade.tradeid,
            "open": not trade.isclosed,
        }


def _moment(number: float, zone: Any) -> datetime:
    """Return the moment of a bar as backtrader says it; whole days need none of its arithmetic."""
    if zone is None and number == int(number):
        return datetime.fromordinal(int(number))  # backtrader's moments have no zone
    return bt.num2date(number, zone)  # type: ignore[no-any-return]  # backtrader has no types


def _data_name(data: Any) -> str:
    return str(data._name or f"data{data._id - 1}")


def _place(order: Any) -> tuple[str, int]:
    return _data_name(order.data), order.tradeid


def _order(order: Any) -> Made:
    created, executed = order.created, order.executed
    return {
        "order": order.ref,
        "data": _data_name(order.data),
        "side": order.ordtypename().lower(),
        "type": order.getordername(),
        "status": order.getstatusname(),
        "created": plain_value(bt.num2date(created.dt)) if created.dt else None,
        "size": created.size,
        "price": created.price,
        "price_limit": created.pricelimit,
        "executed": plain_value(bt.num2date(executed.dt)) if executed.dt else None,
        "executed_size": executed.size,
        "executed_price": executed.price,
        "executed_value": executed.value,
        "commission": executed.comm,
        "pnl": executed.pnl,
        "remaining_size": executed.remsize,
        "trade_id": order.tradeid,
        "info": {str(key): plain_value(value) for key, value in order.info.items()},
    }


def _positions(broker: Any, datas: Any) -> Iterator[Made]:
    for data in datas:
        position = broker.getposition(data)
        if position.size:
            yield {"data": _data_name(data), "size": position.size, "price": position.price}
