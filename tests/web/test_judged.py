"""The API over searches says what the commands print."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from werkzeug.test import Client

import archiver
from archiver.analysis import neighbours, parameters
from archiver.analysis.parameters import Parameters
from archiver.web.reading import search
from tests.conftest import Cli
from tests.web.conftest import callback, guarded
from tests.web.test_api import get
from tests.web.test_pages import grid

DAYS = [f"2024-{month:02d}-{day:02d}" for month in range(1, 7) for day in range(1, 29)]


def searched(seed: int) -> list[dict[str, Any]]:
    random = Random(seed)
    found = []
    for fast in (5, 10, 20):
        for slow in (50, 100):
            equity = [100.0]
            for _ in DAYS[1:]:
                equity.append(equity[-1] * (1 + random.gauss(fast / 20_000, 0.01)))
            found.append(
                {
                    "strategy_name": f"S_{fast}_{slow}",
                    "sharpe_ratio": fast / 10 + random.gauss(0, 1),
                    "params": {"fast": fast, "slow": slow},
                    "equity_curve": [list(point) for point in zip(DAYS, equity, strict=True)],
                }
            )
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Client]:
    """Give the URL of a search in and out of sample, its run in sample, and a client of its pages."""
    url = str(tmp_path_factory.mktemp("judged") / "a")
    archive = archiver.open(url)
    run = archive.save_universe_results("goog", searched(1), top_n=6, code="none").id
    archive.save_universe_results("goog_oos", searched(2), top_n=0, code="none")
    return url, run, Client(guarded(url))


@pytest.mark.parametrize(
    ("path", "query", "typed"),
    [
        ("/api/parameters", {"universe": "goog"}, "params -u goog"),
        ("/api/parameters", {"universe": "goog", "x": "fast"}, "params fast -u goog"),
        (
            "/api/parameters",
            {"universe": "goog", "x": "fast", "y": "params.slow", "how": "best", "where": "slow > 10"},
            "params fast slow -u goog --how best --where",
        ),
        (
            "/api/parameters",
            {"newest": "all", "plateau": "1", "limit": "4", "metric": "-sharpe_ratio"},
            "params --plateau -n 4 --history --by -sharpe_ratio",
        ),
        ("/api/samples", {"limit": "2"}, "samples -n 2"),
        ("/api/samples", {"inside": "goog_oos", "outside": "goog"}, "samples goog_oos goog"),
        ("/api/portfolio", {"universe": "goog", "top": "3"}, "portfolio -u goog --top 3"),
        (
            "/api/portfolio",
            {"strategy": ["S_5_50", "S_20_100"], "run": "RUN"},
            "portfolio S_5_50 S_20_100 -r RUN",
        ),
    ],
)
def test_answers_are_those_of_the_commands(
    kept: tuple[str, str, Client], command_of: Any, path: str, query: dict[str, Any], typed: str
) -> None:
    url, run, client = kept
    asked = {name: run if value == "RUN" else value for name, value in query.items()}
    words = [run if word == "RUN" else word for word in typed.split()]
    if "where" in asked:
        asked["where"] = "params.slow > 10"
        words.append(asked["where"])
    assert get(client, path, **asked).json == command_of(url, words)


@pytest.fixture
def command_of(command: Cli) -> Any:
    return lambda url, words: json.loads(command("--url", url, "--json", *words)[1])


def test_what_takes_long_is_computed_once_for_the_api_and_the_pages(
    kept: tuple[str, str, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    own = neighbours.beside_neighbours
    for module in (search, parameters):
        monkeypatch.setattr(
            module, "beside_neighbours", lambda *rest, **more: made.append("plateau") or own(*rest, **more)
        )
    importance = Parameters.importance
    monkeypatch.setattr(Parameters, "importance", lambda self: made.append("importance") or importance(self))
    client = Client(guarded(kept[0]))
    for limit in ("1", "4"):
        asked = {"universe": "goog", "metric": "sharpe_ratio"}
        assert len(get(client, "/api/parameters", plateau="1", limit=limit, **asked).json["rows"]) == int(
            limit
        )
        assert len(get(client, "/api/parameters", **asked).json["rows"]) == 2
    assert sorted(made) == ["importance", "plateau"]


def test_the_plateau_is_a_column_to_sort_and_filter_by(kept: tuple[str, str, Client]) -> None:
    url, run, client = kept
    rows = archiver.open(url).parameters(run=run).robustness().to_pylist()
    wanted = [(row["strategy_name"], row["plateau"]) for row in sorted(rows, key=lambda row: -row["plateau"])]
    asked = {"run": run, "sort": "plateau", "columns": "plateau"}
    found = get(client, "/api/metrics", **asked).json["metrics"]
    assert [(row["strategy_name"], row["plateau"]) for row in found] == wanted
    assert get(client, "/api/metrics", where=f"plateau >= {wanted[2][1]}", run=run).json["total"] == 3
    assert "plateau" not in get(client, "/api/metrics").json["metrics"][0]
    request = {"startRow": 0, "endRow": 9, "sortModel": [{"colId": "plateau", "sort": "desc"}]}
    shown = grid(client, request, {"columns": ["sharpe_ratio"], "run": run})
    assert [row["strategy_name"] for row in shown["rowData"]] == [name for name, _ in wanted]
    page = json.dumps(callback(client, "/strategies", "?columns=plateau")["page"]["children"])
    assert page.count("median of its neighbours") == 2  # the heading says what it is, and so does the choice


def test_luck_is_what_show_says(kept: tuple[str, str, Client], command_of: Any) -> None:
    url, run, client = kept
    answer = get(client, f"/api/runs/{run[:20]}/luck").json
    shown = command_of(url, ["show", run])
    assert answer == {"run": run, "luck": shown["luck"], "overfitting": shown["overfitting"]}
    assert 0 <= answer["luck"]["deflated"] <= 1
    assert 0 <= answer["overfitting"]["probability"] <= 1


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("/api/parameters", {"y": "fast"}, "over two parameters"),
        ("/api/parameters", {"x": "fast", "plateau": "1"}, "leave X and Y out"),
        ("/api/parameters", {"x": "fast", "y": "slow", "how": "sum"}, "not 'sum'"),
        ("/api/parameters", {"x": "none"}, "none"),
        ("/api/portfolio", {"top": "99"}, "2 to 50"),
        ("/api/samples", {"within": "goog"}, "no parameter 'within'"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_why(
    kept: tuple[str, str, Client], path: str, query: dict[str, str], said: str
) -> None:
    assert said in get(kept[2], path, 400, **query).json["error"]["message"]
