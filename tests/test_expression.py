from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import ConfigError
from archiver.query.expression import Expression, known_column

NAN, INF = float("nan"), float("inf")
TABLE = pa.table(
    {
        "name": ["a", "b", "c", "d", "e"],
        "sharpe_ratio": pa.array([2.0, NAN, None, -1.0, INF], from_pandas=False),
        "n_trades": [40, 10, 30, 0, 99],
        "regime": ["quiet", "ranging", None, "quiet", "it's"],
        "valid": [True, False, None, True, True],
        "Win Rate [%]": [50.0, 60.0, 70.0, 80.0, 90.0],
    }
)


def chosen(text: str) -> str:
    return "".join(TABLE.filter(Expression(text).mask(TABLE)).column("name").to_pylist())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sharpe_ratio > 1", "ae"),
        ("sharpe_ratio < 1", "d"),
        ("not sharpe_ratio > 1", "bcd"),
        ("sharpe_ratio > 1 and n_trades >= 30", "ae"),
        ("sharpe_ratio > 1 or n_trades == 10", "abe"),
        ("0 < n_trades < 40", "bc"),
        ("n_trades != 10", "acde"),
        ("sharpe_ratio == None", "c"),
        ("sharpe_ratio != None", "abde"),
        ("sharpe_ratio == nan", "b"),
        ("nan != sharpe_ratio", "acde"),
        ("sharpe_ratio == inf", "e"),
        ("sharpe_ratio < -0.5", "d"),
        ("regime == 'quiet'", "ad"),
        ('regime == "it\'s"', "e"),
        ("regime != 'quiet'", "be"),
        ("regime in ('quiet', 'ranging')", "abd"),
        ("regime not in ['quiet']", "bce"),
        ("n_trades in (10, 99)", "be"),
        ("valid", "ade"),
        ("not valid", "bc"),
        ("valid == False", "b"),
        ("`Win Rate [%]` > 65", "cde"),
        ("`Win Rate [%]` > 65 and regime != '`x`'", "de"),
        ("n_trades / 10 + 1 > 4", "ae"),
        ("n_trades * 2 - 1 >= 79", "ae"),
        ("1 < 2", "abcde"),
        ("n_trades < 9223372036854775808", "abcde"),
        ("  True  ", "abcde"),
    ],
)
def test_filter_keeps_exactly_the_rows_it_says(text: str, expected: str) -> None:
    assert chosen(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "n_trades >",
        "__import__('os').system('true')",
        "n_trades.real > 1",
        "n_trades[0] > 1",
        "(lambda: 1)() > 0",
        "[x for x in (1, 2)]",
        "n_trades ** 99999999 > 1",
        "n_trades is 1",
        "n_trades in sharpe_ratio",
        "f'{n_trades}' == 'x'",
        "b'x' == name",
        "1j == n_trades",
        "n_trades > 1; n_trades",
        "(n_trades := 3) > 1",
        "a" * 3000,
        "(" * 300 + "1" + ")" * 300,
        "not " * 200 + "valid",
        "\0",
    ],
)
def test_anything_but_a_filter_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Expression(text).mask(TABLE)


@pytest.mark.parametrize(
    "text",
    [
        "n_trades",
        "name > 3",
        "n_trades in (18446744073709551617, 1)",
        pytest.param(f"n_trades < {10**400}", id="400 digits"),
        "sharpe_ratio + name > 1",
        "n_trades in ('x', 2)",
    ],
)
def test_values_that_do_not_compare_are_a_one_line_error(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Expression(text).mask(TABLE)
    assert "\n" not in str(caught.value)


def test_misspelt_column_suggests_the_right_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'sharpe_ratio'"):
        Expression("sharp_ratio > 1").mask(TABLE)
    with pytest.raises(ConfigError, match="did you mean 'n_trades'"):
        known_column("N_Trades", TABLE.column_names)
    with pytest.raises(ConfigError, match="there are name"):
        known_column("zzzzzz", TABLE.column_names)


def test_columns_name_what_is_read() -> None:
    assert Expression("`Win Rate [%]` > nan or valid and 'n_trades' == name").columns == {
        "Win Rate [%]",
        "valid",
        "name",
    }


def test_empty_table_gives_an_empty_mask() -> None:
    assert len(Expression("n_trades > 1 and True").mask(TABLE.slice(0, 0))) == 0


@given(st.text(max_size=40))
def test_any_text_is_a_filter_or_a_config_error(text: str) -> None:
    try:
        mask = Expression(text).mask(TABLE)
    except ConfigError:
        return
    assert len(mask) == len(TABLE)


def test_names_may_have_dots_and_are_columns_not_members() -> None:
    table = pa.table({"params.fast": [10, 30, None], "params.ma.kind": ["ema", "ema", "sma"], "x": [1, 2, 3]})
    expression = Expression("params.fast > 27 and params.ma.kind == 'ema' or x.real > 0")
    assert expression.columns == {"params.fast", "params.ma.kind", "x.real"}
    with pytest.raises(ConfigError, match=r"no column 'x\.real'"):
        expression.mask(table)
    assert Expression("params.fast > 27 and params.ma.kind == 'ema'").mask(table).to_pylist() == [
        False,
        True,
        False,
    ]
    for text in ("'a'.upper == 1", "(x + 1).real > 0", "x.fast() > 1", "x.__class__ == 1 and y()"):
        with pytest.raises(ConfigError):
            Expression(text).mask(table)


def test_a_column_without_any_value_satisfies_nothing() -> None:
    table = pa.table({"a": pa.nulls(2)})
    for text in ("a > 1", "a == 'x'", "a in ('x', 'y')", "a in (1, 2)", "a"):
        assert Expression(text).mask(table).to_pylist() == [False, False]
    assert Expression("a == None").mask(table).to_pylist() == [True, True]
