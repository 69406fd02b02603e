from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.format.text import compact, dumps, loads, parse
from tests.same import one_nan, same

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)


@given(value=values)
def test_text_gives_the_very_value_back(value: Any) -> None:
    text = dumps(value)
    text.encode("ascii")
    assert same(loads(text), one_nan(value))


@given(value=values)
def test_what_is_written_fast_comes_back_the_same(value: Any) -> None:
    text = compact(value)
    if text is not None:
        text.encode()
        assert same(loads(text), value)


@pytest.mark.parametrize(
    "value",
    [[float("nan")], {"a": [float("inf"), None]}, [2**70], "\ud800", (1, 2), {1: 2}, [b"x"], True],
)
def test_what_needs_care_is_left_to_it(value: Any) -> None:
    assert compact(value) == (json.dumps(value) if value is True else None)


@given(value=values)
def test_bytes_are_parsed_as_python_does(value: Any) -> None:
    assert same(parse(dumps(value).encode()), one_nan(value))


@pytest.mark.parametrize(
    "text",
    ["123456789012345678901", "[-9999999999999999999]", "[1.12345678901234567890123]", '{"a": NaN}', "[1e400]", "-0.0"],
)  # fmt: skip
def test_numbers_that_another_parser_would_change_stay(text: str) -> None:
    for data in (text.encode(), b"\xef\xbb\xbf" + text.encode()):
        assert same(parse(data), json.loads(text))


@pytest.mark.parametrize("data", [b"", b"[1,", b"01", b"\xff"])
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # each has its own words
        parse(data)
