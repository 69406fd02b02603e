"""Parameters of which every run tries some, and .ci/run all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def one_in(number: int, values: Iterable[Any]) -> list[Any]:
    """Return the parameters, all but the first of each `number` marked slow."""
    return [
        value if at % number == 0 else pytest.param(value, marks=pytest.mark.slow)
        for at, value in enumerate(values)
    ]
