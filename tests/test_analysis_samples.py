"""In sample and out of sample: pairs by tags and names, ranks, correlation and decay."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from archiver.analysis.samples import correlation, pairs_by_name, ranked, samples
from archiver.archive import Archive
from archiver.errors import ConfigError, NotFoundError
from archiver.runs.packs import Packs
from tests.conftest import Cli


@pytest.mark.parametrize(
    ("universes", "pairs"),
    [
        (["goog", "goog_oos"], [("goog", "goog_oos")]),
        (["goog", "goog_is", "goog_oos"], [("goog_is", "goog_oos")]),
        (["x-train", "x-test", "y.in_sample", "y.out_of_sample"], [("x-train", "x-test"), ("y.in_sample", "y.out_of_sample")]),
        (["GOOG IS", "GOOG OOS"], [("GOOG IS", "GOOG OOS")]),
        (["goog_oos", "oos", "_oos", "contest", "test"], []),
        (["a_test"], []),
    ],
)  # fmt: skip
def test_names_declare_pairs(universes: list[str], pairs: list[tuple[str, str]]) -> None:
    assert pairs_by_name(universes) == pairs


def test_rank_correlation_agrees_with_pandas() -> None:
    import pandas as pd

    random = Random(2)
    one = [float(random.randrange(30)) for _ in range(200)]
    other = [a + random.gauss(0, 9) for a in one]
    assert ranked(one) == pd.Series(one).rank().tolist()
    expected = pd.Series(one).rank().corr(pd.Series(other).rank())
    assert correlation(ranked(one), ranked(other)) == pytest.approx(expected, rel=1e-12)
    assert correlation([1.0, 2.0], [1.0, 2.0]) is None
    assert correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None


def table(values: dict[str, Any]) -> pa.Table:
    return pa.table({"strategy_name": list(values), "m": list(values.values())})


def test_decay_is_the_share_that_is_lost() -> None:
    inside = table({"a": 2.0, "b": 1.0, "c": -1.0, "d": 0.0, "e": None, "f": 3.0})
    outside = table({"a": 1.0, "b": 2.0, "c": -2.0, "d": 1.0, "e": 1.0, "g": 1.0})
    found = samples(inside, outside, "m", ("in", "out"))
    assert found.table.to_pylist() == [
        {"strategy_name": "a", "inside": 2.0, "outside": 1.0, "decay": 0.5, "inside_rank": 1.0, "outside_rank": 2.5},
        {"strategy_name": "b", "inside": 1.0, "outside": 2.0, "decay": -1.0, "inside_rank": 2.0, "outside_rank": 1.0},
        {"strategy_name": "d", "inside": 0.0, "outside": 1.0, "decay": None, "inside_rank": 3.0, "outside_rank": 2.5},
        {"strategy_name": "c", "inside": -1.0, "outside": -2.0, "decay": 1.0, "inside_rank": 4.0, "outside_rank": 4.0},
    ]  # fmt: skip
    assert (found.decay, found.better) == (0.5, 0.0)
    least = samples(inside, outside, "m", ("in", "out"), greatest=False)
    assert least.table["strategy_name"].to_pylist() == ["c", "d", "b", "a"]
    assert least.table["decay"].to_pylist() == [-1.0, None, 1.0, -0.5]
    few = samples(table({"a": 1.0}), table({}).cast(table({"a": 1.0}).schema), "m", ("in", "out"))
    assert (few.rank_correlation, few.decay, few.better) == (None, None, None)
    assert str(few) == "0 strategies in in and out: too few to compare"


def save(archive: Archive, universe: str, shift: float, **how: Any) -> Any:
    results = [
        {"strategy_name": f"s{at}", "sharpe_ratio": at * shift, "max_drawdown": float(at)} for at in range(10)
    ]
    return archive.save_universe_results(universe, results, top_n=0, code="none", **how)


def test_pairs_are_declared_by_names_and_tags(archive: Archive) -> None:
    save(archive, "goog", 1.0)
    save(archive, "goog_oos", 0.5)
    other = save(archive, "later", -1.0, tags=["out-of-sample=goog"])
    again = save(archive, "goog", 0.25, tags=["out-of-sample=goog"])
    assert archive.pairs() == [("goog", again.id), ("goog", other.id), ("goog", "goog_oos")]
    newest = archive.samples()
    assert (newest.inside, newest.outside, newest.decay) == ("goog", again.id, 0.75)
    assert archive.samples("goog", "goog_oos").rank_correlation == 1.0
    assert archive.samples(outside=other.id).rank_correlation == -1.0
    assert archive.samples("goog", "later", "-max_drawdown").table["strategy_name"][0].as_py() == "s0"
    with pytest.raises(NotFoundError, match="'nope' is in no declared pair: give both"):
        archive.samples("nope")
    with pytest.raises(ConfigError, match="no metric 'nope' is in both goog and goog_oos"):
        archive.samples("goog", "goog_oos", "nope")


def test_packed_runs_are_paired_and_held_together_by_columns(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [f"2024-01-{day:02d}" for day in range(1, 29)]
    curves = {
        name: [[day, 100.0 + (at * step) % 7] for at, day in enumerate(days)]
        for name, step in (("a", 2), ("b", 3))
    }
    held = [{"strategy_name": name, "equity_curve": curve} for name, curve in curves.items()]
    for at in range(12):
        save(archive, "goog", 1.0 + at)
        save(archive, "goog_oos", 0.5, tags=["nightly"])
        save(archive, "else", -1.0, tags=["out-of-sample=goog"] if at == 3 else [])
    archive.save_universe_results("else", held, code="none")
    save(archive, "else", 2.0)
    marked = archive.runs("else")[5]
    archive.tag(marked.id, "out-of-sample=goog_oos")

    def told(archive: Archive) -> list[Any]:
        pairs, found = archive.pairs(), archive.samples("goog", "goog_oos")
        both = (archive.portfolio(), archive.portfolio(["b", "a"]), archive.portfolio(universe="else"))
        assert [name for pair in pairs for name in pair].count("goog_oos") == 2
        return [pairs, str(found), found.table.to_pylist(), *((one.names, one.correlation) for one in both)]

    loose = told(Archive(archive.store))
    assert archive.compact() == 38
    read: list[int] = []
    one, some = Packs.record, Packs.some
    monkeypatch.setattr(Packs, "record", lambda self, place: read.append(1) or one(self, place))
    monkeypatch.setattr(
        Packs, "some", lambda self, pack, rows: read.append(len(rows)) or some(self, pack, rows)
    )
    assert told(Archive(archive.store)) == loose
    assert sum(read) < 12, read


def test_the_command_shows_ranks_and_decay(archive: Archive, command: Cli) -> None:
    save(archive, "goog", 1.0)
    assert command("samples", "--url", archive.store.url)[0] == NotFoundError.exit_code
    save(archive, "goog_oos", 0.5)
    code, out, err = command("samples", "-n", "2", "--url", archive.store.url)
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == ["strategy_name", "s9", "s8"]
    assert "rank correlation 1" in err
    document = json.loads(command("samples", "goog", "goog_oos", "--json", "--url", archive.store.url)[1])
    assert (document["rank_correlation"], document["decay"], document["strategies"]) == (1.0, 0.5, 10)
