"""Tables of numbers as blocks of colour, where there is room for numbers and where there is none."""

from __future__ import annotations

import pytest
from rich.style import Style

from archiver.base.blocks import blocks
from archiver.base.colors import SCALE

NAN = float("nan")


def test_the_best_block_is_the_lightest_and_numbers_stand_in_it() -> None:
    drawn = blocks([[1.0, 2.0], [NAN, 5.0]], ("fast", ["5", "10"]), ("slow", ["50", "100"]), 60)
    lines = drawn.plain.splitlines()
    assert [line.split() for line in lines] == [
        ["100", "5.000"], ["50", "1.000", "2.000"], ["5", "10"], ["slow", "up,", "fast", "across"],
    ]  # fmt: skip
    colors = {
        drawn.plain[span.start : span.end].strip(): Style.parse(str(span.style)).bgcolor
        for span in drawn.spans
    }
    found = {text: color.get_truecolor().hex for text, color in colors.items() if color is not None}
    assert (found["5.000"], found["1.000"]) == (SCALE[-1], SCALE[0])
    assert "nan" not in drawn.plain


@pytest.mark.parametrize("width", [12, 30])
def test_where_there_is_no_room_blocks_stand_alone(width: int) -> None:
    labels = [str(at) for at in range(20)]
    drawn = blocks([[float(at) for at in range(20)]], ("x\x1b[31m", labels), ("y", ["1"]), width)
    lines = drawn.plain.splitlines()
    assert lines[0].split() == ["1"]
    assert lines[1].split() == ["0", "19"]
    assert "\x1b" not in drawn.plain
