"""The archive against a dict: whatever is saved, tagged, pruned, brought back, freed, crashed and aged, both agree.

Also the facade's own part: what it takes from settings and hands on.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import s3fs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

import archiver
from archiver.archive import Archive
from archiver.errors import AccessError, FormatError, IntegrityError, NotKeptError
from archiver.format import layout
from archiver.retention.decisions import decide
from archiver.retention.policy import Policy
from archiver.runs.outlines import outlines_of
from archiver.runs.record_view import viewed
from tests.conftest import Place
from tests.faults import DiedError, FaultyStore
from tests.stores import MovedStore, fresh_store, result, save

pytestmark = pytest.mark.usefixtures("details_apart")

GRACE = timedelta(days=7)


@dataclass
class Known:
    """What the dict knows of a run."""

    universe: str
    score: float
    bars: int
    tags: set[str] = field(default_factory=set)
    detail: bool = True
    """Whether its details can be loaded."""
    lost: bool = False
    """Whether gc freed its details: no undelete brings them back."""
    gone: bool = False
    """Whether it was pruned."""
    since: timedelta | None = None
    """When its record came into the trash, by the store's clock."""


class Lifecycle(RuleBasedStateMachine):
    runs = Bundle("runs")

    @initialize(target=runs, hours=st.sampled_from([0, 200]))
    def begin(self, hours: int) -> Any:
        self.store = MovedStore(fresh_store())
        self.known: dict[str, Known] = {}
        save(self.store, "first")
        first = Archive(self.store).runs()[0]
        self.known[first.id] = Known("first", 1.0, 0)
        made = [
            self.save(universe, days, score, bars, False)
            for universe, days, score, bars in (
                ("a", 90, 1.0, 40),
                ("a", 70, 3.0, 50),
                ("b", 90, 2.0, 40),
                ("b", 0, 0.0, 0),
            )
        ]
        self.store.move(hours=hours)
        return multiple(*made)

    @property
    def archive(self) -> Archive:
        return Archive(self.store)

    def save(self, universe: str, days: int, score: float, bars: int, pinned: bool) -> str:
        tags = ["pinned"] if pinned else []
        code = b"code %d" % bars
        record = save(self.store, universe, days=days, score=score, bars=bars, tags=tags, code=code)
        self.known[record.run] = Known(universe, score, bars, set(tags))
        return record.run

    @rule(
        target=runs,
        universe=st.sampled_from(["a", "b"]),
        days=st.sampled_from([0, 30, 70, 90]),
        score=st.integers(0, 5).map(float),
        bars=st.sampled_from([0, 40, 50]),
        pinned=st.booleans(),
    )
    def save_one(self, universe: str, days: int, score: float, bars: int, pinned: bool) -> str:
        return self.save(universe, days, score, bars, pinned)

    @rule(at=st.integers(0, 12), when=st.sampled_from(["before", "after"]))
    def crash_while_saving(self, at: int, when: str) -> None:
        try:
            record = save(FaultyStore(self.store, at, die=True, when=when), "a", bars=40, code=b"crashed")
        except DiedError:
            for run in Archive(self.store).runs():
                self.known.setdefault(run.id, Known("a", 1.0, 40))
        else:
            self.known[record.run] = Known("a", 1.0, 40)

    @rule(run=runs, tag=st.sampled_from(["pinned", "x"]), add=st.booleans())
    def tag(self, run: str, tag: str, add: bool) -> None:
        known = self.known.get(run)
        if known is None or known.gone:
            return
        if add:
            self.archive.tag(run, tag)
            known.tags.add(tag)
        else:
            self.archive.untag(run, tag)
            known.tags.discard(tag)

    @rule(
        days=st.sampled_from(["20d", "60d"]),
        last=st.sampled_from([None, None, 0, 1, 2]),
        best=st.sampled_from([None, None, 0, 1]),
        tiers=st.sampled_from(["all", 2]),
        universe=st.sampled_from(["*", "a"]),
        crash=st.just(None) | st.sampled_from([None, 3, 5, 8, 10, 12, 15, 18]),
    )
    def prune(
        self, days: str, last: int | None, best: int | None, tiers: Any, universe: str, crash: int | None
    ) -> None:
        rules: dict[str, Any] = {"keep_within": days, "keep_last": last, "keep_tags": ["x"]}
        if best is not None and any(run.universe == "a" for run in self.archive.runs()):
            rules["keep_best"] = ("sharpe_ratio", best)
        policy = Policy(**rules, tiers=tiers, universe=universe)
        store = FaultyStore(self.store, crash, die=True)
        expected = {
            one.run: one.action
            for one in decide(
                outlines_of(self.archive.records(), ["sharpe_ratio"]),
                {run: sorted(known.tags) for run, known in self.known.items()},
                [policy],
                self.store.now(),
            )
            if one.action != "keep"
        }
        try:
            archive = Archive(store)
            plan = archive.plan_prune(policy, allow_empty=True)
            assert {one.run: one.action for one in plan.removals} == expected
            archive.apply(plan, max_remove=1)
        except DiedError:
            self._look(set(expected))
            return
        for run, action in expected.items():
            known = self.known[run]
            known.since = self.store.ahead
            known.detail = False
            known.gone = action == "remove"

    def _look(self, doubtful: set[str]) -> None:
        """Learn how far an interrupted prune came: each run is as before, or as it was to become, or in both places."""
        for run in doubtful:
            known = self.known[run]
            known.gone = viewed(self.store).stat(layout.record_key(run)) is None
            if self.store.stat(layout.trash_key(run)) is not None:
                known.since = self.store.written(layout.trash_key(run))
            known.detail = not known.gone and self.archive.record(run).tier2 is not None
            assert not known.gone or known.since is not None

    @rule(run=runs)
    def undelete(self, run: str) -> None:
        known = self.known.get(run)
        if known is None or known.since is None:
            return
        self.archive.undelete(run)
        known.gone, known.detail, known.since = False, not known.lost, None

    @rule(
        hours=st.sampled_from([0, 1, 100, 200, -26]),
        apply=st.sampled_from([True, True, False]),
        crash=st.sampled_from([None, None, None, 5, 9, 12, 15, 18, 21, 24, 28, 33]),
        when=st.sampled_from(["before", "midway", "after"]),
    )
    def gc_later(self, hours: int, apply: bool, crash: int | None, when: str) -> None:
        # Where the clock steps back, what is in the trash seems to come from the future: its grace only gets longer.
        self.store.move(hours=hours)
        store = FaultyStore(self.store, crash, die=True, when=when)
        try:
            done = Archive(store).gc(apply=apply)
        except DiedError:
            if apply:
                self._forget()
            return
        assert not done.failed
        if apply:
            self._forget()
            for run, known in self.known.items():
                assert known.since is None or self.store.stat(layout.trash_key(run)) is not None
            assert self.archive.gc(apply=True).objects == 0

    def _forget(self) -> None:
        """Take what is no longer in the trash for gone, which it may be only when its grace is over."""
        for run, known in list(self.known.items()):
            if known.since is not None and self.store.stat(layout.trash_key(run)) is None:
                assert self.store.ahead - known.since > GRACE - timedelta(minutes=10)
                known.since = None
                known.lost = not known.detail
                if known.gone:
                    del self.known[run]

    @rule(
        crash=st.sampled_from([None, None, 6, 9, 12, 15, 18, 21, 25]),
        when=st.sampled_from(["before", "midway", "after"]),
    )
    def compact(self, crash: int | None, when: str) -> None:
        with suppress(DiedError):
            Archive(FaultyStore(self.store, crash, die=True, when=when)).compact()

    @invariant()
    def both_agree(self) -> None:
        if not hasattr(self, "store"):
            return
        archive = self.archive
        runs = {run.id: run for run in archive.runs()}
        visible = {run: known for run, known in self.known.items() if not known.gone}
        assert runs.keys() == visible.keys()
        for run, known in visible.items():
            assert set(runs[run].tags) == known.tags
            assert runs[run].universe == known.universe
        assert {run.id for run in archive.trash()} == {
            run for run, known in self.known.items() if known.since is not None
        }

    @invariant()
    def everything_can_be_read(self) -> None:
        if not hasattr(self, "store"):
            return
        report = self.archive.verify()
        assert report.ok, report.problems

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.archive.verify(read_data=True).ok
        for run, known in self.known.items():
            if known.gone:
                continue
            if known.detail:
                loaded = self.archive.load_strategy("s0", run=run)
                given = result("s0", known.score, bars=known.bars)
                assert loaded["trades"] == given["trades_detailed"]
                assert loaded["equity_curve"] == given["equity_curve"]
            else:
                with pytest.raises(NotKeptError):
                    self.archive.load_strategy("s0", run=run)
            rows = self.archive.load_metrics(run=run).to_pylist()
            assert [row["sharpe_ratio"] for row in rows] == [known.score]


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(max_examples=15, stateful_step_count=30)


@pytest.mark.slow
class TestManyLifecycles(Lifecycle.TestCase):
    settings = settings(max_examples=50, stateful_step_count=40)


@pytest.mark.slow
class TestAsManyLifecycles(Lifecycle.TestCase):
    """The other half, for the other of two workers: no slow test takes longer than these."""

    settings = settings(max_examples=50, stateful_step_count=40)


def test_the_contract_over_any_store(place: Place) -> None:
    import archiver

    archive = archiver.open(place.url, **place.options)
    old = save(archive.store, "u", days=90, bars=60).run
    new = archive.save_universe_results("u", [result("s0", 2.0)], code="none", tags=["nightly"])
    assert archive.verify(read_data=True).ok
    plan = archive.plan_prune(
        archiver.Policy(keep_within="30d", keep_last=1, keep_best=("sharpe_ratio", 1), keep_tags=["pinned"])
    )
    assert [one.run for one in plan.removals] == [old]
    archive.apply(plan)
    assert [run.id for run in archive.runs()] == [new.id]
    assert [run.id for run in archive.trash()] == [old]
    assert archive.gc().objects == archive.gc(apply=True).objects == 0
    assert archive.undelete(old).id == old
    assert archive.load_strategy("s0", run=old)["trades"]
    assert archive.du().universes["u"].runs == 2
    assert archive.verify(read_data=True).ok


def test_a_plan_takes_no_right_to_write(file_place: Place) -> None:
    archive = Archive(file_place.open())
    old = save(archive.store, "u", days=90).run
    save(archive.store, "u")

    class ReadOnly(MovedStore):
        def now(self) -> Any:
            raise AccessError("cannot write trash/probe: denied")

    reader = Archive(ReadOnly(archive.store))
    plan = reader.plan_prune(Policy(keep_within="30d"))
    assert [one.run for one in plan.removals] == [old]
    assert reader.gc().objects == 0
    with pytest.raises(AccessError):
        reader.gc(apply=True)


def test_details_that_a_rule_of_the_bucket_covers_are_expired(moto_place: Place) -> None:
    store = moto_place.open()
    record = save(store, "u", strategies=100)
    archive = Archive(store)
    store.delete([layout.tier2_key("u", record.run)])
    assert [problem.what for problem in archive.verify().problems] == ["is missing"]

    bucket, _, prefix = moto_place.url.removeprefix("s3://").partition("/")
    rule = {
        "ID": "details",
        "Status": "Enabled",
        "Filter": {"Prefix": f"{prefix}/tier2/"},
        "Expiration": {"Days": 30},
    }
    fs = s3fs.S3FileSystem(**moto_place.options)
    fs.call_s3("put_bucket_lifecycle_configuration", Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    report = archive.verify(read_data=True)
    assert (report.ok, report.expired) == (True, [record.run])
    assert archive.load_metrics().num_rows == 100
    with pytest.raises(NotKeptError, match="no longer in the store"):
        archive.load_strategy("s0")
    store.delete([layout.tier1_key("u", record.run)])
    assert not archive.verify().ok


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ('{"format": 0}', IntegrityError, "its format is 0"),
        ('{"format": true}', IntegrityError, "its format is True"),
        ('{"format": "1"}', IntegrityError, "its format is '1'"),
        ('{"form', IntegrityError, "put it back"),
        ('{"format": 3}', FormatError, "upgrade archiver"),
    ],
)
def test_a_damaged_archive_json_is_told_from_a_foreign_one(
    tmp_path: Path, text: str, error: type[Exception], says: str
) -> None:
    archiver.open(str(tmp_path)).save_universe_results("u", [{"strategy_name": "s"}], code="none")
    (tmp_path / "archive.json").write_text(text)
    with pytest.raises(error, match=says):
        archiver.open(str(tmp_path)).runs()
