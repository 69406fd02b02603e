"""nautilus_trader: statistics, orders, fills, positions and accounts of an engine that ran, amounts as numbers."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

import archiver
from archiver.engines import nautilus
from tests.engine_runs import bars, lost_columns, same

pytestmark = [pytest.mark.engines, pytest.mark.filterwarnings("ignore")]  # nautilus_trader's own
WANTED = "nautilus_trader is not installed: pip install nautilus_trader"


@pytest.fixture(scope="module")
def ran() -> Any:
    engines = pytest.importorskip("nautilus_trader.backtest.engine", reason=WANTED)
    from nautilus_trader.config import LoggingConfig
    from nautilus_trader.examples.strategies.ema_cross import EMACross, EMACrossConfig
    from nautilus_trader.model import BarType, Money, Venue
    from nautilus_trader.model.currencies import USD
    from nautilus_trader.model.enums import AccountType, OmsType
    from nautilus_trader.persistence.wranglers import BarDataWrangler
    from nautilus_trader.test_kit.providers import TestInstrumentProvider

    quiet = LoggingConfig(bypass_logging=True)
    engine = engines.BacktestEngine(engines.BacktestEngineConfig(logging=quiet))
    venue = Venue("SIM")
    engine.add_venue(
        venue,
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=USD,
        starting_balances=[Money(100_000, USD)],
    )
    instrument = TestInstrumentProvider.default_fx_ccy("EUR/USD", venue)
    engine.add_instrument(instrument)
    kind = BarType.from_str("EUR/USD.SIM-1-DAY-MID-EXTERNAL")
    prices = (bars(300).drop(columns="volume") / 100).round(5).tz_localize("UTC")
    engine.add_data(BarDataWrangler(kind, instrument).process(prices))
    config = EMACrossConfig(
        instrument_id=instrument.id,
        bar_type=kind,
        trade_size=Decimal(10_000),
        fast_ema_period=3,
        slow_ema_period=9,
    )
    engine.add_strategy(EMACross(config))
    engine.run()
    yield engine
    engine.dispose()


def test_nothing_of_an_engine_is_lost(ran: Any) -> None:
    found = archiver.result(ran)
    own = ran.get_result()
    kept = [value for value in found.values() if isinstance(value, int | float)]
    said = [*own.stats_pnls["USD"].values(), *own.stats_returns.values()]
    assert [value for value in said if not any(same(float(value), float(one)) for one in kept)] == []
    assert own.total_orders == found["total_orders"] == len(found["tables"]["orders"])
    positions = ran.trader.generate_positions_report()
    account = ran.trader.generate_account_report(ran.list_venues()[0])
    tables = found["tables"]
    lost = [
        *lost_columns(ran.trader.generate_orders_report().reset_index(), tables["orders"]),
        *lost_columns(ran.trader.generate_fills_report().reset_index(), tables["fills"]),
        *lost_columns(account.rename_axis("time").reset_index(), tables["accounts"]),
        *lost_columns(positions.reset_index(), found["trades"], nautilus._TRADE),
    ]
    assert lost == []
    assert {row["account_id"] for row in tables["orders"]} == {"SIM-001"}  # a name, no amount of SIM
    first = found["trades"][0]
    amount, currency = str(positions["realized_pnl"].iloc[0]).split()
    assert (first["pnl"], first["pnl_currency"]) == (float(amount), currency)
    assert first["direction"] in ("long", "short")
    assert first["size"] == 10_000
    assert found["tables"]["fills"][0]["commission_currency"] == "USD"
    assert [value for _, value in found["curves"]["equity"]] == [float(one) for one in account["total"]]
    pd.testing.assert_series_equal(found["curves"]["returns"], ran.portfolio.analyzer.returns())
    assert found["params"]["fast_ema_period"] == 3
    assert found["params"]["trade_size"] == 10000
    assert found["sharpe_ratio"] == own.stats_returns["Sharpe Ratio (252 days)"]
    assert math.isclose(found["total_return"], own.stats_pnls["USD"]["PnL% (total)"] / 100)
    assert found["currency"] == "USD"
