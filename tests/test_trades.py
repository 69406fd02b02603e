"""Trades of many strategies as columns: what is ours stays out of them."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa

from archiver.archive import Archive


def test_shapes_of_rows_and_dicts_are_not_shown(archive: Archive) -> None:
    trades = [{"pnl": 1.0, "why": {"a": 1}}, {"pnl": 2, "why": {"a": 1.5, "b": None}, "more": True}]
    archive.save_universe_results(
        "u", [{"strategy_name": "A", "sharpe_ratio": 1.0, "trades": trades}], code="none"
    )
    table = archive.load_many()
    assert table.drop_columns(["universe", "strategy_name", "run"]) == archive.load_trades("A")
    assert archive.sql("select why from trades").to_pylist() == [
        {"why": {"a": 1.0, "b": None}},
        {"why": {"a": 1.5, "b": None}},
    ]


def test_only_the_row_groups_that_are_needed_are_read(archive: Archive) -> None:
    rows: list[dict[str, Any]] = [
        {
            "strategy_name": f"S{at}",
            "sharpe_ratio": 9.0 - at,
            "trades": pa.table({"pnl": list(map(random.Random(at).gauss, [0] * 9_000, [1] * 9_000))}),
        }
        for at in range(8)
    ]
    archive.save_universe_results("u", rows, code="none")
    read: list[int] = []
    get = archive.store.get

    def counted(key: str, start: int = 0, end: int | None = None) -> bytes:
        data = get(key, start, end)
        if key.startswith("tier2/"):
            read.append(len(data))
        return data

    archive.store.get = counted  # type: ignore[method-assign]  # the bytes that go by are what is asked about
    table = archive.load_many(["S3"])
    size = archive.record(archive.run_ids()[0]).tier2.size  # type: ignore[union-attr]  # it was given with details
    assert table["pnl"].to_pylist() == rows[3]["trades"].column("pnl").to_pylist()
    assert sum(read) < size / 3
