"""The parameters of strategies are columns, however they were stored and whatever they are."""

from __future__ import annotations

from typing import Any

import pytest

from archiver.archive import Archive
from archiver.errors import ConfigError


def rows(count: int, params: Any) -> list[dict[str, Any]]:
    return [{"strategy_name": f"s{at}", "score": float(at), "params": params(at)} for at in range(count)]


def shown(archive: Archive, universe: str, *columns: str) -> dict[str, list[Any]]:
    table = archive.load_metrics(universe, list(columns) or None).drop_columns(
        ["universe", "strategy_name", "run"]
    )
    found: dict[str, list[Any]] = table.to_pydict()
    return found


@pytest.mark.parametrize("count", [3, 40])
def test_dicts_of_one_layout_are_columns_in_small_and_large_runs(archive: Archive, count: int) -> None:
    archive.save_universe_results(
        "u", rows(count, lambda at: {"fast": at, "slow": at + 0.5, "ma": {"kind": "ema"}}), code="none"
    )
    found = shown(archive, "u")
    assert list(found) == ["score", "params.fast", "params.slow", "params.ma.kind"]
    assert found["params.fast"] == list(range(count))
    assert found["params.slow"] == [at + 0.5 for at in range(count)]
    assert found["params.ma.kind"] == ["ema"] * count


@pytest.mark.parametrize("count", [4, 40])
def test_what_is_no_dict_stays_beside_the_columns_of_those_that_are(archive: Archive, count: int) -> None:
    archive.save_universe_results(
        "u",
        rows(count, lambda at: ["none", {"fast": at}, None, {"fast": at, "stop": "x"}][at % 4]),
        code="none",
    )
    found = shown(archive, "u")
    assert found["params.fast"][:4] == [None, 1, None, 3]
    assert found["params.stop"][:4] == [None, None, None, "x"]
    assert found["params"][:4] == ['"none"', None, None, None]


def test_types_that_differ_between_universes_join_as_metrics_do(archive: Archive) -> None:
    archive.save_universe_results("a", rows(20, lambda at: {"fast": at, "stop": 1.5}), code="none")
    archive.save_universe_results("b", rows(2, lambda at: {"fast": at + 0.5, "stop": "wide"}), code="none")
    table = archive.load_metrics(columns=["params"])
    assert table.column_names[3:] == ["params.fast", "params.stop", "params.stop.text"]
    assert table["params.fast"].to_pylist()[-3:] == [19.0, 0.5, 1.5]
    assert table["params.stop"].to_pylist()[-3:] == [1.5, None, None]
    assert table["params.stop.text"].to_pylist()[-2:] == ['"wide"'] * 2


def test_a_metric_of_that_very_name_keeps_it(archive: Archive) -> None:
    archive.save_universe_results(
        "u", [{"strategy_name": "s", "params.fast": 7, "params": {"fast": 1}}], code="none"
    )
    assert shown(archive, "u") == {"params.fast": [7], "params.fast_": [1]}


def test_one_parameter_is_read_alone_filtered_and_sorted(archive: Archive) -> None:
    archive.save_universe_results("a", rows(40, lambda at: {"fast": at, "slow": 1}), code="none")
    archive.save_universe_results("b", rows(3, lambda at: {"length": at}), code="none")
    table = archive.load_metrics(columns=["score"], where="params.fast > 27", sort="-params.fast", limit=2)
    assert table["strategy_name"].to_pylist() == ["s28", "s29"]
    assert table.column_names == ["universe", "strategy_name", "run", "score"]
    assert archive.load_metrics(columns=["params.length"])["params.length"].to_pylist() == [None] * 40 + [
        0,
        1,
        2,
    ]
    with pytest.raises(ConfigError, match=r"did you mean 'params\.fast'"):
        archive.load_metrics(columns=["params.fst"])


def test_what_was_saved_comes_back_as_it_was(archive: Archive) -> None:
    given = rows(30, lambda at: {"fast": at, "ma": {"kind": "ema"}})
    run = archive.save_universe_results("u", given, top_n=1, code="none")
    assert archive.reader.rows(archive.record(run.id)) == given
