"""Bundles in cold storage: the class, the one clear line, the thaw and the wait for it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from archiver.archive import Archive
from archiver.errors import ConfigError, IntegrityError, NotFoundError, StorageError
from archiver.store.s3.cold import Warmth, warmth
from archiver.transfer.bundle import bundles, thaw
from archiver.transfer.bundle.create import create
from archiver.transfer.bundle.place import Place as BundlePlace
from archiver.transfer.bundle.thaw import require_warm
from tests.conftest import Place
from tests.runs_made import fill, opened, seen


@pytest.fixture
def frozen(moto_place: Place) -> Archive:
    archive = opened(moto_place.url, **moto_place.options)
    fill(archive)
    archive.bundle(archive.run_ids(), "deep", storage_class="DEEP_ARCHIVE")
    return archive


def test_a_frozen_bundle_says_so_and_is_restored_after_the_thaw(frozen: Archive, tmp_path: Path) -> None:
    place = frozen.bundles.place("deep")
    found = warmth(place.store, place.key)
    assert found is not None
    assert (found.storage_class, found.readable) == ("DEEP_ARCHIVE", False)
    for read in (
        lambda: frozen.bundles.open("deep").manifest,
        lambda: frozen.bundles.verify("deep"),
        lambda: frozen.bundles.plan_removal("deep"),
        lambda: opened(f"bundle::{place.url}", **frozen._options).runs(),
    ):
        with pytest.raises(StorageError, match=r"cold storage; `archiver bundle restore NAME --wait`"):
            read()
    said: list[str] = []
    target = opened(tmp_path / "t")
    # This server thaws at once, so there is nothing to wait for.
    moved = target.bundles.restore("deep", home=frozen.bundles, say=said.append)
    assert sorted(moved.runs) == frozen.run_ids()
    assert seen(target, frozen.run_ids()) == seen(frozen, frozen.run_ids())
    warm = warmth(place.store, place.key)
    assert warm is not None
    assert warm.readable
    assert warm.until is not None
    assert warm.until > datetime.now(UTC)


def test_a_verified_bundle_moves_to_a_cold_class_in_place(moto_place: Place) -> None:
    archive = opened(moto_place.url, **moto_place.options)
    fill(archive)
    archive.bundle(archive.run_ids(), "b")
    assert archive.bundles.verify("b").ok
    archive.bundles.move_to_class("b", "glacier")
    place = archive.bundles.place("b")
    found = warmth(place.store, place.key)
    assert found is not None
    assert found.storage_class == "GLACIER"
    with pytest.raises(ConfigError, match="not known"):
        archive.bundles.move_to_class("b", "ICEBOX")


def test_a_bundle_is_read_back_before_it_is_frozen_and_a_damaged_one_never_is(
    moto_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = opened(moto_place.url, **moto_place.options)
    fill(archive)
    archive.bundle(archive.run_ids(), "sound", storage_class="GLACIER", verify=True)
    key = archive.bundles.place("sound").key
    assert warmth(archive.store, key).storage_class == "GLACIER"  # type: ignore[union-attr]  # it is there

    def spoiled(*given: Any, **how: Any) -> Any:
        made = create(*given, **how)
        data = bytearray(archive.store.get("bundles/spoiled.tar.zst"))
        data[len(data) // 2] ^= 1
        archive.store.put("bundles/spoiled.tar.zst", bytes(data))
        return made

    monkeypatch.setattr(bundles, "create", spoiled)
    with pytest.raises(IntegrityError, match="make it anew"):
        archive.bundle(archive.run_ids(), "spoiled", storage_class="GLACIER", verify=True)
    found = warmth(archive.store, "bundles/spoiled.tar.zst")
    assert found is not None
    assert found.readable


def test_a_bundle_of_what_is_to_be_removed_is_frozen_by_the_removal(moto_place: Place) -> None:
    archive = opened(moto_place.url, **moto_place.options)
    fill(archive)
    runs = archive.run_ids()
    archive.bundles.create(runs, "deep", storage_class="GLACIER", settle=False)
    key = archive.bundles.place("deep").key
    assert warmth(archive.store, key).readable  # type: ignore[union-attr]  # it is there
    plan = archive.bundles.plan_removal("deep")
    assert sorted(archive.bundles.apply_removal(plan, storage_class="GLACIER")) == runs
    assert warmth(archive.store, key).storage_class == "GLACIER"  # type: ignore[union-attr]  # it is there


def test_verify_is_content_with_a_frozen_bundle(moto_place: Place) -> None:
    archive = opened(moto_place.url, **moto_place.options)
    fill(archive)
    archive.bundle(archive.run_ids(), "deep")
    archive.bundles.apply_removal(archive.bundles.plan_removal("deep"))
    archive.bundles.move_to_class("deep", "DEEP_ARCHIVE")
    report = archive.verify()
    assert report.ok
    assert sorted(report.archived) == archive.run_ids()


def test_classes_belong_to_s3(tmp_path: Path) -> None:
    archive = opened(tmp_path / "a")
    fill(archive)
    with pytest.raises(ConfigError, match="only buckets of S3"):
        archive.bundle(archive.run_ids(), "b", storage_class="GLACIER")
    archive.bundle(archive.run_ids(), "b")
    with pytest.raises(ConfigError, match="only buckets of S3"):
        archive.bundles.move_to_class("b", "GLACIER")
    assert warmth(archive.store, "bundles/b.tar.zst") is None
    archive.bundles.restore("b", wait=True)


class Ice:
    """A bundle that thaws at the n-th look, as far as its class can tell."""

    def __init__(self, storage_class: str, looks: int, size: int = 50_000_000_000) -> None:
        self.storage_class, self.left, self.size = storage_class, looks, size
        self.asked: list[dict[str, Any]] = []
        self.looks = 0
        self.slept: list[float] = []

    def warmth(self, _store: object, _key: str) -> Warmth:
        self.looks += 1
        if self.asked:
            self.left -= 1
        done = bool(self.asked) and self.left <= 0
        until = datetime(2030, 1, 1, tzinfo=UTC) if done else None
        return Warmth(self.storage_class, self.size, thawing=bool(self.asked) and not done, until=until)

    def thaw(self, _store: object, _key: str, *, days: int, tier: str) -> None:
        self.asked.append({"days": days, "tier": tier})


@pytest.fixture
def ice(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Ice:
    ice = Ice(*request.param)
    monkeypatch.setattr(thaw, "warmth", ice.warmth)
    monkeypatch.setattr(thaw, "thaw", ice.thaw)
    return ice


@pytest.fixture
def place(tmp_path: Path) -> BundlePlace:
    return opened(tmp_path / "a").bundles.place("b")


@pytest.mark.parametrize("ice", [("GLACIER", 3)], indirect=True)
def test_without_wait_one_line_says_when_and_how_much(ice: Ice, place: BundlePlace) -> None:
    with pytest.raises(StorageError) as error:
        require_warm(place, tier="standard", days=3)
    text = str(error.value)
    assert "\n" not in text
    for part in ("GLACIER", "3 to 5 hours", "about $0.50", "readable for 3 days", "--wait", "prices of"):
        assert part in text
    with pytest.raises(StorageError, match="is thawing"):
        require_warm(place)
    assert ice.asked == [{"days": 3, "tier": "standard"}]
    require_warm(place)


@pytest.mark.parametrize("ice", [("DEEP_ARCHIVE", 5)], indirect=True)
def test_waiting_looks_seldom_and_goes_on_by_itself(ice: Ice, place: BundlePlace) -> None:
    said: list[str] = []
    require_warm(place, wait=True, tier="bulk", say=said.append, sleep=ice.slept.append)
    assert len(said) == 1
    assert "12 to 48 hours" in said[0]
    assert ice.looks == len(ice.slept) + 2
    assert all(pause >= 600 for pause in ice.slept)
    assert len(ice.asked) == 1


@pytest.mark.parametrize("ice", [("DEEP_ARCHIVE", 1)], indirect=True)
def test_a_tier_that_the_class_lacks_is_refused(ice: Ice, place: BundlePlace) -> None:
    with pytest.raises(ConfigError, match="use standard or bulk"):
        require_warm(place, tier="expedited")
    assert ice.asked == []


def test_no_bundle_is_no_cold_bundle(moto_place: Place) -> None:
    archive = opened(moto_place.url, **moto_place.options)
    with pytest.raises(NotFoundError):
        archive.bundles.restore("none")


def test_a_bundle_that_is_there_gets_the_class_that_is_asked_for(moto_place: Place) -> None:
    archive = opened(moto_place.url, **moto_place.options)
    fill(archive)
    archive.bundle(archive.run_ids(), "b")
    for wanted in ("STANDARD_IA", "standard-ia"):
        assert archive.bundle(archive.run_ids(), "b", storage_class=wanted).sha256 is None
        place = archive.bundles.place("b")
        found = warmth(place.store, place.key)
        assert found is not None
        assert found.storage_class == "STANDARD_IA"
