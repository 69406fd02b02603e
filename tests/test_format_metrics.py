from __future__ import annotations

import math
from typing import Any

import pytest

from archiver.errors import ConfigError
from archiver.format.metrics import (
    MetricsEncoder,
    decode_metrics,
    inline_rows,
    inline_table,
    join_tables,
    metrics_table,
)
from archiver.format.parquet import ParquetObject
from tests.same import same


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            "strategy_name": f"s{at}",
            "x": [1.5, math.nan, math.inf, None, 0][at % 5],
            "n": at,
            "regime": "calm",
            **({"y": float(at)} if at % 3 else {}),
        }
        for at in range(count)
    ]


def encode(given: list[dict[str, Any]]) -> tuple[str | None, ParquetObject | None, dict[str, Any]]:
    encoder = MetricsEncoder()
    for row in given:
        encoder.add(row)
    text, parquet, ranges = encoder.finish()
    if parquet is None:
        return text, None, ranges
    data, ref = parquet
    return text, ParquetObject(ref, lambda start, end: data[start:end]), ranges


@pytest.mark.parametrize("count", [17, 300, 20_000])
def test_larger_runs_are_parquet_and_come_back_exactly(count: int) -> None:
    text, source, ranges = encode(rows(count))
    assert text is None
    assert source is not None
    assert same(decode_metrics(source), rows(count))
    assert ranges == {
        "x": (0.0, 1.5),
        "n": (0, count - 1),
        "y": (1.0, float(max(at for at in range(count) if at % 3))),
    }
    table = metrics_table(source, ["y"])
    assert table.column_names == ["strategy_name", "y"]
    assert metrics_table(source, None).column_names == ["strategy_name", "x", "n", "regime", "y"]


@pytest.mark.parametrize("count", [0, 1, 16])
def test_small_runs_are_text_and_come_back_exactly(count: int) -> None:
    text, source, ranges = encode(rows(count))
    assert source is None
    assert text is not None
    assert same(inline_rows(text), rows(count))
    assert set(ranges) == ({"x", "n", "y"} if count > 1 else {"x", "n"} if count else set())


def test_few_but_long_rows_are_parquet() -> None:
    text, source, _ = encode([{"strategy_name": "s", "note": "x" * 20_000}])
    assert text is None
    assert source is not None


def test_a_small_run_and_a_large_one_have_the_same_ranges() -> None:
    given = rows(16)
    padded = [*given, *({"strategy_name": f"t{at}"} for at in range(20))]
    assert encode(given)[2] == encode(padded)[2]


def test_tables_with_other_columns_and_types_join() -> None:
    one = inline_table([{"strategy_name": "a", "x": 1, "only": "z"}], None)
    other = inline_table([{"strategy_name": "b", "x": 2.5, "none": None}], None)
    table = join_tables([one, other])
    assert table.to_pylist() == [
        {"strategy_name": "a", "x": 1.0, "only": "z", "none": None},
        {"strategy_name": "b", "x": 2.5, "only": None, "none": None},
    ]
    big = inline_table([{"strategy_name": "c", "x": 2**60}], None)
    joined = join_tables([table, big])
    assert joined["x"].to_pylist() == [1.0, 2.5, float(2**60)]
    assert joined["x.text"].to_pylist() == [None, None, str(2**60)]


def test_a_metric_that_is_mostly_a_number_stays_one() -> None:
    table = inline_table(
        [{"strategy_name": f"s{at}", "x": x} for at, x in enumerate([9.5, "n/a", True, 2**70, None])], None
    )
    assert table["x"].to_pylist() == [9.5, None, None, float(2**70), None]
    assert table["x.text"].to_pylist() == [None, '"n/a"', "true", str(2**70), None]
    numbers = inline_table([{"strategy_name": "t", "x": 1}], None)
    assert join_tables([table, numbers])["x"].to_pylist() == [9.5, None, None, float(2**70), None, 1.0]
    flags = inline_table([{"strategy_name": "u", "x": False}], None)
    both = join_tables([numbers, flags])
    assert both["x"].to_pylist() == [1, None]
    assert both["x.text"].to_pylist() == [None, "false"]
    words = inline_table([{"strategy_name": "v", "x": {"a": 1}}], None)
    assert join_tables([flags, words])["x"].to_pylist() == ["false", '{"a":1}']


def test_more_metrics_than_anyone_has_are_refused() -> None:
    with pytest.raises(ConfigError, match="different metrics"):
        encode([{"strategy_name": f"s{at}", **{f"m{at}_{n}": 1.0 for n in range(1_100)}} for at in range(20)])
