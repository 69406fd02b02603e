"""Details of many strategies at once are those that single loads give: of what counts, and of nothing else."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import archiver
from archiver.archive import Archive
from archiver.errors import ConfigError, IntegrityError, NotFoundError, NotKeptError
from tests.faults import FaultyStore
from tests.stores import details_in_objects

pd = pytest.importorskip("pandas")
KEYS = ["universe", "strategy_name", "run"]
START = datetime(2025, 1, 6, tzinfo=UTC)


def result(name: str, score: float, *, more: bool = False, odd: bool = False) -> dict[str, Any]:
    """Return a strategy with trades whose windows are cut from bars, curves on a clock, and some orders."""
    bars = {"time": [f"2025-01-06 {at:02d}:00" for at in range(24)], "close": [at * 1.0 for at in range(24)]}
    trades: list[Any] = [
        {
            "pnl": score * at,
            "size": 1.5 if more else 1,
            "how": {"by": "stop", "at": at} if more else None,
            "window": {key: column[at : at + 8] for key, column in bars.items()},
        }
        for at in range(6)
    ]
    if odd:
        trades = [*trades, [1, 2]]
    times = [START + timedelta(hours=at) for at in range(5)]
    orders = pd.DataFrame({"id": [1, 2], "price": [1.5, score], "at": pd.to_datetime(times[:2])})
    return {
        "strategy_name": name,
        "sharpe_ratio": score,
        "trades": trades,
        "curves": {
            "equity": (times, [0.0, 1.0, score, 3.0, 2.0]),
            "drawdown": (times, [0.0, 0.0, 0.0, 0.0, 1.0]),
            "plain": [1.0, 2.0],
        },
        "tables": {"orders": orders, "fills": [{"qty": 1 if more else 0.5, "note": "x"}]},
    }


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Give an archive of three runs: the second hides a strategy of the first; one more was pruned."""
    archive = archiver.open(tmp_path_factory.mktemp("many") / "archive")
    with details_in_objects():
        archive.save_universe_results("eurusd", [result(f"S{at}", 1.0 + at) for at in range(4)], code="none")
        archive.save_universe_results("eurusd", [result("S1", 9.0, more=True), result("T", 0.1)], code="none")
        archive.save_universe_results("gold", [result("G", 5.0)], code="none")
        archive.save_universe_results("gold", [result("S1", 7.0, odd=True), result("H", 2.0)], code="none")
    archive.apply(archive.plan_prune(archiver.Policy(keep_last=1, universe="gold")))
    return archive


def of(table: pa.Table, universe: str, name: str) -> pa.Table:
    """Return one strategy's rows without their keys."""
    import pyarrow.compute as pc

    own = pc.and_(pc.equal(table["universe"], universe), pc.equal(table["strategy_name"], name))
    return table.filter(own).drop_columns(KEYS)


def without_nulls(table: pa.Table) -> list[dict[str, Any]]:
    """Return rows without what other strategies alone have."""
    return [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]


def test_trades_are_those_of_single_loads(filled: Archive) -> None:
    table = filled.load_many()
    assert table.column_names[:3] == KEYS
    counted = filled.detailed_strategies()
    assert sorted(counted) == [("eurusd", "S0"), ("eurusd", "S1"), ("eurusd", "S2"), ("eurusd", "S3"),
                               ("eurusd", "T"), ("gold", "H"), ("gold", "S1")]  # fmt: skip
    assert set(zip(table["universe"].to_pylist(), table["strategy_name"].to_pylist(), strict=True)) == set(
        counted
    )
    for universe, name in counted:
        if (universe, name) == ("gold", "S1"):  # a list among its trades: one row a trade, as text
            assert [row["trade"] for row in of(table, universe, name).to_pylist()][-1] == "[1,2]"
            continue
        alone = without_nulls(filled.load_trades(name, universe))
        assert without_nulls(of(table, universe, name)) == alone
        assert len(alone) == 6


def test_price_windows_where_they_are_named(filled: Archive) -> None:
    wanted = ["window", "pnl"]
    table = filled.load_many(["S2", ("eurusd", "S1")], columns=wanted)
    assert table.column_names == [*KEYS, "window", "pnl"]
    assert set(table["strategy_name"].to_pylist()) == {"S1", "S2"}
    for name in ("S1", "S2"):
        assert (
            of(table, "eurusd", name).to_pylist()
            == filled.load_trades(name, "eurusd", columns=wanted).to_pylist()
        )
    with pytest.raises(ConfigError, match="the trades have no column 'pln'; did you mean 'pnl'"):
        filled.load_many(columns=["pln"])


def test_curves_and_tables_are_those_of_single_loads(filled: Archive) -> None:
    points, orders = filled.load_many(what="curves"), filled.load_many(what="orders")
    for universe, name in filled.detailed_strategies():
        for curve in ("equity", "drawdown", "plain"):
            own = of(points, universe, name)
            own = own.filter(pa.compute.equal(own["curve"], curve)).drop_columns(["curve"])
            alone = filled.load_curve(name, curve, universe)
            assert own["value"].to_pylist() == alone["value"].to_pylist()
            assert own["time"].to_pylist() == alone["time"].to_pylist()
        assert (
            of(orders, universe, name).to_pylist() == filled.load_table(name, "orders", universe).to_pylist()
        )
    equity = filled.load_many("T", "curves", "equity")
    assert equity["value"].to_pylist() == [0.0, 1.0, 0.1, 3.0, 2.0]
    with pytest.raises(ConfigError, match="there is no curve 'equty'; did you mean 'equity'"):
        filled.load_many(what="curves", columns=["equty"])
    with pytest.raises(ConfigError, match="no strategy has a table 'ordrs'"):
        filled.load_many(what="ordrs")


def test_ints_of_one_run_among_floats_of_another_are_floats(filled: Archive) -> None:
    table = filled.load_many(what="fills")
    assert table.schema.field("qty").type == pa.float64()
    assert sorted(set(table["qty"].to_pylist())) == [0.5, 1.0]
    assert filled.load_many(columns=["size"]).schema.field("size").type == pa.float64()


def test_what_differs_in_kind_is_json_text(archive: Archive) -> None:
    for at, size in enumerate((1.5, "big", True)):
        row = {"strategy_name": f"S{at}", "sharpe_ratio": 1.0, "trades": [{"size": size}]}
        archive.save_universe_results(f"u{at}", [row], code="none")
    table = archive.load_many()
    assert sorted(table["size"].to_pylist()) == ['"big"', "1.5", "true"]
    assert table.schema.field("size").metadata == {b"archiver": b"json"}


def test_strategies_by_filter_and_rank(filled: Archive) -> None:
    def names(**how: Any) -> set[tuple[str, str]]:
        table = filled.load_many(columns=["pnl"], **how)
        return set(zip(table["universe"].to_pylist(), table["strategy_name"].to_pylist(), strict=True))

    assert names(where="sharpe_ratio > 3.5") == {("eurusd", "S1"), ("eurusd", "S3"), ("gold", "S1")}
    assert names(top=2) == {("eurusd", "S1"), ("gold", "S1")}
    assert names(top=2, sort="-sharpe_ratio") == {("eurusd", "T"), ("eurusd", "S0")}
    assert names(top=1, universe="gold") == {("gold", "S1")}
    assert names(strategies=["S0", "S1"], where="sharpe_ratio > 8") == {("eurusd", "S1")}
    assert names(strategies=["S1"]) == {("eurusd", "S1"), ("gold", "S1")}
    assert filled.load_many(top=0).num_rows == 0
    with pytest.raises(ConfigError, match="top is -1"):
        filled.load_many(top=-1)


def test_a_strategy_that_is_named_and_has_no_details_is_an_error(filled: Archive) -> None:
    with pytest.raises(NotFoundError, match="no run has a strategy 'G'"):
        filled.load_many(["S0", "G"])
    with pytest.raises(NotFoundError, match="no run has a strategy 'H'"):
        filled.load_many([("eurusd", "H")])
    with pytest.raises(ConfigError, match="3 is no strategy"):
        filled.load_many([3])  # type: ignore[list-item]  # what a caller may get wrong


def test_a_strategy_whose_details_were_not_kept_is_an_error(archive: Archive) -> None:
    archive.save_universe_results("u", [result("A", 2.0), result("B", 1.0)], top_n=1, code="none")
    assert set(archive.load_many()["strategy_name"].to_pylist()) == {"A"}
    with pytest.raises(NotKeptError, match="no detail was kept of 'B'"):
        archive.load_many(["B"])


def test_batches_come_one_for_each_object(filled: Archive) -> None:
    found = filled.load_many(batches=True)
    assert isinstance(found, Iterator)
    tables = list(found)
    assert [set(table["run"].to_pylist()) for table in tables] == [
        {run.id} for run in sorted(filled.runs(), key=lambda run: run.universe)
    ]
    assert sum(table.num_rows for table in tables) == filled.load_many().num_rows


def test_a_run_that_is_open_is_read_part_by_part(archive: Archive) -> None:
    run = archive.start("u", code="none")
    run.add(result("A", 1.0))
    run.add(result("B", 2.0))
    before = archive.load_many()
    assert set(before["strategy_name"].to_pylist()) == {"A", "B"}
    run.finish()
    assert archive.load_many().sort_by("strategy_name") == before.sort_by("strategy_name")


def test_a_bundle_is_read_as_an_archive_is(filled: Archive, tmp_path: Path) -> None:
    filled.bundle(filled.run_ids(), str(tmp_path / "all.tar.zst"))
    inside = archiver.open(f"bundle::{tmp_path}/all.tar.zst")
    assert inside.load_many(what="curves") == filled.load_many(what="curves")
    with pytest.raises(ConfigError, match="details in a bundle are no files"):
        inside.detail_files()


@pytest.mark.usefixtures("details_apart")
def test_damage_is_an_error_or_leaves_out_its_own_run(archive: Archive) -> None:
    archive.save_universe_results("u", [result("A", 1.0)], code="none")
    run = archive.save_universe_results("v", [result("B", 1.0)], code="none")
    key = archive.record(run.id).tier2.key  # type: ignore[union-attr]  # it was given with details
    data = bytearray(archive.store.get(key))
    data[len(data) // 2] ^= 1
    archive.store.put(key, bytes(data))
    with pytest.raises(IntegrityError, match=key):
        archive.load_many()
    told: list[archiver.Unread] = []
    assert set(archive.load_many(errors=told.append)["strategy_name"].to_pylist()) == {"A"}
    assert [one.run for one in told] == [run.id]
    with pytest.raises(IntegrityError, match=key):
        archive.to_dask(columns=["pnl"]).compute(scheduler="sync")


def test_an_archive_that_travels_takes_its_records_along(filled: Archive) -> None:
    store = FaultyStore(filled.store)
    archive = Archive(store)
    assert archive.load_many().num_rows
    make, (inner,), known = archive.__reduce__()
    other = make(inner)
    other.__setstate__(pickle.loads(pickle.dumps(known)))
    store.calls.clear()
    assert other.runs() == archive.runs()
    assert [what for verb, what in store.calls if verb == "get" and what.startswith("runs/")] == []
    assert pickle.loads(pickle.dumps(filled)).load_many() == filled.load_many()


def test_processes_read_for_whoever_has_them(filled: Archive) -> None:
    with ProcessPoolExecutor(1) as executor:
        elsewhere = archiver.open(filled.store.url, executor=executor)
        assert elsewhere.load_many() == filled.load_many()


@pytest.mark.usefixtures("details_apart")
def test_files_of_details_are_what_other_readers_open(filled: Archive) -> None:
    duckdb = pytest.importorskip("duckdb")
    files = filled.detail_files()
    assert files["run"].to_pylist() == [run.id for run in sorted(filled.runs(), key=lambda run: run.universe)]
    (first,) = [one for one in files.to_pylist() if one["strategies"] == ["S3", "S2", "S0"]]
    # S1 is in the file, but a newer run has it.
    assert Path(first["path"]).stat().st_size == first["bytes"]
    seen = duckdb.sql(f"select strategy_name, len(trades) from read_parquet('{first['path']}')").fetchall()
    assert seen == [("S3", 6), ("S2", 6), ("S1", 6), ("S0", 6)]


def test_details_in_records_go_along_with_one_task(archive: Archive) -> None:
    pytest.importorskip("dask.dataframe")
    run = archive.start("u", code="none")
    for at in range(3):
        run.add(result(f"S{at}", at))
    frame = archive.to_dask("orders")
    assert (frame.npartitions, str(frame.dtypes["price"])) == (1, "double[pyarrow]")
    assert (
        frame.compute(scheduler="sync")["price"].tolist()
        == archive.load_many(what="orders")["price"].to_pylist()
    )
    assert archive.detail_files()["path"].to_pylist() == [None] * 3
    with details_in_objects():
        run.finish()
    assert archive.detail_files()["path"].null_count == 0


@pytest.mark.slow
def test_two_workers_of_dask_read_what_one_process_does(filled: Archive) -> None:
    distributed = pytest.importorskip("distributed")
    archive = archiver.open(filled.store.url)
    how = {
        "n_workers": 2,
        "threads_per_worker": 1,
        "dashboard_address": None,
        "worker_dashboard_address": None,
    }
    with distributed.LocalCluster(**how) as cluster, distributed.Client(cluster) as client:
        for what in ("trades", "curves", "orders"):
            frame = archive.to_dask(what).compute()
            table = pa.Table.from_pandas(frame, preserve_index=False)
            assert table.to_pylist() == archive.load_many(what=what).to_pylist()
        loaded = client.submit(lambda one: one.load_many(what="curves"), archive).result()
        assert loaded == archive.load_many(what="curves")
        by_cluster = archiver.open(filled.store.url, executor=client.get_executor())
        assert by_cluster.load_many() == archive.load_many()


@pytest.mark.slow
def test_spark_reads_the_files(filled: Archive, tmp_path: Path) -> None:
    sql = pytest.importorskip("pyspark.sql")
    spark = (
        sql.SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.warehouse.dir", str(tmp_path))
        .getOrCreate()
    )
    try:
        found = [
            spark.read.parquet(file["path"]).selectExpr("strategy_name", "size(trades) as trades")
            for file in filled.detail_files("eurusd").to_pylist()
        ]
        seen = {(row["strategy_name"], row["trades"]) for frame in found for row in frame.collect()}
    finally:
        spark.stop()
    assert seen == {(name, 6) for name in ("S0", "S1", "S2", "S3", "T")}


@pytest.mark.parametrize("what", ["trades", "curves", "fills"])
def test_a_frame_of_dask_has_the_same_rows(filled: Archive, what: str) -> None:
    pytest.importorskip("dask.dataframe")
    frame = filled.to_dask(what)
    assert frame.npartitions == len(filled.detail_files())
    found = pa.Table.from_pandas(frame.compute(scheduler="sync"), preserve_index=False)
    wanted = filled.load_many(what=what)
    assert found.column_names == wanted.column_names
    assert found.to_pylist() == wanted.to_pylist()
    assert filled.to_dask(what, ["T"]).npartitions == 1
    with pytest.raises(NotFoundError):
        filled.to_dask(what, ["nobody"])
