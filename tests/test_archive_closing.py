"""Many archives in a process leave no loops, threads or sockets behind, whoever closes them."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import archiver
from archiver.store import contract
from tests.conftest import Place
from tests.stores import result
from tests.test_store_s3_client import sockets


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="sockets are counted where /proc has them")
@pytest.mark.parametrize(
    ("kind", "closes"),
    [
        ("file", "with"),
        ("moto", "forgotten"),
        pytest.param("file", "forgotten", marks=pytest.mark.slow),
        pytest.param("moto", "with", marks=pytest.mark.slow),
    ],
)
def test_many_archives_leave_nothing_behind(
    request: pytest.FixtureRequest, kind: str, closes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours: list[set[threading.Thread]] = []

    class Noted(contract._Threads):
        """A page server of another test may begin to read meanwhile; this thread is nobody else's."""

        def __init__(self, workers: int) -> None:
            super().__init__(workers)
            if threading.current_thread() is threading.main_thread():
                ours.append(self._threads)

    monkeypatch.setattr(contract, "_Threads", Noted)
    place: Place = request.getfixturevalue(f"{kind}_place")

    def open_() -> archiver.Archive:
        return archiver.open(place.url, **place.options)

    with open_() as archive:
        for universe in ("u", "v", "w"):
            archive.save_universe_results(universe, [result("A", bars=20)], code="none")

    def use(archive: archiver.Archive) -> None:
        assert len(archive.runs()) == 3
        assert archive.load_many().num_rows
        assert archive.load_metrics().num_rows == 3

    def closing() -> None:
        with open_() as archive:
            use(archive)

    def forgetting() -> None:
        use(open_())

    work: Callable[[], None] = closing if closes == "with" else forgetting
    work()
    gc.collect()
    threads, before = set(threading.enumerate()), sockets()
    for _ in range(50 if kind == "file" else 10):
        work()
    gc.collect()
    for thread in set(threading.enumerate()) - threads:
        thread.join(5)
    left = set(threading.enumerate()) - threads
    mine = {thread for pool in ours for thread in pool}
    assert [thread for thread in left if thread in mine or not thread.name.startswith("archiver-store")] == []
    assert sockets() <= before
