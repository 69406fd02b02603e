"""SQL sees what the archive holds, the newest of each strategy, and says in one line what is wrong."""

from __future__ import annotations

import math
from typing import Any

import pytest

import archiver
from archiver.archive import Archive
from archiver.errors import ConfigError
from archiver.query.sql import query
from archiver.runs.read import Reader
from tests.benchmarks import workload

NAN, INF = float("nan"), float("inf")
LISTED = {
    universe: workload.universe(number, 120, 3, 20, 2000) for number, universe in enumerate(("a", "b/x"))
}
ODD = [
    {"strategy_name": "odd", "sharpe_ratio": 1.0, "n_trades": "many", "trades_detailed": [{"pnl": 1}, 5]},
    {"strategy_name": "nan", "sharpe_ratio": NAN, "profit_factor": INF, "Weird Name": 3, "run": 9},
    {
        "strategy_name": "curve",
        "sharpe_ratio": 2.0,
        "equity_curve": [1, 2.5, None, NAN],
        "drawdown_curve": [0.0],
    },
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    archive = archiver.open(tmp_path_factory.mktemp("sql"))
    archive.save_universe_results("a", workload.universe(7, 60, 2, 20, 2000), top_n=2, code="none")
    for universe, listed in LISTED.items():
        archive.save_universe_results(universe, listed, top_n=3, tags=["nightly"], code="none")
    archive.save_universe_results("odd", ODD, code="none")
    return archive


def ask(archive: Archive, text: str, **options: Any) -> list[dict[str, Any]]:
    found = query(Reader(archive.store), archive.records(), archive.runs(), text, **options)
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def test_metrics_are_those_of_load_metrics(archive: Archive) -> None:
    table = archive.load_metrics(columns=["sharpe_ratio"]).to_pandas()
    found = ask(
        archive, "select universe, count(*) n, avg(sharpe_ratio) s from metrics group by 1 order by 1"
    )
    grouped = table.groupby("universe")["sharpe_ratio"]
    assert [(row["universe"], row["n"]) for row in found] == list(grouped.size().items())
    for row in found:
        assert math.isclose(row["s"], grouped.mean()[row["universe"]], rel_tol=1e-12)


def test_star_gives_every_metric(archive: Archive) -> None:
    (row,) = ask(archive, "select * from metrics where strategy_name = 'nan'")
    table = archive.load_metrics()
    assert sorted(row) == sorted(table.column_names)
    assert (row["sharpe_ratio"], row["profit_factor"], row["metrics.run"], row["Weird Name"]) == (
        None,
        INF,
        9,
        3,
    )
    assert ask(archive, 'select "Weird Name" as w from metrics where "Weird Name" > 1') == [{"w": 3}]


def test_nan_is_null_unless_it_is_to_be_kept(archive: Archive) -> None:
    best = "select strategy_name from metrics where universe = 'odd' order by sharpe_ratio desc"
    assert [row["strategy_name"] for row in ask(archive, best)] == ["curve", "odd", "nan"]
    kept = ask(archive, "select sharpe_ratio s from metrics where strategy_name = 'nan'", keep_nan=True)
    assert math.isnan(kept[0]["s"])


def test_history_shows_every_run(archive: Archive) -> None:
    text = "select count(*) n from metrics where universe = 'a'"
    now, ever = (ask(archive, text, history=history)[0]["n"] for history in (False, True))
    assert ever == 180
    assert now == archive.load_metrics(universe="a").num_rows
    trades = "select count(*) n from trades where universe = 'a'"
    assert ask(archive, trades, history=True)[0]["n"] == 5 * 20


def test_trades_are_all_trades_of_the_details_that_count(archive: Archive) -> None:
    found = ask(
        archive,
        "select universe, strategy_name, count(*) n, sum(pnl_usd) pnl, min(entry_time) first from trades "
        "where universe <> 'odd' group by 1, 2 order by 1, 2",
    )
    details = [key for key in archive.detailed_strategies() if key[0] != "odd"]
    assert [(row["universe"], row["strategy_name"]) for row in found] == sorted(details)
    for row in found:
        trades = archive.load_strategy(row["strategy_name"], universe=row["universe"])["trades"]
        assert row["n"] == len(trades)
        assert math.isclose(row["pnl"], math.fsum(trade["pnl_usd"] for trade in trades), rel_tol=1e-9)
        assert row["first"] == min(trade["entry_time"] for trade in trades)


def test_nested_and_irregular_trades(archive: Archive) -> None:
    hours = ask(
        archive, "select distinct market_context.hour_of_day h from trades where universe = 'a' order by 1"
    )
    trades = [
        trade
        for universe, name in archive.detailed_strategies(universe="a")
        for trade in archive.load_strategy(name, universe=universe)["trades"]
    ]
    assert [row["h"] for row in hours] == sorted({trade["market_context"]["hour_of_day"] for trade in trades})
    assert [row["trade"] for row in ask(archive, "select trade from trades where universe = 'odd'")] == [
        '{"pnl":1}', "5"
    ]  # fmt: skip
    (row,) = ask(archive, "select * from trades where universe = 'a' limit 1")
    assert "price_history" not in row
    assert {"universe", "strategy_name", "run", "entry_time", "market_context"} <= set(row)


def test_curves_have_a_row_a_point(archive: Archive) -> None:
    found = ask(
        archive, "select point, equity, drawdown from curves where strategy_name = 'curve' order by point"
    )
    assert found == [
        {"point": 0, "equity": 1.0, "drawdown": 0.0},
        {"point": 1, "equity": 2.5, "drawdown": None},
        {"point": 2, "equity": None, "drawdown": None},
        {"point": 3, "equity": None, "drawdown": None},
    ]
    universe, name = archive.detailed_strategies()[0]
    detail = archive.load_strategy(name, universe=universe)
    text = f"""select list(equity order by point) e, list(drawdown order by point) d from curves
        where strategy_name = '{name}' and universe = '{universe}'"""
    assert ask(archive, text) == [{"e": detail["equity_curve"], "d": detail["drawdown_curve"]}]


def test_runs_and_joins(archive: Archive) -> None:
    found = ask(
        archive,
        "select r.id, any_value(r.tags) tags, count(*) n from metrics m join runs r on r.id = m.run "
        "where list_contains(r.tags, 'nightly') group by 1 order by 1",
    )
    assert [row["id"] for row in found] == sorted(run.id for run in archive.runs(tag="nightly"))
    assert [row["n"] for row in found] == [120, 120]
    assert ask(archive, "select max(created) c from runs") == [{"c": archive.runs()[0].created}]
    assert ask(archive, "select 1 + 1 as two") == [{"two": 2}]
    assert ask(archive, "set threads = 1") == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("selec 1", "syntax error"),
        ("select sharp from metrics", "sharp"),
        ("select * from nothing", "nothing"),
        ("select strategy_name + 1 from metrics", "DuckDB"),
    ],
)
def test_what_duckdb_refuses_is_one_line(archive: Archive, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match="DuckDB") as caught:
        ask(archive, text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_archive_without_details_has_empty_views(tmp_path: Any) -> None:
    archive = archiver.open(tmp_path)
    archive.save_universe_results("u", [{"strategy_name": "s", "sharpe_ratio": 1.0}], code="none")
    assert ask(archive, "select * from trades") == []
    assert ask(archive, "select max(equity) e from curves") == [{"e": None}]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("select * from metrics join trades using (universe, strategy_name, run)", None),
        ("with best as (select * from metrics) select * from best natural join trades", None),
        ("from metrics", 303),
        ("table runs", 4),
        ("describe metrics", None),
        ("summarize runs", 10),
        ("select columns('sharpe.*') from metrics", 303),
        ("select m from metrics m limit 3", 3),
        (
            "select strategy_name from metrics m where exists (select 1 from trades t where t.strategy_name = m.strategy_name)",
            None,
        ),
        ("select strategy_name, twice from metrics, lateral (select 2 * sharpe_ratio twice) limit 2", 2),
        (
            "select strategy_name from metrics qualify row_number() over (partition by universe order by sharpe_ratio) = 1",
            3,
        ),
        ("create view best as select * from metrics; select * from best limit 1", 1),
        ("select unnest(tags) from runs", 2),
        ('select "Metrics".sharpe_ratio from "METRICS" limit 1', 1),
        ("pivot metrics on universe using count(*) group by run", None),
        ("select 'trades' as metrics -- runs", 1),
        ("select * from metrics positional join runs limit 1", 1),
    ],
)
def test_whatever_the_engine_takes_is_answered(archive: Archive, text: str, count: int | None) -> None:
    found = ask(archive, text)
    assert found
    assert count is None or len(found) == count


def test_a_natural_join_and_a_row_as_a_whole_see_every_column(archive: Archive) -> None:
    (row,) = ask(archive, "select m from metrics m where strategy_name = 'nan'")
    assert row["m"]["profit_factor"] == INF
    joined = ask(archive, "select count(*) n from metrics natural join trades")
    assert joined == ask(archive, "select count(*) n from trades")


def test_what_the_engine_says_is_said_with_names_that_are_there(archive: Archive) -> None:
    with pytest.raises(ConfigError, match=r'"sharpe_rati" not found.*"sharpe_ratio"'):
        ask(archive, "select sharpe_rati from metrics")


def test_columns_of_one_name_are_told_apart(archive: Archive) -> None:
    text = "select m.run, t.run, t.run as run_1, m.RUN from metrics m, trades t limit 1"
    found = query(archive.reader, archive.records(), archive.runs(), text)
    assert found.column_names == ["run", "run_2", "run_1", "run_3"]
    assert len(found.to_pylist()[0]) == 4


def test_parameters_of_a_query(archive: Archive) -> None:
    text = "select count(*) n from metrics where strategy_name = "
    assert archive.sql(f"{text}?", ["odd"]).to_pylist() == [{"n": 1}]
    assert archive.sql(f"{text}$name", {"name": "x' or 1 = 1"}).to_pylist() == [{"n": 0}]
    with pytest.raises(ConfigError, match="DuckDB"):
        archive.sql(f"{text}?", ["odd", 2])


def test_parameters_of_strategies_whatever_other_universes_have(tmp_path: Any) -> None:
    archive = archiver.open(tmp_path)
    for universe, params in (
        ("a", {"fast": 10, "ma": {"kind": "ema"}}),
        ("b", {"length": 5, "ma": {"kind": "sma"}}),
        ("c", "none"),
    ):
        archive.save_universe_results(
            universe, [{"strategy_name": "s", "score": 1.0, "params": params}], code="none"
        )
    found = archive.sql(
        "select universe, params.ma.kind k, params.length from metrics order by 1"
    ).to_pylist()
    assert found == [
        {"universe": "a", "k": "ema", "length": None},
        {"universe": "b", "k": "sma", "length": 5},
        {"universe": "c", "k": None, "length": None},
    ]
    assert archive.sql('select max("params.fast") f from metrics where params.length is null')[
        "f"
    ].to_pylist() == [10]
    assert "params" not in archive.sql("select * exclude (params) from metrics").column_names
    with pytest.raises(ConfigError, match="nothing"):
        archive.sql("select params.nothing from metrics")
