"""freqtrade: its result files, which its own code wrote (tests/fixtures/engines/make_freqtrade.py), are imported whole."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import feather

import archiver
from archiver.engines.freqtrade import of_strategy, result, universe_of, without_secrets

FILES = Path(__file__).parent / "fixtures/engines/freqtrade"
ZIP = FILES / "backtest-result-2024-02-01_00-00-00.zip"
OLD = FILES / "backtest-result-2022-02-01_00-00-00.json"
HYPEROPT = FILES / "strategy_Sample_2024-02-01_00-00-00.fthypt"
UNIVERSE = "BTC_USDT+ETH_USDT_1h"


@pytest.fixture
def archive(tmp_path: Path) -> archiver.Archive:
    return archiver.open(tmp_path / "archive")


def content() -> dict[str, Any]:
    with zipfile.ZipFile(ZIP) as packed:
        return json.loads(packed.read(f"{ZIP.stem}.json"))


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for one in value.values() for leaf in leaves(one)]
    if isinstance(value, list | tuple):
        return [leaf for one in value for leaf in leaves(one)]
    return [value]


def lost(own: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Return the fields of the engine's own object that a result does not hold."""
    missing = []
    for key, value in own.items():
        if key in ("strategy_name", "trades"):
            continue
        if key in found:
            held = found[key]
        elif any(name == key or name.startswith(f"{key}.") for name in found["params"]):
            held = [one for name, one in found["params"].items() if name == key or name.startswith(f"{key}.")]
        elif key in found["curves"]:
            held = found["curves"][key]
        else:
            parts = [*found["tables"].items(), *found.items()]
            held = [one for name, one in parts if name == key or name.startswith(f"{key}.")]
        if leaves(held) != leaves(value):
            missing.append(key)
    for trade, kept in zip(own["trades"], found["trades"], strict=True):
        renamed = {
            "open_date": "entry_time", "close_date": "exit_time", "open_rate": "entry_price",
            "close_rate": "exit_price", "amount": "size", "profit_abs": "pnl",
        }  # fmt: skip
        missing += [f"trade {key}" for key in trade if kept[renamed.get(key, key)] != trade[key]]
    return missing


def test_no_field_of_a_result_is_lost() -> None:
    held = content()
    found = list(result(held))
    assert [one["strategy_name"] for one in found] == ["Sample", "Twice"]
    assert [lost(held["strategy"][one["strategy_name"]], one) for one in found] == [[], []]
    own = held["strategy"]["Sample"]
    assert found[0]["sharpe_ratio"] == own["sharpe"]
    assert found[0]["max_drawdown"] == own["max_drawdown_account"]
    assert found[0]["trades"][0]["orders"] == own["trades"][0]["orders"]
    assert {trade["direction"] for trade in found[0]["trades"]} == {"long", "short"}


def test_a_folder_becomes_runs_with_details_code_and_params(archive: archiver.Archive) -> None:
    report = archive.import_from(FILES)
    assert (report.ok, len(report.of("imported")), report.of("skipped")) == (True, 3, [])
    runs = {run.note: run for run in archive.runs(UNIVERSE)}
    run = runs[f"imported from {ZIP.name}"]
    assert (run.strategies, run.created.date().isoformat()) == (2, "2024-01-01")
    table = archive.load_metrics(run=run.id)
    assert table["sharpe_ratio"].to_pylist() == table["sharpe"].to_pylist()
    rows = {row["strategy_name"]: row for row in table.to_pylist()}
    assert rows["Sample"]["params.buy.buy_rsi"] == 27
    assert rows["Sample"]["params.stoploss"] == -0.1
    code = archive.code(run.id)
    assert [file.path for file in code.files] == ["Sample.py"]
    assert b"buy_rsi = 30" in code.read("Sample.py")
    epochs = archive.load_metrics(run=runs[f"imported from {HYPEROPT.name}"].id)
    assert sorted(epochs["strategy_name"].to_pylist()) == [f"Sample_epoch_{at}" for at in (1, 2, 3)]
    assert sorted(epochs["params.buy_rsi"].to_pylist()) == [21, 22, 23]
    again = archive.import_from(FILES)
    assert (len(again.of("present")), again.of("imported")) == (3, [])


def test_wallet_and_market_change_are_tables_and_curves_as_freqtrade_wrote_them(
    archive: archiver.Archive,
) -> None:
    archive.import_from(ZIP)
    with zipfile.ZipFile(ZIP) as packed:
        wallet, market = (
            feather.read_table(packed.open(f"{ZIP.stem}_{name}.feather"))
            for name in ("Sample_wallet", "market_change")
        )
    assert archive.load_table("Sample", "wallet").to_pylist() == wallet.to_pylist()
    assert archive.load_table("Sample", "market_change").to_pylist() == market.to_pylist()
    benchmark = archive.load_curve("Sample", "benchmark")
    assert benchmark["time"].to_pylist() == market["date"].to_pylist()
    assert benchmark["value"].to_pylist() == [1.0 + value for value in market["rel_mean"].to_pylist()]
    equity = archive.load_curve("Sample").to_pylist()
    by_date: dict[Any, float] = {}
    for row in wallet.to_pylist():
        by_date[row["date"]] = by_date.get(row["date"], 0.0) + row["rate"] * row["balance"]
    assert {row["time"]: row["value"] for row in equity} == by_date


def test_a_strategy_that_is_no_dict_is_of_no_known_version() -> None:
    with pytest.raises(archiver.ConfigError, match="says of Sample is no dict"):
        list(archiver.result({"strategy": {"Sample": 3}, "strategy_comparison": []}))


def test_a_wallet_without_balances_is_damage(archive: archiver.Archive, tmp_path: Path) -> None:
    with zipfile.ZipFile(ZIP) as packed, zipfile.ZipFile(tmp_path / ZIP.name, "w") as made:
        for member in packed.namelist():
            data = packed.read(member)
            if member.endswith("_Sample_wallet.feather"):
                out = io.BytesIO()
                feather.write_feather(pa.table({"date": [1]}), out)
                data = out.getvalue()
            made.writestr(member, data)
    (damaged,) = archive.import_from(tmp_path / ZIP.name).outcomes
    assert (damaged.status, "archiver knows date, rate, balance" in str(damaged.why)) == ("damaged", True)


def test_no_secret_of_a_configuration_is_kept(archive: archiver.Archive, tmp_path: Path) -> None:
    with zipfile.ZipFile(ZIP) as packed:
        assert b"SECRET" in packed.read(f"{ZIP.stem}_config.json"), "freqtrade keeps some itself"
    archive.import_from(ZIP)
    params = archive.record(archive.runs()[0].id).params or ""
    assert "SECRET" not in params
    assert "binance" in params
    config = {
        "exchange": {"name": "x", "ccxt_config": {"uid": "S"}},
        "a": [{"apiKey": "S", "timeframe": "1h"}],
    }
    assert without_secrets(config) == {
        "exchange": {"name": "x", "ccxt_config": "REDACTED"},
        "a": [{"apiKey": "REDACTED", "timeframe": "1h"}],
    }


@pytest.mark.parametrize("name", [ZIP.name, OLD.name, HYPEROPT.name])
def test_a_file_alone_is_imported(archive: archiver.Archive, name: str) -> None:
    assert archive.import_from(FILES / name).ok
    assert archive.runs()[0].universe == UNIVERSE


def test_a_renamed_zip_is_known_by_its_content(archive: archiver.Archive, tmp_path: Path) -> None:
    shutil.copy(ZIP, tmp_path / "mine.zip")
    assert archive.import_from(tmp_path / "mine.zip").ok
    assert archive.runs()[0].strategies == 2


@pytest.mark.parametrize("left", [200, 15_000, 21_000])
def test_a_half_written_zip_is_damaged_and_the_others_come(
    archive: archiver.Archive, tmp_path: Path, left: int
) -> None:
    shutil.copytree(FILES, tmp_path / "results")
    (tmp_path / "results" / ZIP.name).write_bytes(ZIP.read_bytes()[:left])
    report = archive.import_from(tmp_path / "results")
    (damaged,) = report.of("damaged")
    assert damaged.source == ZIP.name
    assert "half-written" in damaged.why
    assert len(report.of("imported")) == 2


def test_a_flipped_byte_is_damage(archive: archiver.Archive, tmp_path: Path) -> None:
    data = bytearray(ZIP.read_bytes())
    data[3000] ^= 0xFF
    (tmp_path / ZIP.name).write_bytes(data)
    report = archive.import_from(tmp_path / ZIP.name)
    assert [one.status for one in report.outcomes] == ["damaged"]


def test_an_unknown_version_of_hyperopt_says_which(archive: archiver.Archive, tmp_path: Path) -> None:
    text = HYPEROPT.read_text().replace('"fthypt_fileversion":2', '"fthypt_fileversion":3')
    (tmp_path / "strategy_X_1_2.fthypt").write_text(text)
    (damaged,) = archive.import_from(tmp_path / "strategy_X_1_2.fthypt").of("damaged")
    assert "fthypt_fileversion 3" in damaged.why
    (tmp_path / "strategy_X_1_2.fthypt").write_text(HYPEROPT.read_text()[:-200])
    (damaged,) = archive.import_from(tmp_path / "strategy_X_1_2.fthypt").of("damaged")
    assert "damaged in line 3" in damaged.why


def test_a_pickle_is_never_opened(archive: archiver.Archive, tmp_path: Path) -> None:
    shutil.copy(ZIP, tmp_path / ZIP.name)
    with zipfile.ZipFile(tmp_path / ZIP.name, "a") as packed:
        packed.writestr(f"{ZIP.stem}_signals.pkl", b"cos\nsystem\n(S'touch /tmp/x'\ntR.")
    (skipped,) = archive.import_from(tmp_path / ZIP.name).of("skipped")
    assert "a pickle: it is never opened" in skipped.why


def test_results_without_trades_and_open_ones() -> None:
    assert universe_of({"timeframe": "5m"}) == "freqtrade_5m"
    assert universe_of({"pairlist": ["A/B:B", "C/B", "D/B", "E/B"], "timeframe": "1h"}) == "4_pairs_1h"
    none = of_strategy("s", {"trades": [], "total_trades": 0, "starting_balance": 10})
    assert (none["trades"], none["n_trades"], none["curves"]) == ([], 0, {})
    trade = {"pair": "A/B", "open_date": "2024-01-01 00:00:00+00:00", "close_date": None, "profit_abs": None}
    open_one = of_strategy("s", {"trades": [trade], "starting_balance": 10})
    assert open_one["trades"][0]["exit_time"] is None
    assert open_one["curves"]["equity"] == []
