"""The overview's numbers: the same as the commands say, and what several runs share counted once."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from werkzeug.test import Client

import archiver
from archiver.base.humanize import size
from archiver.runs.all_runs import growth
from archiver.web.cards import history
from tests.stores import details_in_objects
from tests.web.conftest import UNIVERSE, Made, callback, guarded


def part(client: Client, *places: str) -> dict[str, Any]:
    """Ask for parts of the overview that come after the page."""
    several = len(places) > 1
    outputs = [{"id": place, "property": "children"} for place in places]
    name = "...".join(f"{place}.children" for place in places)
    body = {
        "output": f"..{name}.." if several else name,
        "outputs": outputs if several else outputs[0],
        "inputs": [{"id": "overview-then", "property": "data", "value": 1}],
        "changedPropIds": ["overview-then.data"],
    }
    answer = client.post("/_dash-update-component", json=body, headers={"Host": "127.0.0.1"})
    return {place: json.dumps(answer.json["response"][place]["children"]) for place in places}


def test_health_tells_when_bytes_were_last_compared(tmp_path):
    archive = archiver.open(str(tmp_path))
    archive.save_universe_results("u", [{"strategy_name": "s", "sharpe_ratio": 1.0}], code="none")
    client = Client(guarded(str(tmp_path)))
    assert "No bytes were compared yet" in part(client, "health")["health"]
    archive.verify(sample=0.5, remember=True)
    assert "a sample of 50%" in part(client, "health")["health"]
    assert "all was well" in part(client, "health")["health"]


def test_health_and_the_best_say_the_same_of_damage(tmp_path):
    archive = archiver.open(str(tmp_path))
    rows = [{"strategy_name": f"s{at}", "sharpe_ratio": at / 7, "other": "x" * 200} for at in range(2_000)]
    archive.save_universe_results("u", rows, code="none")
    assert '"nothing missing"' in part(Client(guarded(str(tmp_path))), "health")["health"]
    (path,) = tmp_path.glob("tier1/*/*.parquet")
    whole = path.read_bytes()
    path.write_bytes(b"garbage" + whole[7:])
    said = part(Client(guarded(str(tmp_path))), "health")["health"]
    assert '"1 problem"' in said
    assert path.name in said
    assert "missing" not in said
    # The same damage is told once.
    path.write_bytes(whole[:-9])
    assert '"1 problem"' in part(Client(guarded(str(tmp_path))), "health")["health"]


@details_in_objects()
def test_health_is_not_green_while_the_last_verify_found_damage(tmp_path):
    archive = archiver.open(str(tmp_path))
    rows = [{"strategy_name": "s", "sharpe_ratio": 1.0, "equity_curve": [1.0, 2.0]}]
    archive.save_universe_results("u", rows, code="none")
    for path in tmp_path.glob("tier2/*/*/*"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    archive.verify(read_data=True, remember=True)
    said = part(Client(guarded(str(tmp_path))), "health")["health"]
    assert "damaged when last read" in said
    assert "nothing missing" not in said
    (path,) = tmp_path.glob("tier2/*/*/*")
    assert f'"{path.relative_to(tmp_path)}"' in said


@details_in_objects()
def test_storage_says_what_du_says(tmp_path):
    url = str(tmp_path / "copy")
    archive = archiver.open(url)
    for at in range(2):
        results = [
            {"strategy_name": f"s{at}", "sharpe_ratio": 1.0 + at, "equity_curve": [1.0, 2.0, float(at)]}
        ]
        archive.save_universe_results("u", results, top_n=1, code="none")
    archive.apply(archive.plan_prune(archiver.Policy(keep_last=1)), max_remove=0.5)
    usage = archive.du()
    assert usage.parts["trash"].bytes > 0
    shown = part(Client(guarded(url)), "storage", "stored", "universes")
    assert json.dumps(size(usage.total.bytes)) in shown["stored"]
    assert f"{usage.total.objects} objects" in shown["storage"]
    assert "Trash" in shown["storage"]
    for name in ("tier2", "trash"):
        assert json.dumps(size(usage.parts[name].bytes)) in shown["storage"]
    assert json.dumps(size(usage.universes["u"].bytes)) in shown["universes"]


def test_what_runs_share_counts_once(client, plain: Made):
    records = archiver.open(plain.url).records()
    brought = growth(records)
    tapes = {ref.key: ref.size for record in records for ref in record.tapes}
    own = sum(
        record.size + sum(ref.size for ref in (record.tier1, record.tier2) if ref) for record in records
    )
    assert sum(brought) == own + sum(tapes.values())
    assert sum(brought) < sum(run.bytes for run in plain.runs)
    text = json.dumps(callback(client, "/runs")["page"]["children"], ensure_ascii=False)
    assert f'"{size(sum(brought))}"' in text
    text = json.dumps(callback(client, "/runs", f"?universe={UNIVERSE}")["page"]["children"])
    assert f'"{size(sum(growth([r for r in records if r.universe == UNIVERSE])))}"' in text


def _drawn(url: str, runs: slice = slice(None)) -> dict[str, Any]:
    seen = archiver.open(url).all_runs()
    return history.drawn(seen.table["created"].to_numpy()[runs], seen.brought(0)[0][runs])


def test_runs_of_one_second_are_one_bar_and_one_step(plain: Made):
    records = archiver.open(plain.url).records()
    bars, line = _drawn(plain.url)["data"]
    assert sum(bars["y"]) == len(records)
    assert bars["width"][0] == timedelta(minutes=1).total_seconds() * 800
    assert line["y"][0] == 0
    stored = sum(growth(records))
    scale, unit = (1e6, "MB") if stored >= 1e6 else (1e3, "kB")
    assert line["y"][-1] == line["y"][-2] == stored / scale
    assert _drawn(plain.url)["layout"]["yaxis2"]["title"]["text"] == f"{unit} stored"
    only = _drawn(plain.url, slice(0, 1))["data"][0]
    assert only["hovertext"] == [f"1 run on {records[0].created:%Y-%m-%d %H:%M}"]


def test_the_smallest_archive_has_its_chart(tmp_path):
    archive = archiver.open(str(tmp_path))
    archive.save_universe_results("u", [{"strategy_name": "s"}], code="none")
    records = archive.records()
    assert records[0].size < 1000
    drawn = _drawn(str(tmp_path))
    assert drawn["layout"]["yaxis2"]["title"]["text"] == "bytes stored"
    assert drawn["data"][1]["y"][-1] == records[0].size


def test_an_axis_of_runs_of_one_moment_is_minutes_long():
    moment = datetime(2025, 1, 21, tzinfo=UTC)
    start, end = history.edges(moment, moment, timedelta(minutes=10))
    assert (moment - start, end - moment) == (timedelta(minutes=10), timedelta(minutes=10))
    start, end = history.edges(moment, moment + timedelta(days=100), timedelta(minutes=10))
    assert (moment - start) == timedelta(days=4)


def test_the_history_of_a_strategy_saved_twice_in_a_second_is_minutes_wide(tmp_path):
    archive = archiver.open(str(tmp_path))
    for _ in range(2):
        archive.save_universe_results("u", [{"strategy_name": "s", "sharpe_ratio": 1.0}], code="none")
    body = {
        "output": "history.children",
        "outputs": {"id": "history", "property": "children"},
        "inputs": [
            {"id": "strategy-of", "property": "data", "value": {"name": "s", "universe": "u", "run": ""}}
        ],
        "changedPropIds": ["strategy-of.data"],
    }
    answer = Client(guarded(str(tmp_path))).post(
        "/_dash-update-component", json=body, headers={"Host": "127.0.0.1"}
    )
    (found,) = re.findall(r'"range": \["([^"]+)", "([^"]+)"\]', json.dumps(answer.json))
    start, end = (datetime.fromisoformat(text) for text in found)
    assert timedelta(minutes=20) <= end - start < timedelta(minutes=21)


def test_a_bar_never_makes_a_loss_look_best(tmp_path):
    archive = archiver.open(str(tmp_path / "archive"))
    rows = [{"strategy_name": f"s{score}", "sharpe_ratio": score} for score in (-9.0, -1.0, 0.5, 1.0)]
    archive.save_universe_results("u", rows, code="none")
    page = json.dumps(callback(Client(guarded(str(tmp_path / "archive"))), "/"))
    assert re.findall(r'"width": "([\d.]+)%"', page)[:4] == ["100.00", "50.00", "0.00", "0.00"]


def test_one_run_is_not_called_runs(tmp_path, monkeypatch):
    archive = archiver.open(str(tmp_path / "archive"))
    archive.save_universe_results("u", [{"strategy_name": "s", "sharpe_ratio": 1.0}], code="none")
    (tmp_path / "archiver.toml").write_text("""[[policy]]
name = "last"
keep_last = 1
""")
    monkeypatch.chdir(tmp_path)
    assert "keep every run: 1 run." in part(Client(guarded(str(tmp_path / "archive"))), "prune")["prune"]


def test_what_was_ranked_by_the_least_stands_first(tmp_path):
    archive = archiver.open(str(tmp_path))
    rows = [{"strategy_name": name, "dd": dd} for name, dd in (("most", 0.3), ("least", 0.1), ("mid", 0.2))]
    archive.save_universe_results("u", rows, rank_by="-dd", code="none")
    best = json.dumps(callback(Client(guarded(str(tmp_path))), "/")["page"]["children"])
    assert best.index('"least"') < best.index('"mid"') < best.index('"most"')
    assert "sort=-dd" in best
