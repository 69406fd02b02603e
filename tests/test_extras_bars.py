"""Curves that follow the bars, through an archive: every way to read gives the floats that were saved, and their tape stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import archiver
from archiver import legacy
from archiver.archive import Archive
from archiver.format import layout
from archiver.format.parquet import write_parquet
from tests import marked
from tests.hostile import fields_of, put_fields
from tests.same import same

pytestmark = pytest.mark.usefixtures("details_apart")

CLOSE = marked.closes(600)
BARS = marked.bars(CLOSE)
DAYS = pd.date_range("2023-01-02", periods=600, freq="D").as_unit("us")
WALK = (marked.CASH + np.cumsum(np.random.default_rng(1).normal(0, 50, 600))).tolist()


def equity(at: int) -> list[float]:
    curve: list[float] = marked.equity(CLOSE, [None, 90_000.0, -70_000.0][at % 3], every=30 + at).tolist()
    return curve


def results(count: int = 8) -> list[dict[str, Any]]:
    """Make results as the first format knew them."""
    return [
        {
            "strategy_name": f"S{at}",
            "sharpe_ratio": 5.0 - at,
            "trades_detailed": [{"pnl": 1.5}],
            "equity_curve": equity(at),
            "drawdown_curve": (np.maximum.accumulate(equity(at)) - equity(at)).tolist(),
        }
        for at in range(count)
    ]


def rich() -> dict[str, Any]:
    """Make a result with what format 2 knows."""
    account = np.array(equity(1))
    return {
        "strategy_name": "rich",
        "sharpe_ratio": 9.0,
        "trades": marked.trades(CLOSE),
        "curves": {
            "equity": pd.Series(account, DAYS),
            "hold": pd.Series(marked.CASH * CLOSE / CLOSE[0], DAYS),
            "below": (1 - account / np.maximum.accumulate(account)).tolist(),
            "walk": WALK,
        },
    }


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    made = archiver.open(tmp_path_factory.mktemp("bars") / "archive")
    made.save_universe_results("plain", results(), bars=BARS, code="none")
    made.save_universe_results("rich", [rich()], code="none")
    return made


def detail_of(archive: Archive, universe: str) -> tuple[Any, pa.Table]:
    (record,) = [record for record in archive.records() if record.universe == universe]
    return record, pq.read_table(pa.BufferReader(archive.store.get(record.tier2.key)))


def test_what_was_given_comes_back_and_its_tape_belongs_to_the_run(archive):
    record, table = detail_of(archive, "plain")
    assert (record.format, len(record.tapes)) == (2, 1)
    assert table["segments.equity"].null_count == table["equity_curve"].null_count - 8 == 0
    for given in results():
        found = archive.load_strategy(given["strategy_name"])
        assert same(found["equity_curve"], given["equity_curve"])
        assert same(found["drawdown_curve"], given["drawdown_curve"])
        # Nothing was given beyond the first format, so nothing of later ones comes back.
        assert "curves" not in found
    assert archive.store.get(layout.ARCHIVE).count(b'"format": 2') == 1
    assert sum(entry.size for entry in archive.store.list(layout.TIER2 + "universe=plain/")) < 14_000


def test_dated_curves_and_curves_that_follow_from_equity_come_back(archive):
    _, table = detail_of(archive, "rich")
    columns = ("segments.equity", "segments.hold", "rule.below", "curve.walk")
    assert [table[name].null_count for name in columns] == [0] * 4
    assert table["curve.below"].null_count == 1
    given = rich()
    for name, curve in given["curves"].items():
        found = archive.load_curve("rich", name)
        assert same(found["value"].to_pylist(), list(curve))
        assert found["time"].to_pylist() == (
            list(DAYS.to_pydatetime()) if name in ("equity", "hold") else [None] * 600
        )
    assert archive.contents("rich")["curves"] == ["equity", "hold", "below", "walk"]
    assert same(archive.load_strategy("rich")["equity_curve"], list(given["curves"]["equity"]))


def test_sql_export_and_the_old_functions_give_the_same_floats(archive, tmp_path, monkeypatch):
    found = archive.sql(
        "select value from curves where strategy_name = 'rich' and curve = 'hold' order by time"
    )
    assert same(found["value"].to_pylist(), list(rich()["curves"]["hold"]))
    found = archive.sql("select equity from curves where strategy_name = 'S3' order by point")
    assert same(found["equity"].to_pylist(), equity(3))
    archive.export(str(tmp_path / "out"), "tiered-json", universe="plain")
    again = archiver.open(tmp_path / "again")
    again.import_from(str(tmp_path / "out"))
    assert same(again.load_strategy("S4")["equity_curve"], equity(4))
    monkeypatch.setenv("ARCHIVER_URL", str(archive.store.url))
    old = legacy.load_strategy_detailed_trades("S2")
    assert old is not None
    assert same(old["equity_curve"], equity(2))


def test_copies_and_bundles_have_the_tape_and_gc_lets_it_live(archive, tmp_path):
    copy = archiver.open(tmp_path / "copy")
    archive.copy_to(copy)
    bundle = str(tmp_path / "b.tar.zst")
    archive.bundle(archive.run_ids(), bundle)
    restored = archiver.open(tmp_path / "restored")
    restored.bundles.restore(bundle)
    for other in (copy, restored, archiver.open(f"bundle::{bundle}", read_only=True)):
        assert same(other.load_strategy("S5")["equity_curve"], equity(5))
        assert same(other.load_curve("rich", "hold")["value"].to_pylist(), list(rich()["curves"]["hold"]))
    old, _ = detail_of(copy, "plain")
    copy.save_universe_results("plain", results()[:1], bars=BARS, code="none")
    copy.apply(copy.plan_prune(archiver.Policy(name="one", keep_last=1, universe="plain")))
    copy.undelete(old.run)
    assert copy.gc(grace="0s", apply=True).kinds["tapes"].objects == 0
    assert same(copy.load_strategy("S6", run=old.run)["equity_curve"], equity(6))
    assert copy.verify(read_data=True).ok


def test_an_open_run_has_them_at_once_and_when_it_is_finished(tmp_path):
    archive = archiver.open(tmp_path / "archive")
    with archive.start("plain", top_n=3, code="none", bars=BARS) as run:
        for given in results(4):
            run.add({**given, "trades_detailed": marked.trades(CLOSE)})
        assert same(archive.load_strategy("S1")["equity_curve"], equity(1))
    for name in ("S0", "S2"):
        assert same(archive.load_strategy(name)["equity_curve"], equity(int(name[1:])))
    assert detail_of(archive, "plain")[1]["segments.equity"].null_count == 0


def test_the_next_run_follows_the_same_tape(tmp_path):
    archive = archiver.open(tmp_path / "archive")
    first = archive.save_universe_results("plain", results(), bars=BARS, code="none")
    second = archive.save_universe_results("plain", results(), code="none")
    assert archive.record(first.id).tapes == archive.record(second.id).tapes != ()


def changed(table: pa.Table, name: str, make: Any) -> pa.Table:
    return table.set_column(
        table.column_names.index(name), name, [pa.array(make(table[name].to_pylist()), table[name].type)]
    )


def with_(name: str, value: Any) -> Any:
    return lambda table: changed(
        table, "segments.equity", lambda rows: [[{**row[0], name: value}, *row[1:]] for row in rows]
    )


@pytest.mark.parametrize(
    "damage",
    [
        with_("begin", 3),
        with_("base", None),
        lambda table: changed(table, "bits.equity", lambda rows: [row[:100] for row in rows]),
        lambda table: changed(table, "bits.equity", lambda rows: [None for _ in rows]),
        lambda table: table.drop_columns(["bits.equity"]),
        lambda table: changed(
            table, "segments.equity", lambda rows: [[{**one, "shift": 601} for one in row] for row in rows]
        ),
        None,
    ],
    ids=["begin", "null", "short", "no bits", "no column", "shift", "no tape"],
)
def test_damage_is_told_and_gives_no_numbers(tmp_path: Path, damage: Any) -> None:
    archive = archiver.open(tmp_path / "archive")
    run = archive.save_universe_results("plain", results(), bars=BARS, code="none")
    record, table = detail_of(archive, "plain")
    fields = fields_of(archive.store, layout.record_key(run.id))
    if damage is None:
        del fields["tapes"]
    else:
        facts = archive.reader.details(record).facts
        data, ref = write_parquet([damage(table)], facts, parts="group")
        archive.store.put(record.tier2.key, data)
        fields["tier2"] = {"key": record.tier2.key, "size": ref.size, "sha256": ref.sha256}
    put_fields(archive.store, layout.record_key(run.id), fields)
    again = archiver.open(tmp_path / "archive")
    for read in (
        lambda: again.load_strategy("S1"),
        lambda: again.load_curve("S1", "equity"),
        lambda: again.sql("select * from curves"),
    ):
        with pytest.raises(archiver.IntegrityError, match="is damaged"):
            read()
