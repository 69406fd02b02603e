from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.cli import output
from archiver.errors import ConfigError

NAN, INF = float("nan"), float("inf")
TABLE = pa.table(
    {
        "name": ["a", 'say "hi", b', None],
        "ratio": pa.array([1.5, NAN, None], from_pandas=False),
        "count": [1, 2, 3],
        "nested": [{"x": [1.0, INF]}, {"x": []}, None],
    }
)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (4_712_345, "4.7 MB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (999_600, "1.0 MB"),
        (885_000_000, "885 MB"),
        (115e9, "115 GB"),
        (3e18, "3000 PB"),
    ],
)
def test_sizes_have_three_digits_at_most(count: float, text: str) -> None:
    assert output.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "now"), (59, "now"), (61, "1 min"), (3 * 3600, "3 h"), (40 * 86400, "40 d"), (300 * 86400, "9 mo")],
)
def test_ages_are_short(seconds: float, text: str) -> None:
    now = datetime(2025, 1, 21, tzinfo=UTC)
    assert output.age(now - timedelta(seconds=seconds), now) == text
    assert output.age(now - timedelta(days=900), now) == "2 y"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (NAN, "nan"),
        (-INF, "-inf"),
        (0, "0"),
        (0.0, "0.000"),
        (1.31415, "1.314"),
        (12345.678, "12,345.7"),
        (1404, "1,404"),
        (1e-7, "1e-07"),
        (2**70, "1.181e+21"),
        (["a", NAN], '["a",null]'),
        ("two\nlines\x1b[31m", "two\\nlines\\x1b[31m"),
        ("größe 📈", "größe 📈"),
    ],
)
def test_cells_are_one_harmless_line(value: object, text: str) -> None:
    assert output.cell(value) == text


def test_sparkline_keeps_the_extremes_of_a_long_curve() -> None:
    curve = [50.0] * 1000
    curve[500], curve[700] = 0.0, 100.0
    line = output.sparkline(curve, 40)
    assert len(line) == 40
    assert line[20] == "▁"
    assert line[28] == "█"


@given(st.lists(st.floats()), st.integers(1, 50))
def test_sparkline_takes_any_curve(curve: list[float], width: int) -> None:
    line = output.sparkline(curve, width)
    finite = [value for value in curve if abs(value) < INF]
    assert len(line) == min(width, len(finite))
    assert set(line) <= set("▁▂▃▄▅▆▇█")


@pytest.mark.parametrize(
    ("wanted", "file", "as_json", "form"),
    [
        (None, None, False, "table"),
        (None, None, True, "json"),
        (None, "x.csv", True, "csv"),
        (None, "x.PARQUET", False, "parquet"),
        (None, "x.txt", False, "csv"),
        ("jsonl", "x.csv", False, "jsonl"),
    ],
)
def test_format_follows_the_option_then_the_suffix(
    wanted: str | None, file: str | None, as_json: bool, form: str
) -> None:
    assert output.format_of(wanted, Path(file) if file else None, as_json=as_json) == form


def test_unknown_format_is_refused() -> None:
    with pytest.raises(ConfigError, match="use one of"):
        output.format_of("xlsx", None, as_json=False)


def test_files_hold_what_the_table_holds(tmp_path: Path) -> None:
    output.write_rows(TABLE, "csv", tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == (
        'name,ratio,count,nested\na,1.5,1,"{""x"":[1.0,null]}"\n"say ""hi"", b",nan,2,"{""x"":[]}"\n,,3,\n'
    )
    output.write_rows(TABLE, "json", tmp_path / "t.json")
    rows = json.loads((tmp_path / "t.json").read_text())
    assert rows[1] == {"name": 'say "hi", b', "ratio": None, "count": 2, "nested": {"x": []}}
    output.write_rows(TABLE, "jsonl", tmp_path / "t.jsonl")
    assert [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()] == rows
    output.write_rows(TABLE, "parquet", tmp_path / "t.parquet")
    assert repr(pq.read_table(tmp_path / "t.parquet").to_pylist()) == repr(TABLE.to_pylist())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv", "t.json", "t.jsonl", "t.parquet"]


def test_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot write"):
        output.write_rows(TABLE, "csv", tmp_path / "missing" / "t.csv")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="cannot write"):
        output.write_rows(TABLE, "csv", tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_json_takes_what_plain_json_lacks() -> None:
    document = {"big": 2**70, "nan": NAN, "when": datetime(2025, 1, 21, tzinfo=UTC), "lone": "\ud800"}
    parsed = json.loads(output.json_bytes(document))
    assert parsed == {"big": 2**70, "nan": None, "when": "2025-01-21T00:00:00Z", "lone": "\ud800"}
    plain = json.loads(output.json_bytes({"when": document["when"], "nan": INF}))
    assert plain == {"when": "2025-01-21T00:00:00Z", "nan": None}


def test_piped_tables_are_tab_separated(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["run", "age"], [["a\tb", 3], [None, 4.25]])
    output.print_pairs([("universe", "u"), ("size", 5)])
    assert capsys.readouterr().out == "run\tage\na\\tb\t3\n-\t4.250\nuniverse\tu\nsize\t5\n"
