from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archiver.cli import rows
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
    ("wanted", "file", "as_json", "form"),
    [
        (None, None, False, "table"),
        (None, None, True, "json"),
        (None, "x.csv", True, "csv"),
        (None, "x.PARQUET", False, "parquet"),
        (None, "x", False, "csv"),
        (None, "x", True, "json"),
        ("csv", "x.txt", True, "csv"),
        ("jsonl", "x.csv", False, "jsonl"),
    ],
)
def test_format_follows_the_option_then_the_suffix(
    wanted: str | None, file: str | None, as_json: bool, form: str
) -> None:
    assert rows.format_of(wanted, Path(file) if file else None, as_json=as_json) == form


def test_unknown_format_is_refused() -> None:
    with pytest.raises(ConfigError, match="use one of"):
        rows.format_of("xlsx", None, as_json=False)


@pytest.mark.parametrize(
    ("wanted", "file", "as_json", "text"),
    [
        (None, "x.xlsx", False, "'xlsx' is not known in the file x.xlsx: use one of csv"),
        (None, "s3://key:secret@bucket/x.csv", False, "-o takes a file here, no URL"),
        (None, "x.table", False, "'table' is not known in the file"),
        ("table", "x.csv", False, "'table' is not known in the file"),
        ("csv", None, True, "--json prints one JSON document, not csv"),
        ("table", None, True, "leave out --json or -f table"),
    ],
)
def test_a_format_is_never_guessed_and_never_two(
    wanted: str | None, file: str | None, as_json: bool, text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        rows.format_of(wanted, Path(file) if file else None, as_json=as_json)


def test_files_hold_what_the_table_holds(tmp_path: Path) -> None:
    rows.write_rows(TABLE, "csv", tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == (
        'name,ratio,count,nested\na,1.5,1,"{""x"":[1.0,null]}"\n"say ""hi"", b",nan,2,"{""x"":[]}"\n,,3,\n'
    )
    rows.write_rows(TABLE, "json", tmp_path / "t.json")
    found = json.loads((tmp_path / "t.json").read_text())
    assert found[1] == {"name": 'say "hi", b', "ratio": None, "count": 2, "nested": {"x": []}}
    rows.write_rows(TABLE, "jsonl", tmp_path / "t.jsonl")
    assert [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()] == found
    rows.write_rows(TABLE, "parquet", tmp_path / "t.parquet")
    assert repr(pq.read_table(tmp_path / "t.parquet").to_pylist()) == repr(TABLE.to_pylist())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv", "t.json", "t.jsonl", "t.parquet"]


def test_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot write"):
        rows.write_rows(TABLE, "csv", tmp_path / "missing" / "t.csv")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="cannot write"):
        rows.write_rows(TABLE, "csv", tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_rows_that_parquet_has_no_type_for_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    table = pa.table({"name": ["a"], "empty": pa.array([{}], pa.struct([]))})
    with pytest.raises(ConfigError, match="use -f json"):
        rows.write_rows(table, "parquet", tmp_path / "x.parquet")
    assert list(tmp_path.iterdir()) == []
