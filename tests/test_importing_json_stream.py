"""Reading JSON by value: what comes is what Python's json gives, damage is named, memory is bounded."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import IntegrityError
from archiver.interop.importing.json_stream import BEGIN, elements, first_character, members
from tests.same import same
from tests.thinned import one_in

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Trickle(io.RawIOBase):
    """Gives a few bytes at a time, whatever is asked for, and counts them."""

    def __init__(self, data: bytes, sizes: Iterator[int]) -> None:
        self.data, self.sizes, self.given = data, sizes, 0

    def read(self, size: int = -1) -> bytes:
        start = self.given
        self.given = min(len(self.data), start + min(next(self.sizes), size))
        return self.data[start : self.given]


def together(pairs: Iterator[tuple[str, Any]], streamed: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key != streamed:
            found[key] = value
        elif value is BEGIN:
            found[key] = []
        else:
            found[key].append(value)
    return found


@given(
    document=st.dictionaries(st.text(), PLAIN, max_size=4),
    items=st.lists(PLAIN, max_size=4),
    indent=st.sampled_from([None, 2]),
    ascii_only=st.booleans(),
    size=st.integers(1, 40),
)
def test_members_are_what_json_gives(
    document: dict[str, Any], items: list[Any], indent: int | None, ascii_only: bool, size: int
) -> None:
    document["results"] = items
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    found = together(members(Trickle(text.encode(), itertools.repeat(size)), ("results",)), "results")
    assert same(found, json.loads(text))


def test_an_object_is_streamed_by_member_and_a_list_by_element() -> None:
    text = b' {"results": {"a": {"x": NaN}, "b": -Infinity}, "empty": {}, "scalar": 12} '
    found = list(members(io.BytesIO(text), ("results", "empty", "scalar")))
    assert repr(found[1:3]) == "[('results', ('a', {'x': nan})), ('results', ('b', -inf))]"
    assert [key for key, value in found if value is BEGIN] == ["results", "empty"]
    assert found[-1] == ("scalar", 12)
    assert list(elements(io.BytesIO(b"\xef\xbb\xbf[1, [2], {}]"))) == [1, [2], {}]
    assert list(elements(io.BytesIO(b"[]"))) == []
    assert first_character(io.BytesIO(b"  \n[")) == "["
    assert first_character(io.BytesIO(b"")) == ""


def test_a_cut_at_any_place_is_an_error_that_names_the_file() -> None:
    text = json.dumps(
        {"a": "text", "results": [{"x": 1.5e10, "n": float("nan")}, {"y": "z"}], "b": 12}
    ).encode()
    for cut in range(len(text)):
        with pytest.raises(IntegrityError, match="the-file is damaged at character"):
            list(members(io.BytesIO(text[:cut]), ("results",), "the-file"))


@pytest.mark.parametrize(
    "text",
    [b"", b"  ", b"[]", b"null", b"{}{}", b'{"a" 1}', b'{"a": 1,}', b'{1: 2}', b'{"a": [1 2]}', b'{"a": tru}',
     b'{"a": "\xff"}', b'{"a": 1} x', b"{" + b'"a": {' * 100_000, b'{"a": ' + b"1" * 5000 + b"}"],
)  # fmt: skip
def test_what_is_no_object_is_damage(text: bytes) -> None:
    with pytest.raises(IntegrityError, match="is damaged"):
        list(members(io.BytesIO(text), ("results",), "x.json"))


@pytest.mark.parametrize("damage", one_in(2, [b"oops", b"\xff"]))
def test_the_place_of_damage_counts_from_the_beginning_of_the_file(damage: bytes) -> None:
    head = b'{"results": [' + b", ".join([b'{"x": 1234567}'] * 300_000)
    with pytest.raises(IntegrityError) as caught:
        list(members(io.BytesIO(head + b', {"x": ' + damage + b"}]}"), ("results",), "x.json"))
    place = int(str(caught.value).split("character ")[1].split(":")[0].replace(",", ""))
    assert place == len(head) + len(b', {"x": ')


def test_it_reads_no_further_than_a_few_blocks_ahead() -> None:
    item = json.dumps({"trades": ["x" * 1000] * 100}).encode()
    count = 300
    data = b'{"results": [' + b",".join([item] * count) + b"]}"
    file = Trickle(data, itertools.repeat(1 << 30))
    for number, (_, value) in enumerate(members(file, ("results",))):
        if value is not BEGIN:
            assert file.given <= number * (len(item) + 1) + (3 << 20)
    assert file.given == len(data)
