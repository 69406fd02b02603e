"""Scripts and dashboards of the old layout run with another import line, on archives and on old folders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import archiver
from archiver import legacy
from archiver.errors import IntegrityError, NotKeptError
from archiver.legacy import (
    SmartBacktestStorage,
    get_strategies_with_trades,
    load_all_strategies_metrics,
    load_strategy_detailed_trades,
)
from tests import old_formats as old
from tests.benchmarks import workload
from tests.conftest import Place
from tests.same import same

SCRIPT = """
import sys
from archiver.legacy import SmartBacktestStorage, load_all_strategies_metrics
from archiver.legacy import load_strategy_detailed_trades, get_strategies_with_trades

storage = SmartBacktestStorage(sys.argv[1])
results = [
    {
        "strategy_name": f"MeanReverter_L{n}",
        "sharpe_ratio": n / 10,
        "composite_score": n / 5,
        "n_trades": n,
        "trades_detailed": [{"pnl_usd": float(n), "direction": "long"}],
        "equity_curve": [10000.0, 10000.0 + n],
        "drawdown_curve": [0.0, 0.0],
    }
    for n in range(120)
]
storage.save_universe_results("universe_001_5min_5lb", results, top_n=50)
frame = load_all_strategies_metrics(sys.argv[1])
top = frame.sort_values("sharpe_ratio", ascending=False).head(50)
assert set(top["strategy_name"]) == set(get_strategies_with_trades(sys.argv[1]))
detail = load_strategy_detailed_trades("MeanReverter_L119", sys.argv[1])
assert detail["trades"] == results[119]["trades_detailed"] and detail["rank"] == 1
assert storage.load_strategy_trades("MeanReverter_L3") is None
assert len(storage.get_available_detailed_strategies()) == 50
print(len(frame), list(frame.columns), detail["universe"])
"""


def results(prefix: str, count: int) -> list[dict[str, Any]]:
    """Return hard results, without a text that pandas itself refuses."""
    return [{**result, "regime": "calm"} for result in old.results(prefix, count)]


def as_pandas_does(rows: list[tuple[str, dict[str, Any]]]) -> pd.DataFrame:
    """Return the frame that the old functions made of (universe, result)."""
    keys = pd.DataFrame(
        [{"strategy_name": row["strategy_name"], "universe": universe} for universe, row in rows]
    )
    return pd.concat([keys, pd.json_normalize([old.metrics_of(row) for _, row in rows])], axis=1)


def test_a_script_runs_with_another_import_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(tmp_path / "results")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    columns = ["strategy_name", "universe", "sharpe_ratio", "composite_score", "n_trades"]
    assert done.stdout == f"120 {columns} universe_001_5min_5lb\n"


@pytest.mark.parametrize("kind", ["simple", "search", "hard", "nested", "empty text", "some text"])
def test_the_frame_is_what_pandas_makes_of_the_rows(tmp_path: Path, kind: str) -> None:
    universes: dict[str, list[Any]] = {
        "simple": {"u": [{"strategy_name": f"s{n}", "a": n, "b": n / 3, "c": "x", "d": True} for n in range(40)]},
        "search": {f"u{n}": workload.universe(n, 150, 2, 10, 2000) for n in range(3)},
        "hard": {"u": results("A", 40)},
        "nested": {"u": [{"strategy_name": "s", "a": {"x": 1, "y": None}, "l": [1, 2]}]},
        "some text": {"u": [{"strategy_name": "a", "t": None}, {"strategy_name": "b", "t": "x"}, {"strategy_name": "c"}]},
        "empty text": {"u": [{"strategy_name": "a", "t": None, "i": None, "b": True}, {"strategy_name": "b", "i": 3}]},
    }[kind]  # fmt: skip
    archive = archiver.open(tmp_path / "archive")
    for universe, listed in universes.items():
        archive.save_universe_results(universe, listed, code="none")
    frame = load_all_strategies_metrics(tmp_path / "archive")
    expected = as_pandas_does([(universe, row) for universe, listed in universes.items() for row in listed])
    assert_frame_equal(frame, expected)
    old.write_tiered(tmp_path / "old", {})
    rows = [
        {"strategy_name": row["strategy_name"], "universe": universe, "metrics": old.metrics_of(row)}
        for universe, listed in universes.items()
        for row in listed
    ]
    old.dump(tmp_path / "old/all_strategies_metrics.json", {"strategies": rows})
    assert_frame_equal(load_all_strategies_metrics(tmp_path / "old"), expected)


def test_regular_metrics_take_the_quick_way(tmp_path: Path) -> None:
    archive = archiver.open(tmp_path)
    archive.save_universe_results("u", workload.universe(1, 150, 0), code="none")
    assert legacy._Results(tmp_path)._typed_frame() is not None
    archive.save_universe_results("v", [{"strategy_name": "s", "n_trades": "many"}], code="none")
    assert legacy._Results(tmp_path)._typed_frame() is None
    assert load_all_strategies_metrics(tmp_path)["n_trades"].tolist()[-1] == "many"


@pytest.mark.parametrize("with_name", [False, True])
def test_an_old_folder_is_read_as_it_is(tmp_path: Path, with_name: bool) -> None:
    universes = {"u1": results("A", 20), "u2": results("B", 5)}
    old.write_tiered(tmp_path, universes, with_name=with_name)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    frame = load_all_strategies_metrics(str(tmp_path))
    assert frame["strategy_name"].tolist() == [r["strategy_name"] for u in universes.values() for r in u]
    assert list(frame.columns).count("strategy_name") == 1
    names = [result["strategy_name"] for listed in universes.values() for result in listed[:3]]
    assert sorted(get_strategies_with_trades(tmp_path)) == sorted(names)
    detail = load_strategy_detailed_trades(names[1], str(tmp_path))
    assert same(detail, old.detail_of("u1", 2, universes["u1"][1], with_name=with_name))
    assert load_strategy_detailed_trades("A_L9_T0.5", tmp_path) is None
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_saving_into_an_old_folder_keeps_what_is_there(tmp_path: Path) -> None:
    universes = {"u1": results("A", 20), "u2": results("B", 5)}
    old.write_tiered(tmp_path, universes)
    storage = SmartBacktestStorage(output_dir=tmp_path)
    assert len(storage.get_available_detailed_strategies()) == 6
    new = results("A", 2)
    new[0]["sharpe_ratio"] = 7.0
    new[0]["trades_detailed"] = [{"pnl_usd": 1.0}]
    storage.save_universe_results("u1", new, top_n=2)
    storage.save_universe_results("u3", results("C", 3), top_n=1)
    frame = load_all_strategies_metrics(tmp_path).set_index(["universe", "strategy_name"])
    assert len(frame) == 20 + 5 + 3
    assert frame.loc[("u1", "A_L0_T0.5"), "sharpe_ratio"] == 7.0
    detail = storage.load_strategy_trades("A_L0_T0.5")
    assert detail is not None
    assert detail["trades"] == [{"pnl_usd": 1.0}]
    assert storage.load_strategy_trades("A_L2_T0.5") is not None
    assert len(storage.get_available_detailed_strategies()) == 7
    assert archiver.open(tmp_path).verify(read_data=True).ok
    assert (tmp_path / "all_strategies_metrics.json").exists()


def test_older_formats_are_read_too(tmp_path: Path) -> None:
    listed = results("A", 4)
    old.write_universe(tmp_path / "json", "universe_001", listed)
    assert load_all_strategies_metrics(tmp_path / "json")["universe"].tolist() == ["universe_001"] * 4
    assert get_strategies_with_trades(tmp_path / "json") == [result["strategy_name"] for result in listed]
    detail = load_strategy_detailed_trades(listed[2]["strategy_name"], tmp_path / "json")
    assert detail is not None
    assert same(detail["trades"], listed[2]["trades_detailed"])
    old.write_parquet(tmp_path / "parquet", "universe_001", [{"strategy_name": "s", "sharpe_ratio": 1.5}])
    assert load_all_strategies_metrics(tmp_path / "parquet").to_dict("records") == [
        {"strategy_name": "s", "universe": "universe_001", "sharpe_ratio": 1.5}
    ]
    assert get_strategies_with_trades(tmp_path / "parquet") == []
    old.write_run_folder(tmp_path / "runs", "20250121_140307_250", listed[0])
    assert get_strategies_with_trades(tmp_path / "runs") == [listed[0]["strategy_name"]]


def test_nothing_there_is_what_it_was(tmp_path: Path) -> None:
    for place in (tmp_path / "none", tmp_path):
        assert load_all_strategies_metrics(place).empty
        assert load_strategy_detailed_trades("s", place) is None
        assert get_strategies_with_trades(place) == []
    assert list(tmp_path.iterdir()) == []


def test_damage_is_not_nothing(tmp_path: Path) -> None:
    old.write_tiered(tmp_path, {"u": results("A", 5)})
    detail = next((tmp_path / "detailed_trades").iterdir())
    detail.write_text("{")
    with pytest.raises(IntegrityError, match="is damaged"):
        load_strategy_detailed_trades(detail.stem, tmp_path)
    (tmp_path / "all_strategies_metrics.json").write_text('{"strategies": [')
    with pytest.raises(IntegrityError, match="all_strategies_metrics"):
        load_all_strategies_metrics(tmp_path)


def test_without_a_folder_the_configured_archive_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHIVER_URL", str(tmp_path / "configured"))
    SmartBacktestStorage().save_universe_results("u", results("A", 3), top_n=1)
    assert len(load_all_strategies_metrics()) == 3
    (name,) = get_strategies_with_trades()
    assert load_strategy_detailed_trades(name) is not None
    assert (tmp_path / "configured/archive.json").exists()


def test_the_last_saved_of_one_name_counts(tmp_path: Path) -> None:
    storage = SmartBacktestStorage(tmp_path)
    for universe, pnl in (("b", 1), ("a", 2)):
        rows = [{"strategy_name": "s", "sharpe_ratio": 1.0, "trades_detailed": [{"pnl": pnl}]}]
        storage.save_universe_results(universe, rows)
    detail = storage.load_strategy_trades("s")
    assert detail is not None
    assert (detail["universe"], detail["trades"]) == ("a", [{"pnl": 2}])
    assert storage.get_available_detailed_strategies() == ["s"]
    storage.save_universe_results("a", [{"strategy_name": "s", "sharpe_ratio": 1.0}], top_n=0)
    detail = storage.load_strategy_trades("s")
    assert detail is not None
    assert detail["universe"] == "b"


def test_the_top_n_have_details_with_or_without_trades(tmp_path: Path) -> None:
    storage = SmartBacktestStorage(tmp_path)
    listed = [{"strategy_name": f"s{n}", "sharpe_ratio": float(n), "trades": n} for n in range(5)]
    storage.save_universe_results("u", listed, top_n=2)
    assert storage.get_available_detailed_strategies() == ["s4", "s3"]
    assert storage.load_strategy_trades("s4") == {
        "strategy_name": "s4", "universe": "u", "rank": 1, "metrics": {"sharpe_ratio": 4.0, "trades": 4},
        "trades": [], "equity_curve": [], "drawdown_curve": [],
    }  # fmt: skip
    assert load_all_strategies_metrics(tmp_path)["strategy_name"].tolist() == ["s4", "s3", "s2", "s1", "s0"]
    curve = {"strategy_name": "c", "sharpe_ratio": 1.0, "equity_curve": pd.Series([100, 105.5])}
    storage.save_universe_results("v", [curve], top_n=1)
    detail = storage.load_strategy_trades("c")
    assert detail is not None
    assert detail["equity_curve"] == [100.0, 105.5]


def test_a_bucket_is_a_place_too(moto_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_place.options["endpoint_url"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto_place.options["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto_place.options["secret"])
    SmartBacktestStorage(moto_place.url).save_universe_results("u", results("A", 3), top_n=1)
    assert len(load_all_strategies_metrics(moto_place.url)) == 3
    assert len(get_strategies_with_trades(moto_place.url)) == 1


def test_details_that_are_elsewhere_or_gone_are_not_outside_the_top_n(tmp_path: Path) -> None:
    storage = SmartBacktestStorage(tmp_path)
    listed = [{"strategy_name": f"s{n}", "sharpe_ratio": float(n), "trades_detailed": []} for n in range(4)]
    archive = archiver.open(tmp_path)
    bundled = storage.save_universe_results("bundled", listed, top_n=2)
    archive.bundle([bundled.id], "kept")
    archive.bundles.apply_removal(archive.bundles.plan_removal("kept"))
    for load in (storage.load_strategy_trades, lambda name: load_strategy_detailed_trades(name, tmp_path)):
        with pytest.raises(NotKeptError, match="`archiver bundle restore kept`"):
            load("s3")
        assert (load("s1"), load("unknown")) == (None, None)
    with pytest.raises(NotKeptError, match="it ranks 3 of 4"):
        archive.load_strategy("s1")
    storage.save_universe_results(
        "pruned", [{**one, "strategy_name": f"p{n}"} for n, one in enumerate(listed)]
    )
    policy = archiver.Policy(universe="pruned", keep_last=0, tiers=2)
    archive.apply(archive.plan_prune(policy, allow_empty=True), max_remove=1.0)
    with pytest.raises(NotKeptError, match="was removed by"):
        storage.load_strategy_trades("p3")
    storage.save_universe_results("other", listed, top_n=2)
    detail = storage.load_strategy_trades("s3")
    assert detail is not None
    assert detail["universe"] == "other"
