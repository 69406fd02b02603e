"""The suite that others inherit: a store that is fit passes, one that is not fails where it is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

STORE = """
import pytest
from archiver.store import open_store
from archiver.testing import Opened, StoreTests
from tests.stores import PassingStore

class Mine(PassingStore):
    def __init__(self, folder, **how):
        super().__init__(open_store(folder, **how))
        self.folder, self.how, self.read_only = folder, how, bool(how)
    def __reduce__(self):
        return Mine, (self.folder,)
    {wrong}

class TestMine(StoreTests):
    @pytest.fixture
    def opened(self, tmp_path) -> Opened:
        return lambda **how: Mine(tmp_path / "mine", **how)
"""


@pytest.mark.parametrize(
    ("wrong", "failing"),
    [
        ("", set()),
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
    ],
)
def test_a_store_of_one_s_own(tmp_path: Path, wrong: str, failing: set[str]) -> None:
    (tmp_path / "test_mine.py").write_text(STORE.format(wrong=wrong))
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
        "-rf",
    ]
    done = subprocess.run(
        [*command, "-c", "/dev/null", f"--rootdir={tmp_path}", str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=root, env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    failed = {
        line.rpartition("::")[2].split()[0] for line in done.stdout.splitlines() if line.startswith("FAILED")
    }
    assert (done.returncode == 0) == (not failing), done.stdout
    assert failing <= failed, done.stdout
