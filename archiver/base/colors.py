"""Colours of a scale that is even to the eye and to those who see few colours, for cells of a map."""

from __future__ import annotations

SCALE = ("#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725")
"""Viridis (S. van der Walt, N. Smith, 2015), least first."""


def shade(share: float) -> tuple[int, int, int]:
    """Return the red, green and blue, 0 to 255 each, of a share from 0 to 1."""
    place = max(0.0, min(1.0, share)) * (len(SCALE) - 1)
    at = min(int(place), len(SCALE) - 2)
    low, high = (bytes.fromhex(one[1:]) for one in SCALE[at : at + 2])
    red, green, blue = (round(a + (b - a) * (place - at)) for a, b in zip(low, high, strict=True))
    return red, green, blue


def ink(share: float) -> tuple[int, int, int]:
    """Return black or white: the one that can be read on a shade."""
    linear = [(one / 255) ** 2.2 for one in shade(share)]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (0, 0, 0) if light > 0.18 else (255, 255, 255)


def shares(values: list[list[float]], *, greatest: bool = True) -> list[list[float | None]]:
    """Return where each finite number lies between the worst (0) and the best (1); None for others."""
    finite = [value for row in values for value in row if value - value == 0]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)

    def share(value: float) -> float | None:
        if value - value != 0:
            return None
        part = 0.5 if high == low else (value / 2 - low / 2) / (high / 2 - low / 2)
        return part if greatest else 1 - part

    return [[share(value) for value in row] for row in values]
