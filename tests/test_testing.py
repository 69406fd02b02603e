"""The suite that others inherit: a store that is fit passes, one that is not fails where it is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

STORE = """
import pytest
from archiver.store import open_store
from archiver.testing import Opened, StoreTests
from tests.stores import PassingStore

class Sound(PassingStore):
    def __init__(self, folder, **how):
        super().__init__(open_store(folder, **how))
        self.folder, self.how, self.read_only = folder, how, bool(how)
    def __reduce__(self):
        return type(self), (self.folder,)

class TestSound(StoreTests):
    @pytest.fixture
    def opened(self, tmp_path) -> Opened:
        return lambda **how: Sound(tmp_path / "mine", **how)
"""


WRONG = [
    (
        "def list(self, prefix=''): return iter(sorted(super().list(prefix), key=lambda entry: entry.key.split('/')))",
        {"test_listings_are_sorted_and_complete"},
    ),
    (
        "def get(self, key, start=0, end=None): return super().get(key)",
        {"test_ranges_are_those_of_a_slice", "test_ranges_at_the_edges_are_right_at_once_and_again"},
    ),
    (
        "def stat(self, key): return super().stat(key) or super().stat('d/a')",
        {"test_what_is_absent_is_said_to_be"},
    ),
]
UNFIT = """
class Wrong{number}(Sound):
    {wrong}

class TestWrong{number}(StoreTests):
    @pytest.fixture
    def opened(self, tmp_path) -> Opened:
        return lambda **how: Wrong{number}(tmp_path / "mine", **how)
"""


def test_stores_of_one_s_own(tmp_path: Path) -> None:
    unfit = [UNFIT.format(number=number, wrong=wrong) for number, (wrong, _) in enumerate(WRONG)]
    (tmp_path / "test_mine.py").write_text("".join([STORE, *unfit]))
    root = Path(__file__).parent.parent
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:dash",
        "-q",
        "-rfp",
    ]
    done = subprocess.run(
        [*command, "-c", "/dev/null", f"--rootdir={tmp_path}", str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=root, env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    found: dict[str, dict[str, set[str]]] = {"FAILED": {}, "PASSED": {}, "ERROR": {}}
    for line in done.stdout.splitlines():
        if (how := line.partition(" ")[0]) in found:
            store, _, test = line.partition("::")[2].partition("::")
            found[how].setdefault(store, set()).add(test.split()[0])
    assert (done.returncode, found["ERROR"]) == (1, {}), done.stdout
    assert len(found["PASSED"]["TestSound"]) > 20
    assert "TestSound" not in found["FAILED"], done.stdout
    for number, (_, failing) in enumerate(WRONG):
        assert failing <= found["FAILED"][f"TestWrong{number}"], done.stdout
