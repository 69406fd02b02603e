"""Colours of a map's cells: an even scale, text that can be read on it, shares of what is finite."""

from __future__ import annotations

import pytest

from archiver.base.colors import SCALE, ink, shade, shares

NAN = float("nan")


def luminance(color: tuple[int, int, int]) -> float:
    """Return the relative luminance of WCAG 2."""
    parts = [one / 255 for one in color]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_scale_gets_lighter_from_end_to_end() -> None:
    lights = [luminance(shade(step / 100)) for step in range(101)]
    assert lights == sorted(lights)
    assert "#{:02x}{:02x}{:02x}".format(*shade(-3.0)) == SCALE[0]
    assert "#{:02x}{:02x}{:02x}".format(*shade(2.0)) == SCALE[-1]


@pytest.mark.parametrize("step", range(0, 101, 5))
def test_text_can_be_read_on_every_shade(step: int) -> None:
    light, dark = sorted([luminance(shade(step / 100)), luminance(ink(step / 100))], reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_shares_lie_between_the_worst_and_the_best_of_what_is_finite() -> None:
    assert shares([[1.0, NAN], [3.0, 2.0]]) == [[0.0, None], [1.0, 0.5]]
    assert shares([[1.0, float("inf")], [3.0, 2.0]], greatest=False) == [[1.0, None], [0.0, 0.5]]
    assert shares([[7.0]]) == [[0.5]]
    assert shares([[NAN]]) == [[None]]
    assert shares([[-1.7e308, 1.7e308]]) == [[0.0, 1.0]]
