"""What the configuration files say, as read: paths in them mean the same from everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

import archiver
from archiver.config.files import configured_code
from archiver.config.settings import load_settings
from archiver.errors import ConfigError
from tests.captured import environment, run, show, write


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARCHIVER_CODE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("'imports'", "imports"),
        ("'lib'", "{}/lib"),
        ("'imprts'", "imprts"),
        ("'lib/**/*.py'", "{}/lib/**/*.py"),
        ("['lib', 'a.py', '/abs/b.py']", ["{}/lib", "{}/a.py", "/abs/b.py"]),
    ],
)
def test_code_is_relative_to_the_file_that_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, meant: str | list[str]
) -> None:
    write(tmp_path, {"archiver.toml": f"code = {said}\n", "lib/deep/x.py": ""})
    monkeypatch.chdir(tmp_path / "lib" / "deep")
    expected = meant.format(tmp_path) if isinstance(meant, str) else [name.format(tmp_path) for name in meant]
    assert configured_code() == expected
    assert load_settings().code == expected


def test_capture_on_its_own_obeys_the_configuration(tmp_path: Path) -> None:
    files = {"archiver.toml": "code = 'lib/*.py'\n", "lib/a.py": "", "sub/run.py": show(), "other.py": ""}
    write(tmp_path, files)
    assert list(run("run.py", cwd=tmp_path / "sub").files) == ["lib/a.py"]
    assert list(run("run.py", cwd=tmp_path / "sub", ARCHIVER_CODE="entry").files) == ["sub/run.py"]
    both = run("run.py", cwd=tmp_path / "sub", ARCHIVER_CODE='["../other.py", "run.py"]')
    assert list(both.files) == ["other.py", "sub/run.py"]
    assert run("run.py", cwd=tmp_path / "sub", ARCHIVER_CODE="none").code["reason"] == "switched off"


def test_nothing_configured_is_auto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert configured_code() == "auto"


@pytest.mark.parametrize("said", ["5", "[1]", "{a = 1}"])
def test_code_of_another_type_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    write(tmp_path, {"archiver.toml": f"code = {said}\n"})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"code from .*archiver\.toml does not fit"):
        configured_code()


def test_wrong_file_stops_no_backtest(tmp_path: Path) -> None:
    write(tmp_path, {"archiver.toml": "code = \n", "run.py": show()})
    shown = run("run.py", cwd=tmp_path)
    assert shown.code["how"] == "none"
    assert "archiver.toml is no valid TOML" in shown.code["reason"]


def test_archive_opens_where_the_working_folder_was_deleted(tmp_path: Path) -> None:
    import subprocess
    import sys

    archiver.open(tmp_path / "store").save_universe_results(
        "u", [{"strategy_name": "s", "sharpe_ratio": 1.0}]
    )
    (tmp_path / "gone").mkdir()
    script = f"import os, archiver\nos.rmdir(os.getcwd())\nprint(len(archiver.open({str(tmp_path / 'store')!r}).runs()))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path / "gone", env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_value_in_the_place_of_our_table_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"pyproject.toml": "[tool]\narchiver = 3\n"})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"write \[tool.archiver\]"):
        load_settings()
