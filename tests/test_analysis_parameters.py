"""What parameters make of a metric, against computations row by row in plain Python."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import mean, median, pvariance, variance
from typing import Any

import pyarrow as pa
import pytest

import archiver
from archiver.analysis.axes import MOST_PLACES, axis, classes, kinds
from archiver.analysis.parameters import HOW, Parameters, parameters
from archiver.archive import Archive
from archiver.errors import ConfigError, NotFoundError
from tests.conftest import Cli

NAN = float("nan")
Row = dict[str, Any]


def table(rows: list[Row]) -> pa.Table:
    keys = {"universe": "u", "run": "r"}
    full = [{**keys, "strategy_name": f"s{at}", **row} for at, row in enumerate(rows)]
    names = list(dict.fromkeys(name for row in full for name in row))
    return pa.table({name: [row.get(name) for row in full] for name in names})


def grid(make: Callable[[int, int, str], float]) -> list[Row]:
    return [
        {"params.fast": fast, "params.slow": slow, "params.kind": kind, "sharpe": make(fast, slow, kind)}
        for fast in (5, 10, 20, 40)
        for slow in (50, 100, 150)
        for kind in ("ema", "sma")
    ]


@pytest.fixture(scope="module")
def random_rows() -> list[Row]:
    random = Random(5)
    rows = grid(lambda fast, slow, kind: random.gauss(fast / 50, 1) + (kind == "ema"))
    rows[3]["sharpe"], rows[7]["sharpe"], rows[9]["sharpe"] = NAN, None, math.inf
    rows[11]["params.fast"] = None
    return rows


def finite(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["sharpe"] is not None and math.isfinite(row["sharpe"])]


@pytest.mark.parametrize("greatest", [True, False])
def test_every_cell_says_what_its_strategies_do(random_rows: list[Row], greatest: bool) -> None:
    found = parameters(table(random_rows), "sharpe", greatest=greatest)
    ends = (max, min) if greatest else (min, max)
    says = {"mean": mean, "best": ends[0], "median": median, "worst": ends[1], "count": len}
    cells = defaultdict(list)
    for row in finite(random_rows):
        cells[row["params.slow"], row["params.fast"]].append(row["sharpe"])
    for how in HOW:
        heat = found.heat("fast", "params.slow", how)
        for y, slow in enumerate((50, 100, 150)):
            for x, fast in enumerate((5, 10, 20, 40)):
                own = cells[slow, fast]
                expected = (
                    pytest.approx(says[how](own))
                    if own or how == "count"
                    else pytest.approx(NAN, nan_ok=True)
                )
                assert heat.values[y, x] == expected
                assert heat.counts[y, x] == len(own)
        assert heat.x.labels == ["5", "10", "20", "40"]
    best = found.heat("fast", "slow", "best").best
    assert best is not None
    top = ends[0](finite(random_rows), key=lambda row: row["sharpe"] if row["params.fast"] else 0)
    assert ((50, 100, 150)[best[0]], (5, 10, 20, 40)[best[1]]) == (top["params.slow"], top["params.fast"])


def test_a_third_parameter_may_be_held(random_rows: list[Row]) -> None:
    found = parameters(table(random_rows), "sharpe")
    held = found.heat("fast", "slow", "mean", {"kind": 1})
    only = parameters(table([row for row in random_rows if row["params.kind"] == "sma"]), "sharpe")
    assert held.values.ravel().tolist() == pytest.approx(
        only.heat("fast", "slow").values.ravel().tolist(), nan_ok=True
    )
    slices = found.slice("fast", {"kind": 0, "slow": 2}).to_pylist()
    rows = finite(random_rows)
    for one, fast in zip(slices, (5, 10, 20, 40), strict=True):
        own = [
            row["sharpe"]
            for row in rows
            if (row["params.fast"], row["params.slow"], row["params.kind"]) == (fast, 150, "ema")
        ]
        assert one["count"] == len(own)
        assert one["mean"] == (pytest.approx(mean(own)) if own else None)


def test_importance_is_epsilon_squared_and_the_total_index(random_rows: list[Row]) -> None:
    found = parameters(table(random_rows), "sharpe").importance()
    rows = [row for row in finite(random_rows) if row["params.fast"] is not None]
    groups, lines = defaultdict(list), defaultdict(list)
    for row in rows:
        groups[row["params.fast"]].append(row["sharpe"])
        lines[row["params.slow"], row["params.kind"]].append(row["sharpe"])

    def within(parts: dict[Any, list[float]]) -> float:
        return sum(len(one) * pvariance(one) for one in parts.values()) / (len(rows) - len(parts))

    whole = variance([row["sharpe"] for row in rows])
    assert found["params.fast"].alone == pytest.approx(max(0, 1 - within(groups) / whole))
    assert found["params.fast"].with_others == pytest.approx(min(1, within(lines) / whole))


def test_importance_tells_what_acts_alone_from_what_acts_together() -> None:
    only = parameters(table(grid(lambda fast, slow, kind: fast * 1.0)), "sharpe").importance()
    assert next(iter(only)) == "params.fast"
    assert (only["params.fast"].alone, only["params.fast"].with_others) == (1.0, 1.0)
    assert (only["params.slow"].alone, only["params.slow"].with_others) == (0.0, 0.0)
    # The sign of one turns the other round: neither says anything alone.
    both = parameters(
        table(grid(lambda fast, slow, kind: (slow - 100) * (1 if kind == "ema" else -1))), "sharpe"
    ).importance()
    assert both["params.kind"].alone == both["params.slow"].alone == both["params.fast"].alone == 0.0
    assert both["params.kind"].with_others is not None
    assert both["params.kind"].with_others > 0.9
    assert both["params.fast"].with_others == 0.0


@pytest.mark.parametrize("rows", [[], grid(lambda *_: 1.0), grid(lambda *_: NAN), grid(lambda *_: 1.0)[:1]])
def test_what_does_not_vary_has_no_importance(rows: list[Row]) -> None:
    empty = table(grid(lambda *_: 1.0)).slice(0, 0)
    found = parameters(table(rows) if rows else empty, "sharpe")
    assert all((one.alone, one.with_others) == (None, None) for one in found.importance().values())
    assert found.robustness().num_rows == len(rows)


def test_many_values_are_drawn_in_classes_of_as_many_rows() -> None:
    random = Random(1)
    values = [random.lognormvariate(0, 2) for _ in range(4_000)]
    drawn = classes(axis("params.x", pa.chunked_array([pa.array([*values, None, NAN])])))
    assert len(drawn) == 20
    places = drawn.places.tolist()
    assert places[-2:] == [-1, -1]
    counts = [places.count(at) for at in range(20)]
    assert min(counts) > 0.8 * 200
    assert max(counts) < 1.2 * 200
    for value, place in zip(values, places, strict=False):
        assert drawn.bounds[place][0] <= value <= drawn.bounds[place][1]


def test_of_many_texts_the_most_frequent_are_drawn() -> None:
    texts = [f"t{at:03}" for at in range(100) for _ in range(1 + (at % 50 == 7) * 5)]
    drawn = classes(axis("params.x", pa.chunked_array([pa.array(texts)])))
    assert len(drawn) == MOST_PLACES
    assert {"t007", "t057"} <= set(drawn.labels)
    assert drawn.labels == sorted(drawn.labels)
    assert all(
        place == -1 or drawn.labels[place] == text for place, text in zip(drawn.places, texts, strict=True)
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3, 1, 2, 1], [1, 2, 3]),
        ([0.5, NAN, -0.5], [-0.5, 0.5]),
        (["b", "a", None], ["a", "b"]),
        ([True, False, True], [False, True]),
        ([[1], [2]], []),
        ([None, None], []),
    ],
)
def test_values_of_every_kind_are_an_axis(values: list[Any], expected: list[Any]) -> None:
    given = pa.array(values)
    found = axis("params.x", pa.chunked_array([given[:1], given[1:]]))
    assert found.values == expected
    assert [found.values[place] if place >= 0 else None for place in found.places] == [
        value if value in expected else None for value in values
    ]


def test_what_cannot_be_asked_for_is_said() -> None:
    found = parameters(table(grid(lambda *_: 1.0)), "sharpe")
    with pytest.raises(ConfigError, match="no parameter 'fats'; did you mean 'fast'"):
        found.slice("fats")
    with pytest.raises(ConfigError, match="given twice"):
        found.heat("fast", "params.fast")
    with pytest.raises(ConfigError, match="mean, best, median, worst, count, not 'most'"):
        found.heat("fast", "slow", "most")
    with pytest.raises(ConfigError, match="holds no numbers"):
        parameters(table([{"sharpe": "high"}]), "sharpe")


def save(archive: Archive, universe: str = "u", shift: float = 0.0) -> archiver.Run:
    results = [
        {
            "strategy_name": f"S_{fast}_{slow}",
            "sharpe_ratio": fast / 10 - abs(slow - 100) / 100 + shift,
            "max_drawdown": slow / 100,
            "params": {"fast": fast, "slow": slow, "lot": 1},
        }
        for fast in (5, 10, 20)
        for slow in (50, 100, 150)
    ]
    return archive.save_universe_results(universe, results, top_n=0, code="none")


def test_an_archive_gives_the_parameters_of_a_selection(archive: Archive) -> None:
    run = save(archive)
    save(archive, "v", 5.0)
    found = archive.parameters("u")
    assert isinstance(found, Parameters)
    assert (found.metric, found.greatest, found.names()) == (
        "sharpe_ratio",
        True,
        ["params.fast", "params.slow"],
    )
    assert found.constant == {"params.lot": 1}
    assert found.heat("fast", "slow").best == (1, 2)
    assert archive.parameters(run=run.id[:20], metric="-max_drawdown").heat("fast", "slow").best == (0, 0)
    assert len(archive.parameters(where="params.fast > 5").values) == 12
    assert len(archive.parameters().values) == 18
    with pytest.raises(ConfigError, match="no column 'sharp_ratio'"):
        archive.parameters(metric="sharp_ratio")
    archive.save_universe_results("w", [{"strategy_name": "a", "other": 1}], code="none")
    with pytest.raises(ConfigError, match="name a metric, one of other"):
        archive.parameters("w")


def test_the_command_shows_importance_slices_maps_and_plateaus(archive: Archive, command: Cli) -> None:
    save(archive)
    url = ("--url", archive.store.url)
    code, out, err = command("params", *url)
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == ["parameter", "fast", "slow"]
    assert "sharpe_ratio, greatest is best, 9 strategies" in err
    assert command("params", "slow", *url)[1].splitlines()[2].split("\t")[:3] == ["100", "3", "1.167"]
    code, out, err = command("params", "fast", "slow", "--how", "best", *url)
    assert out.splitlines()[0].split("\t") == ["slow \\ fast", "5", "10", "20"]
    assert out.splitlines()[2].split("\t") == ["100", "0.500", "1.000", "2.000"]
    document = json.loads(command("params", "fast", "slow", "--json", *url)[1])
    assert (document["x_values"], document["values"][1]) == (["5", "10", "20"], [0.5, 1.0, 2.0])
    plateaus = json.loads(command("params", "--plateau", "-n", "2", "--json", *url)[1])["rows"]
    assert [row["strategy_name"] for row in plateaus] == ["S_20_100", "S_20_50"]
    assert plateaus[0]["plateau"] == 1.5
    assert command("params", "fats", *url)[0] == command("params", "fast", "--plateau", *url)[0] == 2
    assert command("params", "-u", "nowhere", *url)[0] == NotFoundError.exit_code


def test_a_search_without_parameters_says_how_to_save_them(
    archive: Archive, command: Cli, tmp_path: Path
) -> None:
    archive.save_universe_results("u", [{"strategy_name": "a", "sharpe_ratio": 1.0}], code="none")
    code, out, err = command("params", "--url", archive.store.url)
    assert (code, out) == (0, "")
    assert "save them as params={...}" in err


def test_what_only_tells_rows_apart_has_numbers_for_values() -> None:
    column = pa.chunked_array([["b", "a"], ["b", "c"]])
    found = kinds("run", column)
    assert [*found.values] == [0, 1, 2]
    assert found.places.tolist() == [0, 1, 0, 2]
