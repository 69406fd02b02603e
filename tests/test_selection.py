"""Which rows of a table are asked for, in which order, and what cannot be asked."""

from __future__ import annotations

import pyarrow as pa
import pytest

from archiver.errors import ConfigError
from archiver.query.selection import Ask, leading, parse_sort, select, sort_text, take

TABLE = pa.table(
    {
        "universe": ["a", "a", "b", "b", "b"],
        "strategy_name": ["Fast_L5", "slow_L50", "Fast_L50", "x", "y"],
        "run": ["1"] * 5,
        "score": [1.0, float("nan"), None, 3.0, 1.0],
        "count": [5, 4, 3, 2, 1],
        "odd name": [1, 1, 2, 2, 2],
        "listed": [[1], [2], [3], [4], [5]],
    }
)


def names(ask: Ask) -> list[str]:
    return list(take(TABLE, ask)["strategy_name"].to_pylist())


def test_without_wishes_rows_stand_as_they_are() -> None:
    assert names(Ask()) == ["Fast_L5", "slow_L50", "Fast_L50", "x", "y"]


@pytest.mark.parametrize("descending", [True, False])
def test_nan_and_none_come_last_and_ties_keep_their_order(descending: bool) -> None:
    shown = names(Ask(sort=(("score", descending),)))
    ties = ["Fast_L5", "y"]
    assert shown == [*(["x", *ties] if descending else [*ties, "x"]), "slow_L50", "Fast_L50"]


def test_sorts_by_several_columns() -> None:
    assert names(Ask(sort=(("universe", True), ("count", False)))) == [
        "y",
        "x",
        "Fast_L50",
        "slow_L50",
        "Fast_L5",
    ]


def test_search_needs_every_word_in_any_case() -> None:
    assert names(Ask(search="fast l5")) == ["Fast_L5", "Fast_L50"]
    assert names(Ask(search="L50 FAST")) == ["Fast_L50"]


def test_wishes_join() -> None:
    assert names(Ask(universe="b", where="score >= 1 and `odd name` == 2", sort=(("count", True),))) == [
        "x",
        "y",
    ]


@pytest.mark.parametrize(
    "ask",
    [
        Ask(sort=(("nothing", True),)),
        Ask(sort=(("listed", True),)),
        Ask(where="__import__('os').system('true')"),
        Ask(where="score >"),
        Ask(where="score > 1; 2"),
        Ask(search="x" * 500),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(ask: Ask) -> None:
    with pytest.raises(ConfigError) as caught:
        take(TABLE, ask)
    assert "\n" not in str(caught.value)


def test_a_sort_key_is_greatest_first_and_a_minus_turns_it() -> None:
    assert parse_sort("score,-count") == (("score", True), ("count", False))
    assert parse_sort(" - count , ") == (("count", False),)
    assert parse_sort("") == parse_sort(None) == parse_sort("-") == ()
    with pytest.raises(ConfigError, match="at most 8"):
        parse_sort(",".join("abcdefghi"))


@pytest.mark.parametrize(
    "keys", [(("a", True), ("b c", False)), (("a,b", False), ("-x", True), ("-y", False))]
)
def test_what_is_written_of_sort_keys_is_read_again(keys: tuple[tuple[str, bool], ...]) -> None:
    assert parse_sort(sort_text(keys)) == keys


def test_a_filter_takes_no_parameter_away() -> None:
    table = TABLE.append_column("params.fast", TABLE["count"])

    def load(names: list[str] | None) -> pa.Table:
        assert names == ["params"]  # with all that is in it
        return table.select(["universe", "params.fast"])

    assert select(load, ["params"], "params.fast > 3")["params.fast"].to_pylist() == [5, 4]


def test_what_is_looked_at_first_has_no_number_twice() -> None:
    assert leading(["return_pct", "n_trades", "max_drawdown", "max_drawdown_pct"]) == [
        "return_pct",
        "max_drawdown",
        "n_trades",
    ]


def test_only_what_is_needed_is_read_and_only_what_is_wanted_is_given() -> None:
    asked: list[list[str] | None] = []

    def load(names: list[str] | None) -> pa.Table:
        asked.append(names)
        return TABLE if names is None else TABLE.select(["universe", "strategy_name", "run", *names])

    found = select(load, ["count"], "score >= 1", "-odd name,count", 2)
    assert asked == [["count", "odd name", "score"]]
    assert found.to_pylist() == [
        {"universe": "a", "strategy_name": "Fast_L5", "run": "1", "count": 5},
        {"universe": "b", "strategy_name": "x", "run": "1", "count": 2},
    ]
    with pytest.raises(ConfigError, match="give 0 or more"):
        select(load, limit=-1)
    assert select(load, sort="count")["count"].to_pylist() == [5, 4, 3, 2, 1]
