"""Curves, tables and files of strategies: whatever form they are given in, they come back."""

from __future__ import annotations

import datetime as dt
import io
import math
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import archiver
from archiver.archive import Archive
from archiver.format import layout
from archiver.format.attached import MOST_FILE
from archiver.format.clocks import clock_of
from archiver.format.series import series_of
from tests.same import same

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = pd.date_range("2025-03-29", periods=3, freq="D")
HOURS = pd.date_range("2025-10-25T22:00", periods=4, freq="h", tz="America/New_York").as_unit("ns")
VALUES = [1.0, 2, float("nan")]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return archiver.open(tmp_path / "archive")


def save(archive: Archive, **detail: Any) -> archiver.Run:
    return archive.save_universe_results("u", [{"strategy_name": "S", "sharpe": 1.0, **detail}], code="none")


FORMS: list[tuple[Any, pa.DataType, list[Any]]] = [
    (pd.Series(VALUES, DAYS.as_unit("s")), pa.timestamp("s"), list(DAYS)),
    (pd.Series([1.0, 2, 3, 4], HOURS), pa.timestamp("ns", "America/New_York"), list(HOURS)),
    (pd.Series(VALUES, ["a", "b", "c"]), pa.string(), ["a", "b", "c"]),
    (pd.Series(VALUES, [5, 3, 9]), pa.int64(), [5, 3, 9]),
    (pd.DataFrame({"Equity": VALUES}, DAYS.as_unit("ms")), pa.timestamp("ms"), list(DAYS)),
    (pd.DataFrame({"time": DAYS.as_unit("us"), "equity": VALUES}), pa.timestamp("us"), list(DAYS)),
    (pl.DataFrame({"date": [day.date() for day in DAYS], "v": VALUES}), pa.timestamp("s"), list(DAYS)),
    (pa.table({"time": pa.array(DAYS.as_unit("ns")), "x": VALUES}), pa.timestamp("ns"), list(DAYS)),
    ((DAYS.as_unit("us").to_numpy(), np.array(VALUES)), pa.timestamp("us"), list(DAYS)),
    (([day.to_pydatetime() for day in DAYS], VALUES), pa.timestamp("us"), list(DAYS)),
    (([1_700_000_000 + at for at in range(3)], VALUES), pa.timestamp("s", "UTC"),
     [pd.Timestamp(1_700_000_000 + at, unit="s", tz="UTC") for at in range(3)]),
    ([[1_700_000_000_123, 1.0], [1_700_000_000_999, 2]], pa.timestamp("ms", "UTC"),
     [pd.Timestamp(1_700_000_000_123, unit="ms", tz="UTC"), pd.Timestamp(1_700_000_000_999, unit="ms", tz="UTC")]),
    (np.array([[1.7e18, 1.0]]), pa.timestamp("us", "UTC"), [pd.Timestamp(1.7e18, unit="ns", tz="UTC")]),
    ([["2025-03-29", 1], ["2025-03-30", 2]], pa.timestamp("us"), list(DAYS[:2])),
    ([["2025-03-29T00:00:00Z", 1.5]], pa.timestamp("us", "UTC"), [pd.Timestamp("2025-03-29", tz="UTC")]),
    ([[dt.datetime(2025, 3, 29, 12, tzinfo=BERLIN), 1.5]], pa.timestamp("us", "Europe/Berlin"),
     [pd.Timestamp("2025-03-29 12:00", tz=BERLIN)]),
    ([(0, 1.5), (1, None)], pa.int64(), [0, 1]),
    ({"t": [0.25, 0.5], "balance": [1, 2]}, pa.float64(), [0.25, 0.5]),
    ([{"time": "2025-03-29 10:00:00", "value": 1}], pa.timestamp("us"), [pd.Timestamp("2025-03-29 10:00")]),
    ([1.5, 2, None], pa.timestamp("us"), [None] * 3),
    (np.array([1.5, 2]), pa.timestamp("us"), [None] * 2),
    (pl.Series([1, 2]), pa.timestamp("us"), [None] * 2),
    ([], pa.timestamp("us"), []),
    (pd.Series([], pd.DatetimeIndex([], tz="Asia/Tokyo").as_unit("ns"), dtype=float), pa.timestamp("ns", "Asia/Tokyo"), []),
]  # fmt: skip


@pytest.mark.parametrize(("curve", "kind", "moments"), FORMS)
def test_a_curve_of_any_form_comes_back_on_its_clock(archive, curve, kind, moments):
    save(archive, curves={"c": curve})
    found = archive.load_curve("S", "c")
    assert found.schema.field("time").type == kind
    assert found["time"].to_pandas().tolist() == moments or found["time"].to_pylist() == moments
    read = series_of(curve, "c")
    assert same([float("nan") if v is None else float(v) for v in read.values],
                [float("nan") if v is None else float(v) for v in found["value"].to_pylist()])  # fmt: skip
    assert same(archive.load_strategy("S")["curves"]["c"], read.written())
    # What came back is a curve that is kept the same way, zone aside, of which text has the offset alone.
    again = series_of(archive.load_strategy("S")["curves"]["c"], "c")
    assert same(again.written(), read.written())
    assert archive.verify(read_data=True).ok


@pytest.mark.parametrize(
    "pairs",
    [
        [["2025-03-29", 1], ["2025-03-30", 2.5]],
        [["2025-03-29 10:00:00", -0.0], ["2025-03-30 10:00:01.000005", math.nan]],
        [["2025-03-29T10:00:00Z", 1], ["2025-03-30T10:00+02:00", 2]],
        [[1_700_000_000, 1], [1_700_000_060, 2]],
        [[1_700_000_000.25, 1.5]],
        [[1_700_000_000_000_000_000, 2**60]],
        [[3, "text"], [1, True]],
        [["bar 1", 1.5]],
    ],
)
def test_pairs_come_back_as_they_were_under_the_old_name_too(archive, pairs):
    save(archive, equity_curve=pairs, drawdown_curve=[1.0, 2], curves={"x": pairs})
    found = archive.load_strategy("S")
    assert same(found["equity_curve"], pairs)
    assert same(found["curves"]["equity"], pairs)
    assert same(found["curves"]["x"], pairs)
    assert same(found["curves"]["drawdown"], [1.0, 2])
    assert same(archive.load_outline("S")["equity_curve"], pairs)


NAIVE = dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)  # noqa: DTZ001  # moments without a zone are what is tried
MOMENT = st.datetimes(*NAIVE)
NUMBER = st.none() | st.floats() | st.integers(-(2**53), 2**53) | st.integers()
CLOCK = st.sampled_from([None, "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])


@settings(deadline=None)
@given(st.lists(st.tuples(MOMENT, NUMBER), max_size=8), CLOCK, st.sampled_from(["s", "ms", "us", "ns"]))
def test_any_values_on_any_clock_come_back(tmp_path_factory, points, zone, unit):
    index = pd.DatetimeIndex([moment for moment, _ in points], tz="UTC" if zone else None).as_unit(unit)
    index = index.tz_convert(zone) if zone else index
    archive = archiver.open(tmp_path_factory.mktemp("a"))
    save(archive, curves={"c": (index, [value for _, value in points])})
    found = archive.load_curve("S", "c")["time"].to_pandas()
    assert found.tolist() == index.tolist()
    kept = archive.load_strategy("S")["curves"]["c"]
    assert same([value for _, value in kept], [value for _, value in points])
    assert [moment for moment, _ in kept] == [moment.isoformat() for moment in index]


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False), max_size=5)
       | st.lists(st.text(max_size=12), max_size=5) | st.lists(MOMENT.map(str), max_size=5)
       | st.lists(st.dates(), max_size=5))  # fmt: skip
def test_moments_are_written_as_they_were_given(times):
    clock = clock_of(times, "c")
    expected = [time.isoformat() if isinstance(time, dt.date) else time for time in times]
    if {type(time) for time in times} == {int, float}:
        expected = [float(time) for time in times]
    assert clock.written() == expected


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ({"curves": {"equity": pd.Series([1.0, 2], [pd.Timestamp("2025-01-01"), pd.NaT])}}, r"curves\.equity has no moment at point 1"),
        ({"equity_curve": pd.Series([1.0], [pd.NaT])}, "equity_curve has no moment at point 0"),
        ({"curves": {"c": [[1_700_000_000, 1.0], [None, 2.0]]}}, r"curves\.c has no moment at point 1"),
        ({"curves": {"c": ([NAIVE[0], dt.datetime(2025, 1, 1, tzinfo=dt.UTC)], [1, 2])}}, r"curves\.c has moments with a time zone"),
        ({"curves": {"c": [["2025-01-01", 1], ["2025-01-01T00:00Z", 1]]}}, r"curves\.c has moments with a time zone"),
        ({"curves": {"c": (list(range(3)), [1.0])}}, r"curves\.c has 3 moments for 1 values"),
        ({"curves": {"c": pd.Series([1.0], pd.MultiIndex.from_tuples([(1, 2)]))}}, r"curves\.c has an index of 2 levels"),
        ({"curves": {"c": pd.DataFrame([[1, 2]], columns=["equity", "equity"])}}, r"curves\.c: two columns have one name"),
        ({"curves": {"c": pd.DataFrame([[1, 2]], columns=["a", "b"])}}, r"curves\.c is a DataFrame of columns a, b that is no curve"),
        ({"curves": {"c": 7}}, r"curves\.c is a int that is no curve"),
        ({"curves": {"c": [[1, 2], [{}, 3]]}}, r"curves\.c has .* as moment 1"),
        ({"curves": {"": [1.0]}}, "curves has the name ''"),
        ({"curves": {"a\nb": [1.0]}}, "curves has the name"),
        ({"curves": {3: [1.0]}}, "curves has the name 3"),
        ({"curves": {"c": [object()]}}, r"curves\.c\[0\] is a object"),
        ({"equity_curve": [1.0], "curves": {"equity": [1.0]}}, "both equity_curve and"),
        ({"tables": {"orders": pd.DataFrame([[1, 2]], columns=["a", "a"])}}, r"tables\.orders: a table has two columns of one name"),
        ({"tables": {"orders": {"a": [1], "b": [1, 2]}}}, r"tables\.orders is a dict with columns of 1 and 2 rows"),
        ({"tables": {"orders": "x"}}, r"tables\.orders is a str that is no table"),
        ({"tables": {"orders": [{"a": object()}]}}, r"tables\.orders\[0\]\.a is a object"),
        ({"tables": {"o": pd.DataFrame({"a": [object()]})}}, r"tables\.o\.a\[0\] is a object"),
        ({"files": {"../x": b""}}, "files has the name '../x': give a plain file name"),
        ({"files": {"a/b": b""}}, "give a plain file name"),
        ({"files": {"..": b""}}, "give a plain file name"),
        ({"files": {"C:x": b""}}, "give a plain file name"),
        ({"files": {"x\x00": b""}}, "printable text"),
        ({"files": {"x" * 300: b""}}, "printable text"),
        ({"files": {"x": Path("/nonexistent/x")}}, r"files\.x: /nonexistent/x cannot be read"),
        ({"files": {"x": 3}}, r"files\.x is a int: give text, bytes"),
        ({"files": {"x": "\ud800"}}, r"files\.x is text that is not valid Unicode"),
        ({"files": {"x": bytes(MOST_FILE + 1)}}, r"files\.x has 67,108,865 bytes: at most"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_one_line_with_its_place(archive, detail, said):
    with pytest.raises(archiver.ConfigError, match=said) as told:
        save(archive, **detail)
    assert str(told.value).startswith("universe 'u': ")
    assert "'S'" in str(told.value)
    assert "\n" not in str(told.value)
    assert not (Path(archive.store.local) / "runs").exists()


FRAMES = [
    pd.DataFrame({"a": [1.5, math.nan], "b": [1, 2]}),
    pd.DataFrame({"a": np.array([1, 2], "int8"), "u": np.array([1, 2**64 - 1], "uint64"), "f": np.array([1.5, 2], "float32")}),
    pd.DataFrame({"t": DAYS, "z": DAYS.tz_localize("Europe/Berlin").as_unit("ns"), "d": DAYS - DAYS[0], "b": [True, False, True]}),
    pd.DataFrame({"c": pd.Categorical(["x", None, "y"], ["y", "x", "never"], ordered=True), "n": pd.array([1, None, 3], "Int64"), "s": ["a", None, "é"]}),
    pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("k", DAYS[0]), ("l", DAYS[1])], names=["key", "day"])),
    pd.DataFrame({"a": [1, 2]}, index=pd.Index([7, 3], name=None)),
    pd.DataFrame({"a": [1, 2]}, index=DAYS[:2]),
    pd.DataFrame({"a": pd.Series([], dtype="float32"), "t": pd.DatetimeIndex([], tz="UTC").as_unit("ns")}),
    pd.DataFrame(),
    pd.DataFrame({"a": [1.0]}, DAYS[:1]).iloc[:0],
]  # fmt: skip


@pytest.mark.parametrize("frame", FRAMES)
def test_a_frame_of_pandas_comes_back_as_it_was(archive, frame):
    other = pd.DataFrame({"a": ["of another type"]})
    results = [
        {"strategy_name": "S", "sharpe": 1.0, "tables": {"orders": frame}},
        {"strategy_name": "T", "sharpe": 2.0, "tables": {"orders": other}},
        {"strategy_name": "U", "sharpe": 0.0, "tables": {"fills": frame}},
    ]
    archive.save_universe_results("u", results, code="none")
    back = archive.load_table("S", "orders").to_pandas()
    pd.testing.assert_frame_equal(back, frame, check_column_type=False, check_freq=False)
    pd.testing.assert_frame_equal(archive.load_table("T", "orders").to_pandas(), other)
    assert archive.contents("U") == {"curves": [], "tables": ["fills"], "files": {}}
    assert len(archive.load_strategy("U")["tables"]["fills"]) == len(frame)
    assert archive.sql('select count(*) n from "orders"')["n"].to_pylist() == [len(frame) + 1]


def test_tables_of_other_libraries_come_back_with_their_types(archive):
    arrow = pa.table({
        "d": pa.array([dt.date(2025, 1, 1), None]), "x": pa.array([b"\x00", None]), "t": pa.array([dt.time(1, 2), None]),
        "m": pa.array([pa.scalar(1).as_py(), None], pa.decimal128(10, 2)), "l": [[1, 2], None], "e": pa.array([dt.timedelta(1), None]),
        "nan": [math.nan, None],
    })  # fmt: skip
    frame = pl.DataFrame({"a": [1, None], "s": ["x", None], "f": pl.Series([1.5, None], dtype=pl.Float32)})
    rows = [{"a": 1, "b": {"c": [1, "x"]}}, {"a": 2.5}, {"a": None, "z": 2**70}]
    save(
        archive,
        tables={
            "arrow": arrow,
            "polars": frame,
            "rows": rows,
            "columns": {"a": [1, 2], "b": ["x", "y"]},
            "none": [],
        },
    )
    back = archive.load_table("S", "arrow")
    assert back.drop_columns("l").schema == arrow.drop_columns("l").schema
    assert same(back.drop_columns("l").to_pylist(), arrow.drop_columns("l").to_pylist())
    assert back["l"].to_pylist() == ["[1,2]", None]
    assert pl.DataFrame(archive.load_table("S", "polars")).equals(frame)
    found = archive.load_strategy("S")["tables"]
    assert same(found["rows"], rows)
    assert found["columns"] == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert found["none"] == []
    assert found["arrow"][0] == {
        "d": "2025-01-01", "x": "00", "t": "01:02:00", "m": "1.00", "l": [1, 2], "e": 86400.0, "nan": found["arrow"][0]["nan"],
    }  # fmt: skip
    assert archive.load_table("S", "none").num_rows == 0


def test_files_are_kept_as_they_were_when_the_result_came(archive, tmp_path):
    page = tmp_path / "page.html"

    def results():
        for at in range(3):
            page.write_text(f"<p>{at}")
            yield {
                "strategy_name": f"S{at}",
                "sharpe": float(at),
                "files": {"page.html": page, "same.bin": b"\x00" * 1000},
            }

    archive.save_universe_results("u", results(), top_n=2, code="none")
    assert [archive.load_file(f"S{at}", "page.html") for at in (1, 2)] == [b"<p>1", b"<p>2"]
    with pytest.raises(archiver.NotKeptError):
        archive.load_file("S0", "page.html")
    assert archive.contents("S2")["files"]["page.html"]["type"] == "text/html"
    stored = list(archive.store.list(layout.FILES))
    assert len(stored) == 3  # what two strategies share is there once, what was not kept not at all


def test_figures_and_buffers_are_files(archive):
    figure = pytest.importorskip("plotly.graph_objects").Figure()
    save(
        archive,
        files={
            "a.html": figure,
            "a.json": figure,
            "b": io.BytesIO(b"x"),
            "c": io.StringIO("é"),
            "d": bytearray(b"y"),
        },
    )
    page = archive.load_file("S", "a.html")
    assert b"<html>" in page
    assert b"<script src=" not in page  # it opens offline
    assert archive.load_file("S", "a.json").startswith(b"{")
    assert [archive.load_file("S", name) for name in "bcd"] == [b"x", "é".encode(), b"y"]


@pytest.mark.engines  # matplotlib comes with them
def test_figures_of_matplotlib_are_drawn_as_their_names_end(archive):
    figures = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")
    figure = figures.Figure(figsize=(2, 1))
    figure.subplots().plot([1, 3, 2])
    names = ("a.png", "b.svg", "c.pdf", "d")
    save(archive, files=dict.fromkeys(names, figure))
    begins = [archive.load_file("S", name)[:5] for name in names]
    assert begins == [b"\x89PNG\r", b"<?xml", b"%PDF-", b"\x89PNG\r"]
    kinds = [archive.contents("S")["files"][name]["type"] for name in names[:3]]
    assert kinds == ["image/png", "image/svg+xml", "application/pdf"]
    with pytest.raises(archiver.ConfigError, match=r"files\.x\.docx: the figure cannot be drawn .*docx"):
        save(archive, files={"x.docx": figure})


def test_details_cost_the_metrics_nothing_and_a_plain_result_stays_of_format_1(archive):
    rows = [{"strategy_name": f"S{at}", "sharpe": float(at)} for at in range(200)]
    plain = archive.record(archive.save_universe_results("u", rows, code="none").id)
    assert (plain.format, archive.store.get(layout.ARCHIVE).count(b'"format": 1')) == (1, 1)
    curve = pd.Series(range(1000), pd.date_range("2025-01-01", periods=1000))
    rich = [{**row, "curves": {"benchmark": curve}, "params": {"fast": 1}} for row in rows]
    bare = [{**row, "params": {"fast": 1}} for row in rows]
    records = [
        archive.record(archive.save_universe_results("u", own, code="none", top_n=5).id)
        for own in (rich, bare)
    ]
    assert records[0].tier1.size == records[1].tier1.size
    assert len(records[0].clocks) == 1
    assert records[0].format == 2
    assert archive.store.get(layout.ARCHIVE).count(b'"format": 2') == 1
    assert "params.fast" in archive.load_metrics().column_names


def test_clocks_and_files_live_as_long_as_the_details_that_need_them(archive, tmp_path):
    first = save(archive, curves={"c": pd.Series([1.0, 2], DAYS[:2])}, files={"a": b"1"})
    second = save(archive, curves={"d": pd.Series([3.0, 4], DAYS[:2])}, files={"b": b"2"})
    assert len(list(archive.store.list(layout.CLOCKS))) == 1
    usage = archive.du()
    assert usage.part("clocks").objects == 1
    assert usage.part("files").objects == 2
    other = archiver.open(tmp_path / "other")
    archive.copy_to(other)
    assert other.load_curve("S", "d").equals(archive.load_curve("S", "d"))
    assert other.load_file("S", "b") == b"2"
    assert b'"format": 2' in other.store.get(layout.ARCHIVE)
    bundle = archive.bundle([first.id, second.id], "both", to=str(tmp_path / "both.tar.zst"))
    restored = archiver.open(tmp_path / "restored")
    restored.bundles.restore(str(tmp_path / "both.tar.zst"))
    assert restored.load_file("S", "b") == b"2"
    assert bundle.runs
    plan = archive.plan_prune(archiver.Policy(name="old", keep_last=1))
    archive.apply(plan)
    collected = archive.gc(grace="0s", apply=True)
    assert collected.kinds["files"].objects == 1
    assert collected.kinds["clocks"].objects == 0
    assert archive.load_curve("S", "d").num_rows == 2
    assert archive.verify(read_data=True).ok
    (clock,) = archive.store.list(layout.CLOCKS)
    (Path(archive.store.local) / clock.key).unlink()
    assert not archive.verify().ok
    with pytest.raises(archiver.IntegrityError, match="is gone although a record needs it"):
        archiver.open(archive.store.url).load_curve("S", "d")


def test_what_is_not_there_is_named_with_what_is(archive):
    save(archive, curves={"benchmark": [1.0]}, tables={"orders": [{"a": 1}]})
    with pytest.raises(archiver.NotFoundError, match="did you mean 'benchmark'"):
        archive.load_curve("S", "benchmrk")
    with pytest.raises(archiver.NotFoundError, match="there are orders"):
        archive.load_table("S", "zzz")
    with pytest.raises(archiver.NotFoundError, match="it has none"):
        archive.load_file("S", "x")


@pytest.mark.parametrize("args", [["S"], ["RUN"]])
def test_a_file_is_written_out_by_show(archive, tmp_path, command, args):
    run = save(archive, files={"a.bin": b"\x00\x01", "b.txt": "text"}, curves={"benchmark": [1.0]})
    where = [run.id if args == ["RUN"] else "S", "--file", "a.bin"]
    assert command("--url", archive.store.url, "show", *where, "-o", str(tmp_path))[0] == 0
    assert (tmp_path / "a.bin").read_bytes() == b"\x00\x01"
    assert command("--url", archive.store.url, "show", where[0], "--file", "b.txt")[1] == "text"
    assert command("--url", archive.store.url, "show", where[0], "--file", "c")[0] == 10
    code, out, _ = command("--url", archive.store.url, "show", "S")
    assert (code, "benchmark" in out, "a.bin (2 B)" in out) == (0, True, True)
    assert command("--url", archive.store.url, "show", "neither")[0] == 10


def test_a_run_with_several_strategies_of_a_file_asks_which(archive, command):
    rows = [{"strategy_name": name, "sharpe": 1.0, "files": {"x": b"1"}} for name in "AB"]
    run = archive.save_universe_results("u", rows, code="none")
    code, _, err = command("--url", archive.store.url, "show", run.id, "--file", "x")
    assert (code, "2 strategies of the run have a file 'x'" in err) == (2, True)


def test_the_old_layout_has_what_it_cannot_say_otherwise_and_gives_it_back(archive, tmp_path):
    save(
        archive,
        equity_curve=pd.Series([1.0, 2], DAYS[:2]),
        drawdown_curve=[0.0, 0.0],
        curves={"benchmark": [[1, 2.0]]},
        tables={"orders": [{"a": 1}]},
    )
    archive.save_universe_results(
        "plain", [{"strategy_name": "P", "sharpe": 1.0, "equity_curve": [1.0]}], code="none"
    )
    archive.export(str(tmp_path / "old"), "tiered-json")
    plain = (tmp_path / "old" / "detailed_trades" / "P.json").read_text()
    assert not any(f'"{key}"' in plain for key in ("curves", "tables", "files"))
    again = archiver.open(tmp_path / "again")
    again.import_from(str(tmp_path / "old"))
    assert same(
        again.load_strategy("S"),
        archive.load_strategy("S") | {"metrics": again.load_strategy("S")["metrics"]},
    )


def test_rows_under_an_old_name_come_back_as_they_were_and_load_with_their_moments(archive):
    rows = [{"time": "2025-03-29", "equity": 1.0}, {"time": "2025-03-30", "equity": 2}]
    save(archive, equity_curve=rows, drawdown_curve={"no": "curve"})
    assert same(archive.load_strategy("S")["equity_curve"], rows)
    assert "curves" not in archive.load_strategy("S")
    found = archive.load_curve("S")
    assert found["time"].to_pandas().tolist() == list(DAYS[:2])
    assert found["value"].to_pylist() == [1.0, 2.0]
    assert archive.load_curve("S", "drawdown").num_rows == 1
    assert archive.sql("select value from curves where curve = 'equity'")["value"].to_pylist() == [1.0, 2.0]


def test_what_a_gc_took_during_a_save_is_put_back_after_the_record(place):
    archive = archiver.archive.Archive(place.open())

    put = archive.store.put

    def lose(key: str, data: bytes, **how: Any) -> None:
        put(key, data, **how)
        if key.startswith(layout.RUNS):
            archive.store.delete(
                [entry.key for area in (layout.CLOCKS, layout.FILES) for entry in archive.store.list(area)]
            )

    archive.store.put = lose
    save(archive, curves={"c": pd.Series([1.0], DAYS[:1])}, files={"x": b"1"})
    again = archiver.archive.Archive(place.open())
    assert again.load_file("S", "x") == b"1"
    assert again.load_curve("S", "c").num_rows == 1
    assert again.verify(read_data=True).ok
