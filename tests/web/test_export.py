from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from archiver.errors import ConfigError
from archiver.web.api import export, routes
from archiver.web.api.export import TYPES, apart, stream
from archiver.web.reading.rows import Rows

MANY = 3 * export.PIECE + 7
TABLE = pa.table(
    {
        "name": [f"s{at}" for at in range(MANY)],
        "score": [float(at % 97) for at in range(MANY)],
        "tags": [["a", str(at)] for at in range(MANY)],
    }
)
BACKWARDS = pa.array(range(MANY - 1, -1, -1))
ROWS = Rows(TABLE, BACKWARDS)


def read(data: bytes, form: str) -> list[dict[str, object]]:
    if form == "json":
        document = json.loads(data)
        assert (document["count"], document["total"]) == (MANY, MANY + 1)
        return document["things"]
    if form == "jsonl":
        return [json.loads(line) for line in data.splitlines()]
    if form == "csv":
        rows = pa.csv.read_csv(io.BytesIO(data)).to_pylist()
        return [row | {"tags": json.loads(row["tags"])} for row in rows]
    if form == "parquet":
        return pa.parquet.read_table(io.BytesIO(data)).to_pylist()
    return pa.ipc.open_stream(data).read_all().to_pylist()


@pytest.mark.parametrize("form", TYPES)
def test_pieces_join_to_what_was_chosen(form):
    data = b"".join(apart(stream(ROWS, form, "things", MANY + 1)))
    assert read(data, form) == TABLE.take(BACKWARDS).to_pylist()


@pytest.mark.parametrize("form", TYPES)
def test_no_rows_are_well_formed(form):
    data = b"".join(stream(ROWS.slice(0, 0), form, "things"))
    if form == "json":
        assert json.loads(data) == {"things": [], "count": 0, "total": 0}
    elif form == "parquet":
        assert pa.parquet.read_table(io.BytesIO(data)).num_rows == 0
    elif form == "arrow":
        assert pa.ipc.open_stream(data).read_all().schema == TABLE.schema
    else:
        assert data in (b"", b'"name","score","tags"\n')


@pytest.mark.parametrize("form", TYPES)
def test_a_large_table_is_never_taken_at_once(monkeypatch, form):
    taken: list[int] = []
    whole = Rows.read

    def read(rows: Rows) -> pa.Table:
        taken.append(len(rows))
        return whole(rows)

    monkeypatch.setattr(Rows, "read", read)
    monkeypatch.setattr(export, "_ROW_GROUP", 2 * export.PIECE)
    assert sum(map(len, stream(ROWS, form))) > 0
    assert max(taken) <= 2 * export.PIECE
    assert sum(taken) == MANY


def test_an_unknown_format_is_told_before_anything_is_made():
    with pytest.raises(ConfigError, match="not known"):
        stream(ROWS, "exe")


def test_answers_come_piece_by_piece_where_they_are_long(client, monkeypatch):
    small = client.get("/api/metrics?format=csv", headers={"Host": "localhost"})
    assert small.headers["Content-Length"] == str(len(small.data))
    monkeypatch.setattr(routes, "PIECE", 10)
    large = client.get("/api/metrics?format=csv", headers={"Host": "localhost"}, buffered=True)
    assert "Content-Length" not in large.headers
    assert large.data == small.data


def test_slow_readers_leave_threads_for_others(client, monkeypatch):
    monkeypatch.setattr(routes, "PIECE", 10)
    address, headers = "/api/metrics?format=csv", {"Host": "localhost"}
    slow = [client.get(address, headers=headers, buffered=False) for _ in range(4)]
    assert [answer.status_code for answer in slow] == [200] * 4
    refused = client.get(address, headers=headers)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert "try again" in refused.json["error"]["message"]
    assert client.get("/api/metrics?format=csv&limit=5", headers=headers).status_code == 200
    slow.pop().close()
    assert client.get(address, headers=headers, buffered=True).data.count(b"\n") == 151
    assert client.head(address, headers=headers).status_code == 200
    for answer in slow:
        assert answer.data.count(b"\n") == 151
        answer.close()


def test_rows_among_some_names_keep_their_order():
    assert ROWS.among("name", ["s2", "s1", "nobody"]).read()["name"].to_pylist() == ["s2", "s1"]
    assert len(Rows(TABLE, None).among("name", ["s2", "s1"])) == 2
