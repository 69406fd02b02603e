"""A folder of a backtest of the shape that Lean writes (Lean itself needs .NET and its data)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SYMBOL = {"value": "SPY", "id": "SPY R735QTJ8XC9X", "permtick": "SPY"}
START = 1_704_067_200


def content() -> dict[str, Any]:
    """Return what `<id>.json` holds."""
    trade_statistics = {
        "startDateTime": "2024-01-02T14:31:00Z",
        "totalNumberOfTrades": 2,
        "averageTradeDuration": "1.00:30:00",
        "totalProfitLoss": "12.5",
        "profitFactor": "2.5",
        "maximumDrawdownDuration": "00:00:00",
    }
    portfolio_statistics = {"averageWinRate": "0.01", "sharpeRatio": "1.25", "drawdown": "0.012"}
    trades = [
        {
            "symbol": SYMBOL,
            "entryTime": "2024-01-02T14:31:00Z",
            "entryPrice": 470.5,
            "direction": at,
            "quantity": 10.0,
            "exitTime": "2024-01-03T15:01:00Z",
            "exitPrice": 471.75,
            "profitLoss": 12.5,
            "totalFees": 2.0,
            "mae": -3.5,
            "mfe": 14.0,
            "duration": "1.00:30:00",
            "endTradeDrawdown": -1.5,
            "isWin": True,
            "orderIds": [1, 2],
        }
        for at in (0, 1)
    ]
    performance = {
        "tradeStatistics": trade_statistics,
        "portfolioStatistics": portfolio_statistics,
        "closedTrades": trades,
    }
    order = {
        "type": 0,
        "id": 1,
        "contingentId": 0,
        "brokerId": ["1"],
        "symbol": SYMBOL,
        "price": 470.5,
        "priceCurrency": "USD",
        "time": "2024-01-02T14:31:00Z",
        "quantity": 10.0,
        "status": 3,
        "tag": "",
        "properties": {"timeInForce": {}},
        "direction": 0,
        "value": 4705.0,
        "orderSubmissionData": {"bidPrice": 470.4, "askPrice": 470.6, "lastPrice": 470.5},
    }
    equity = [[START + 86_400 * at, 1e5 + at, 1e5 + at + 2, 1e5 + at - 1, 1e5 + at + 1] for at in range(5)]
    returns = [[START + 86_400 * at, 0.001 * at] for at in range(5)]
    return {
        "rollingWindow": {"M1_20240131": {**performance, "closedTrades": []}},
        "totalPerformance": performance,
        "charts": {
            "Strategy Equity": {
                "name": "Strategy Equity",
                "chartType": 0,
                "series": {
                    "Equity": {"name": "Equity", "unit": "$", "index": 0, "seriesType": 2, "values": equity},
                    "Return": {"name": "Return", "unit": "%", "index": 1, "seriesType": 3, "values": returns},
                },
            },
            "Benchmark": {
                "name": "Benchmark",
                "series": {"Benchmark": {"values": [*returns, [START + 86_400 * 5, None]]}},
            },
        },
        "orders": {"1": order, "2": {**order, "id": 2, "direction": 1}},
        "profitLoss": {"2024-01-03T15:01:00Z": 12.5},
        "statistics": {
            "Total Orders": "2",
            "Average Win": "0.01%",
            "Compounding Annual Return": "1.234%",
            "Drawdown": "1.200%",
            "Expectancy": "0.4",
            "Start Equity": "100000",
            "End Equity": "100012.5",
            "Net Profit": "0.012%",
            "Sharpe Ratio": "1.25",
            "Win Rate": "100%",
            "Total Fees": "$4.00",
            "Estimated Strategy Capacity": "$1600000.00",
            "Lowest Capacity Asset": "SPY R735QTJ8XC9X",
            "Portfolio Turnover": "1.64%",
        },
        "runtimeStatistics": {"Equity": "$100,012.50", "Unrealized": "$-3.50", "Return": "0.01 %"},
        "state": {
            "StartTime": "2024-02-01 10:00:00",
            "EndTime": "2024-02-01 10:00:05",
            "Status": "Completed",
        },
        "serverStatistics": {"CPU Usage": "1%"},
        "algorithmConfiguration": {
            "name": "Cross",
            "accountCurrency": "USD",
            "brokerage": 0,
            "parameters": {"fast": "10", "slow": "30"},
            "outOfSampleDays": None,
        },
    }


def older(value: Any) -> Any:
    """Return the content as older versions spelled it: capitals, points as x and y."""
    if isinstance(value, dict):
        return {key[0].upper() + key[1:]: older(one) for key, one in value.items()}
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], int) and value[0] >= START:
        return {"x": value[0], "y": value[1]}
    return [older(one) for one in value] if isinstance(value, list) else value


def folder(path: Path) -> Path:
    """Write a folder as `lean backtest` leaves it."""
    (path / "code").mkdir(parents=True)
    (path / "1710957862.json").write_text(json.dumps(content()))
    summary = {key: value for key, value in content().items() if key != "orders"}
    (path / "1710957862-summary.json").write_text(json.dumps(summary))
    (path / "1710957862-order-events.json").write_text(
        json.dumps(
            [{"id": "1-1", "orderId": 1, "status": "filled", "fillPrice": 470.5, "fillQuantity": 10.0}]
        )
    )
    (path / "1710957862-log.txt").write_text("2024-02-01 TRACE\n")
    (path / "config").write_text('{"algorithm-language": "Python"}')
    (path / "code" / "main.py").write_text("class Cross: ...\n")
    return path
