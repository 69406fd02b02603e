"""Tags, and keys that are not ours: whatever else lies in an archive is passed over by every reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import archiver
from archiver.archive import Archive
from archiver.errors import ConfigError, IntegrityError
from archiver.format import layout
from archiver.format.records import encode_record
from archiver.retention.gc import collect
from archiver.runs.tags import checked_tags, pinned, put_tag, read_tags
from archiver.store import Store, open_store
from tests.conftest import Place
from tests.stores import MovedStore, save, snapshot

RUN = "20250101T000000Z-00000000"
FOREIGN = [
    f"tags/%ff/{RUN}",
    f"tags/%FF/{RUN}",
    f"tags/%41/{RUN}",  # `A` needs no quotes
    f"tags/%e2%82%ac/{RUN}",  # lower case
    f"tags/%zz/{RUN}",
    f"tags/%/{RUN}",
    f"tags/.hidden/{RUN}",
    f"tags/a b/{RUN}",
    f"tags/ü/{RUN}",
    f"tags/{'x' * 231}/{RUN}",
    f"tags/{RUN}",
    f"tags/pinned/deeper/{RUN}",
    f"tags/pinned/{RUN}/deeper",
    f"tags/pinned/{RUN}.bak",
    "tags/pinned/notes.txt",
    f"tags/pinned/{RUN.translate({ord('0'): 0x0660})}",  # digits, though not ours
    "tags/README",
    f"runs/deeper/{RUN}.json.zst",
    f"runs/{RUN}.json.zst.bak",
    f"runs/%ff/{RUN}.json.zst",
    "runs/README",
    f"trash/deeper/{RUN}.json.zst",
    f"trash/{RUN}.claim",
    "trash/0123.claim",
    "trash/0123456789abcdef.claim.bak",
    "trash/%ff",
    f"quarantine/{RUN}.json.zst",
    f"quarantine/runs/deeper/{RUN}.json.zst",
    "catalog/x.jsonl.zst",
    f"catalog/{RUN}--{RUN}.jsonl.zst",
    "catalog/%ff.jsonl.zst",
    f"tier1/universe=%ff/{RUN}.parquet",
    f"tier1/universe=/{RUN}.parquet",
    f"tier1/{RUN}.parquet",
    f"tier1/universe=u/deeper/{RUN}.parquet",
    f"tier2/universe=%ff/{RUN}/detail.parquet",
    f"tier2/universe=u/{RUN}/notes.txt",
    f"tapes/ab/{'a' * 64}.parquet",
    "tapes/%ff/x.parquet",
    f"code/ab/{'a' * 64}.zst",
    "bundles/%ff.tar.zst",
    "bundles/.x.tar.zst",
    "bundles/deeper/x.tar.zst",
    "bundles/x.tar",
    "%ff",
]
"""Keys that archiver would not make."""


def names() -> list[str]:
    return ["a", "pinned", "a/b", "ü", ".x", "%ff", "a b", "x" * 230, "\n", "..", "日本"]


@pytest.mark.parametrize("key", FOREIGN)
def test_keys_that_are_not_ours_are_not_read(key: str) -> None:
    assert layout.parse(key) is None


@pytest.mark.parametrize("name", names())
def test_every_key_that_is_made_is_read(name: str) -> None:
    sha = "ab" * 32
    assert layout.parse(layout.tag_key(name, RUN)) == (layout.TAGS, RUN, name)
    assert layout.parse(layout.untagged_key(name, RUN)) == (layout.UNTAGGED, RUN, name)
    assert layout.parse(layout.bundle_key(name)) == (layout.BUNDLES, "", name)
    assert layout.parse(layout.record_key(RUN)) == (layout.RUNS, RUN, "")
    assert layout.parse(layout.trash_key(RUN)) == (layout.TRASH, RUN, "")
    assert layout.parse(layout.claim_key()) == (layout.TRASH, "", "claim")
    assert layout.parse(layout.claim_key(RUN)) == (layout.TRASH, "", "claim")
    assert layout.claim_key(RUN) == layout.claim_key(RUN) != layout.claim_key() != layout.claim_key()
    assert layout.parse("trash/probe-0123456789abcdef") == (layout.TRASH, "", "probe")
    for key in (layout.record_key(RUN), layout.trash_key(RUN)):
        assert layout.parse(layout.quarantine_key(key)) == (f"quarantine/{key.partition('/')[0]}/", RUN, "")
        assert layout.run_of_record(layout.quarantine_key(key)) == RUN
    for universe in (name, name * 100):
        for key in (layout.tier1_key(universe, RUN), layout.tier2_key(universe, RUN)):
            found = layout.parse(key)
            assert found is not None
            assert (found.run, found.name) == (RUN, layout.universe_part(universe))
    assert layout.parse(layout.tape_key(sha)) == (layout.TAPES, "", sha)
    assert layout.parse(layout.code_key(sha)) == (layout.CODE, "", sha)
    assert layout.parse(layout.ARCHIVE) == (layout.ARCHIVE, "", "")
    assert layout.parse(layout.VERIFIED) == (layout.VERIFIED, "", "")


def test_tags_are_read_as_they_were_written(store: Store) -> None:
    for name in names()[:-3]:
        put_tag(store, RUN, name)
    assert read_tags(store, {}) == {RUN: sorted(names()[:-3])}
    assert pinned(store) == {RUN}


def test_later_markers_win_over_the_record(archive: Archive) -> None:
    local = archive.store
    run = save(local, tags=["a", "b", "pinned"]).run

    def now() -> tuple[str, ...]:
        assert archive.run_ids(tag="a") == ([run] if "a" in archive.run(run).tags else [])
        return archive.run(run).tags

    def keys(*areas: str) -> set[str]:
        return {key.rpartition("/")[0] for key in snapshot(local) if key.startswith(areas)}

    assert (now(), archive.record(run).tags) == (("a", "b", "pinned"), ("a", "b"))
    assert keys(*layout.MARKERS) == {"tags/pinned"}
    archive.untag(run, "a")
    archive.untag(run, "never had")
    assert now() == ("b", "pinned")
    archive.tag(run, "a")
    archive.tag(run, "c")
    assert now() == ("a", "b", "c", "pinned")
    # An untag that was cut between its two calls leaves the tag; once more ends it.
    local.put(layout.untagged_key("a", run), b"")
    assert now() == ("a", "b", "c", "pinned")
    archive.untag(run, "a")
    archive.untag(run, "c")
    archive.untag(run, "pinned")
    assert now() == ("b",)
    assert keys(*layout.MARKERS) == {"untagged/a"}
    archive.apply(archive.plan_prune(archiver.Policy(keep_tags=["a"]), allow_empty=True), max_remove=1)
    assert [one.tags for one in archive.trash()] == [("b",)]
    archive.gc("0d", apply=True, allow_empty=True)
    assert keys("runs/", "trash/", *layout.MARKERS) == set()


def test_a_pin_in_a_record_protects_nothing(archive: Archive) -> None:
    """Only a marker does: whoever removes looks for these alone, so what is shown is what is protected."""
    record = save(archive.store, tags=["a"])
    archive.store.put(
        layout.record_key(record.run), encode_record(replace(record, tags=("a", "pinned"), note="longer"))
    )
    assert archive.runs()[0].tags == ("a",)


def test_a_tag_in_a_record_that_is_no_name_is_damage(archive: Archive) -> None:
    record = save(archive.store)
    for wrong in ("", "x" * 231):
        archive.store.put(
            layout.record_key(record.run), encode_record(replace(record, tags=(wrong,), format=2))
        )
        with pytest.raises(IntegrityError, match=r"`tags\[0\]` is text, not a tag"):
            archive.runs()


def test_tags_are_checked() -> None:
    assert checked_tags("one") == ("one",)
    assert checked_tags(["b", "a", "b"]) == ("a", "b")
    for wrong in ([1], [""], ["\ud800"]):
        with pytest.raises(ConfigError):
            checked_tags(wrong)  # type: ignore[arg-type]


def test_whatever_else_lies_in_an_archive_nothing_stumbles(tmp_path: Path) -> None:
    """Foreign keys below every prefix, also of a run that is there."""
    store = MovedStore(open_store(tmp_path / "archive"))
    old = save(store, "u", days=90, bars=40, strategies=100, code=b"x", tags=["t"]).run
    new = save(store, "u", bars=40, strategies=100, code=b"x").run
    clean = Archive(store)
    before = (clean.runs(), clean.du().universes)
    for run in (RUN, old, new):
        for key in FOREIGN:
            mine = key.replace(RUN, run)
            if len(max(mine.split("/"), key=len)) < 250 and "\n" not in mine:
                store.put(mine, b"mine")
    foreign = {key for key, data in snapshot(store).items() if data == b"mine"}
    archive = Archive(store)
    assert (archive.runs(), archive.du().universes) == before
    assert archive.trash() == []
    assert archive.run_ids(tag="t") == [old]
    assert archive.bundles.names() == []
    assert archive.compact() == 2
    assert archive.verify(read_data=True, repair=True).ok
    made = archive.bundle([old, new], "b")
    assert sorted(made.runs) == sorted([old, new])
    assert archive.bundles.verify("b").ok
    target = archiver.open(tmp_path / "target")
    archive.copy_to(target)
    assert not foreign & {entry.key for entry in target.store.list()}
    assert [run.tags for run in target.runs()] == [(), ("t",)]
    archive.apply(archive.plan_prune(archiver.Policy(keep_within="30d")))
    assert [run.id for run in archive.trash()] == [old]
    store.move(days=400)
    assert collect(store, apply=True).failed == {}
    assert foreign <= {entry.key for entry in store.list()}
    assert archive.verify(read_data=True).ok
    assert [run.id for run in archive.runs()] == [new]


def test_a_listing_of_a_bucket_may_hold_empty_parts(moto_place: Place) -> None:
    store = moto_place.open()
    run = save(store).run
    for key in (f"tags//{run}", "tags//", f"runs//{run}.json.zst", "bundles//x.tar.zst", "trash//"):
        store.request("put_object", "write", Key=store.object_name(key), Body=b"")  # type: ignore[attr-defined]
    archive = Archive(store)
    assert [one.tags for one in archive.runs()] == [()]
    assert archive.trash() == []
    assert archive.bundles.names() == []
    assert archive.gc("0d", apply=True).objects == 0
    assert archive.verify().ok
