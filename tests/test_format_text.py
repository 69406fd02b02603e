from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from archiver.format.text import dumps, loads
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
