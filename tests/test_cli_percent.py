"""Shares on the command line: one parser, wherever one may be given."""

from __future__ import annotations

from pathlib import Path

import pytest

from archiver.archive import Archive
from archiver.cli.percent import percentage, share
from archiver.errors import ConfigError
from archiver.store import open_store
from tests.conftest import Cli
from tests.stores import save


@pytest.mark.parametrize(
    ("text", "value"),
    [("59%", 0.59), ("0.59", 0.59), ("0%", 0.0), ("1", 1.0), ("100%", 1.0), ("0", 0.0), ("12.5%", 0.125)],
)
def test_a_share_is_a_fraction_or_a_percentage(text: str, value: float) -> None:
    assert share(text, "--max-remove") == pytest.approx(value)


@pytest.mark.parametrize("text", ["59", "-1%", "101%", "1.01", "nan", "inf", "", "%", "half", "5%%"])
def test_what_is_no_share_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--max-remove is .*5% or 0\.05"):
        share(text, "--max-remove")


def test_a_percentage_may_have_its_sign() -> None:
    assert percentage("80", "--warn") == percentage("80%", "--warn") == 80


@pytest.mark.parametrize(
    "words", [("prune", "--keep-within", "30d"), ("copy", "source", "target", "--delete-extra")]
)
@pytest.mark.parametrize(("limit", "goes"), [("59%", False), ("0.59", False), ("67%", True), ("0.67", True)])
def test_prune_and_copy_take_the_same_limits(
    words: tuple[str, ...],
    limit: str,
    goes: bool,
    tmp_path: Path,
    command: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    target, source = open_store(tmp_path / "target"), open_store(tmp_path / "source")
    save(source)
    Archive(source).copy_to(Archive(target))
    for _ in range(2):
        save(target, days=90)
    code, _, err = command(*words, "--apply", "--max-remove", limit, "--json", "--url", "target")
    assert code == (0 if goes else 13), err
    assert ("67% of the runs (2 of 3)" in err) is not goes
    assert len(Archive(target).runs()) == (1 if goes else 3)


def test_copy_names_a_wrong_limit(tmp_path: Path, command: Cli) -> None:
    save(open_store(tmp_path / "a"))
    for words in (("prune", "--keep-last", "1"), ("copy", str(tmp_path / "a"), str(tmp_path / "b"))):
        code, _, err = command(*words, "--max-remove", "59", "--url", str(tmp_path / "a"))
        assert code == 2
        assert "give a share such as 5% or 0.05" in err
    assert not (tmp_path / "b").exists()
