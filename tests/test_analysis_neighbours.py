"""The plateau score against neighbours that are looked for one by one."""

from __future__ import annotations

import math
from random import Random
from statistics import mean, median
from typing import Any

import pyarrow as pa
import pytest

from archiver.analysis import neighbours
from archiver.analysis.parameters import parameters

Row = dict[str, Any]
STEPS = {"params.a": [1, 2, 5, 9], "params.b": [0.1, 0.2, 0.4]}


def grid(random: Random, *, runs: int = 2, left_out: float = 0.2) -> list[Row]:
    rows: list[Row] = []
    for run in range(runs):
        for a in STEPS["params.a"]:
            for b in STEPS["params.b"]:
                for kind in ("x", "y", None):
                    if random.random() > left_out:
                        name = f"s{len(rows)}"
                        value = (
                            random.choice([random.gauss(0, 1), math.nan])
                            if random.random() < 0.2
                            else random.gauss(0, 1)
                        )
                        keys = {"universe": "u", "strategy_name": name, "run": f"r{run}"}
                        rows.append({**keys, "params.a": a, "params.b": b, "params.k": kind, "m": value})
    return rows


def expected(rows: list[Row], row: Row, *, greatest: bool) -> tuple[int, float, float, float]:
    """Return what the definition says, by looking at all rows."""
    values = []
    for name, steps in STEPS.items():
        if row[name] is None:
            continue
        at = steps.index(row[name])
        for step in (at - 1, at + 1):
            if 0 <= step < len(steps):
                wanted = {**row, name: steps[step]}
                same = [
                    other["m"]
                    for other in rows
                    if all(other[key] == wanted[key] for key in ("run", "params.a", "params.b", "params.k"))
                    and not math.isnan(other["m"])
                ]
                values += [mean(same)] if same else []
    if not values:
        return 0, math.nan, math.nan, math.nan
    worse = min if greatest else max
    plateau = math.nan if math.isnan(row["m"]) else worse(row["m"], median(values))
    return len(values), median(values), worse(values), plateau


@pytest.mark.parametrize("greatest", [True, False])
@pytest.mark.parametrize("dense", [1 << 25, 0])
@pytest.mark.parametrize("twice", [False, True])
def test_neighbours_are_those_one_step_away(
    monkeypatch: pytest.MonkeyPatch, greatest: bool, dense: int, twice: bool
) -> None:
    monkeypatch.setattr(neighbours, "_DENSE", dense)
    monkeypatch.setattr(neighbours, "_ROWS", 7)
    rows = grid(Random(3))
    if twice:  # the same parameters under another name
        rows += [
            {**row, "strategy_name": f"again{at}", "m": row["m"] + 1} for at, row in enumerate(rows[::5])
        ]
    table = pa.Table.from_pylist(rows)
    found = parameters(table, "m", greatest=greatest).robustness().to_pylist()
    for row, one in zip(rows, found, strict=True):
        numbers = tuple(one[name] for name in neighbours.COLUMNS)
        assert numbers == pytest.approx(expected(rows, row, greatest=greatest), nan_ok=True)
        assert [one[key] for key in row] == pytest.approx(list(row.values()), nan_ok=True)


def test_a_peak_is_worth_what_is_around_it_and_a_hole_only_itself() -> None:
    values = [1.0, 1.0, 9.0, 1.0, 1.0, 0.0, 1.0]
    rows = [
        {"universe": "u", "strategy_name": f"s{at}", "run": "r", "params.a": at, "m": value}
        for at, value in enumerate(values)
    ]
    table = parameters(pa.Table.from_pylist(rows), "m").robustness()
    assert table["plateau"].to_pylist() == [1.0, 1.0, 1.0, 1.0, 0.5, 0.0, 0.0]


def test_more_combinations_than_can_be_numbered_have_neighbours_all_the_same() -> None:
    random = Random(8)
    names = [f"params.p{at}" for at in range(12)]
    rows = [
        {"universe": "u", "strategy_name": f"s{at}", "run": "r", "m": random.random()}
        | {name: random.randrange(1000) for name in names}
        for at in range(300)
    ]
    rows.append({**rows[0], "strategy_name": "next", "m": 0.25})
    values = sorted({row["params.p3"] for row in rows})
    place = values.index(rows[0]["params.p3"])
    rows[-1]["params.p3"] = values[place + 1 if place + 1 < len(values) else place - 1]
    found = parameters(pa.Table.from_pylist(rows), "m")
    assert found.grid.size is None
    table = found.robustness().to_pylist()
    assert [row["neighbours"] for row in table] == [1, *[0] * 299, 1]
    assert (table[0]["neighbours_median"], table[-1]["neighbours_median"]) == (0.25, rows[0]["m"])
