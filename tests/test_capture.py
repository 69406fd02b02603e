"""`archiver.capture(...)` itself: its arguments, its failures, and what it costs to call it again."""

from __future__ import annotations

import hashlib
import math
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import archiver
from archiver.capture import Capture, capture
from archiver.errors import CaptureError
from tests.captured import run, run_all, show, write


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(
        tmp_path, {"a.py": "a = 1\n", "lib/b.py": "b = 1\n", "lib/deep/c.sql": "c\n", "lib/.hidden": "h"}
    )


def names(captured: Capture) -> list[str]:
    return [file.path for file in captured.code.files]


def test_the_package_can_be_called() -> None:
    assert archiver.capture("none").code.how == "none"
    import archiver.capture as package

    assert package("none").code.reason == "switched off"  # type: ignore[operator]
    from archiver.capture import frames

    assert frames.kind(__file__) == "user"


def test_paths_folders_and_patterns(project: Path) -> None:
    assert names(capture("a.py")) == ["a.py"]
    assert names(capture(project / "lib")) == ["b.py", "deep/c.sql"]
    assert names(capture(["a.py", "lib"])) == ["a.py", "lib/b.py", "lib/deep/c.sql"]
    assert names(capture(["lib/**/*.sql", "a.py", "a.py", "./a.py"])) == ["a.py", "lib/deep/c.sql"]
    found = capture("a.py")
    assert found.code.how == "listed"
    assert found.blobs[found.code.files[0].sha256] == b"a = 1\n"


def test_every_blob_is_named_by_its_content(project: Path) -> None:
    found = capture(["a.py", "lib"])
    assert all(hashlib.sha256(data).hexdigest() == sha256 for sha256, data in found.blobs.items())
    described = {file.sha256: file.size for file in (*found.code.files, *found.code.texts)}
    assert {sha256: len(data) for sha256, data in found.blobs.items()} == described


def test_same_content_is_one_blob(project: Path) -> None:
    write(project, {"x.py": "same\n", "y.py": "same\n"})
    found = capture(["x.py", "y.py"])
    assert len(found.code.files) == 2
    assert len({file.sha256 for file in found.code.files}) == 1


def test_executable_bit(project: Path) -> None:
    (project / "a.py").chmod(0o755)
    assert [file.executable for file in capture(["a.py", "lib/b.py"]).code.files] == [True, False]
    (project / "a.py").chmod(0o644)
    assert [file.executable for file in capture("a.py").code.files] == [False]


def test_same_size_and_time_but_other_content(project: Path) -> None:
    before = capture("a.py").code.files[0].sha256
    stamp = (project / "a.py").stat()
    (project / "new.py").write_text("a = 2\n")
    os.utime(project / "new.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    (project / "new.py").replace(project / "a.py")
    assert capture("a.py").code.files[0].sha256 != before


def test_a_word_that_is_no_mode(project: Path) -> None:
    with pytest.warns(UserWarning, match="neither one of auto, entry, imports, none nor a file") as said:
        found = capture("entyr")
    assert found.code.how == "none"
    assert len(said) == 1
    with pytest.raises(CaptureError, match="neither one of"):
        capture("entyr", strict=True)


@pytest.mark.parametrize("code", [7, [7], ["a\0b"], object()])
def test_nonsense_never_raises(project: Path, code: object) -> None:
    with pytest.warns(UserWarning, match="not captured"):
        assert capture(code).code.how == "none"  # type: ignore[arg-type]
    with pytest.raises(CaptureError):
        capture(code, strict=True)  # type: ignore[arg-type]


def test_strict_names_what_is_missing(project: Path) -> None:
    with pytest.raises(CaptureError, match=r"gone\.py does not exist"):
        capture(["a.py", "gone.py"], strict=True)
    assert names(capture(["a.py", "lib"], strict=True)) == ["a.py", "lib/b.py", "lib/deep/c.sql"]


def test_seed_and_data(project: Path) -> None:
    found = capture("a.py", seed=7, data={"sha256": "ab", "rows": (1, 2)}).code
    assert (found.provenance["seed"], found.provenance["data"]) == (7, {"sha256": "ab", "rows": [1, 2]})
    with pytest.warns(UserWarning, match="data is not kept: give a fingerprint"):
        found = capture("a.py", data=list(range(10_000))).code
    assert found.provenance["data"] is None
    with pytest.warns(UserWarning, match="seed is kept as text"):
        found = capture("a.py", seed=math.nan).code
    assert found.provenance["seed"] == "nan"
    assert capture("none", seed=0).code.provenance["seed"] == 0


def _deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


class _Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no text of me")

    def __len__(self) -> int:
        raise RuntimeError("no length of me")


@pytest.mark.parametrize(
    ("value", "kept", "warned"),
    [
        (2**64 - 1, 2**64 - 1, False),
        (2**64, str(2**64), True),
        (-(2**63) - 1, str(-(2**63) - 1), True),
        (np.random.SeedSequence(2**100).entropy, str(2**100), True),
        ({"a": 2**64, "b": 5}, {"a": str(2**64), "b": 5}, True),
        ({1: "x", "y": {(1, 2): math.inf}}, {"1": "x", "y": {"(1, 2)": "inf"}}, True),
        ({"set": {3}}, {"set": [3]}, False),
        (np.int64(5), 5, False),
        (np.array([1, 2]), [1, 2], False),
        ("\udcff", "\\udcff", False),
        (_deep(400), "[" * 256, True),
        (_deep(100_000), "<list>", True),
        (_Hostile(), "<_Hostile>", True),
        (np.zeros(10**7), None, True),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_any_seed_and_data_can_be_saved(project: Path, value: object, kept: object, warned: bool) -> None:
    archive = archiver.open(str(project / "archive"))
    rows = [{"strategy_name": "s", "sharpe_ratio": 1.0}]
    saved = archive.save_universe_results("u", rows, code="a.py", seed=value, data=value)
    told = archive.code(saved.id)
    assert [file.path for file in told.files] == ["a.py"]
    assert (told.provenance["seed"], told.provenance["data"]) == (kept, kept)
    assert any("seed is" in text for text in told.warnings) is warned


def test_failure_keeps_what_else_is_known(project: Path) -> None:
    write(
        project,
        {"strategy.yaml": "files: a.py\n", "run.py": show("seed=7, data='ab'"), ".git/HEAD": "1" * 40},
    )
    shown = run("run.py", "--fast", cwd=project)
    assert (shown.code["how"], shown.files) == ("none", {})
    assert "files must be a list of paths" in shown.code["reason"]
    told = shown.code["provenance"]
    assert (told["seed"], told["data"], told["argv"]) == (7, "ab", ["run.py", "--fast"])
    assert (told["context"], told["entry"], told["git"]["commit"]) == ("script", "run.py", "1" * 40)
    assert shown.root == str(project)


def test_failure_of_everything_still_ends_in_a_record(project: Path) -> None:
    spoil = "import archiver.capture.PART as part\npart.NAME = None\n"
    for part, name, kept in (("frames", "walk", True), ("provenance", "argv", False)):
        write(project, {"run.py": spoil.replace("PART", part).replace("NAME", name) + show("seed=7")})
        shown = run("run.py", cwd=project)
        assert shown.code["reason"] == "TypeError: 'NoneType' object is not callable"
        assert ("seed" in shown.code["provenance"]) is kept


def test_many_threads_at_once(project: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: capture(["a.py", "lib"], seed=seed), range(64)))
    assert {tuple(names(one)) for one in found} == {("a.py", "lib/b.py", "lib/deep/c.sql")}
    assert [one.code.provenance["seed"] for one in found] == list(range(64))


def test_unchanged_files_are_not_read_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = 1_600_000_000
    for path in (project / "a.py", project / "lib/b.py"):
        os.utime(path, (old, old))
    first = capture(["a.py", "lib/b.py"])
    monkeypatch.setattr("archiver.capture.files._read", lambda _: pytest.fail("read again"))
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("git asked again"))
    again = capture(["a.py", "lib/b.py"])
    assert again.code == first.code
    assert again.blobs == first.blobs


def test_packages_are_listed_again_only_after_an_installation(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "lib/site-packages/one-1.0.dist-info/METADATA": "",
            "lib/site-packages/two_parts-2.0.post1.dist-info/METADATA": "",
            "lib/site-packages/from_git-3.0.dist-info/direct_url.json": '{"url": "https://me:pw@example.com/r.git", '
            '"vcs_info": {"vcs": "git", "commit_id": "abc"}}',
            "run.py": f"from pathlib import Path\ndef go():\n    {show()}\ngo()\n"
            "Path('lib/site-packages/new-1.dist-info').mkdir()\ngo()\n",
        },
    )
    found = run_all("run.py", cwd=tmp_path, PYTHONPATH=str(tmp_path / "lib/site-packages"))
    texts = [
        shown.blobs[text["sha256"]].decode().splitlines()
        for shown in found
        for text in shown.code["texts"]
        if text["path"] == "environment"
    ]
    assert {"one==1.0", "two-parts==2.0.post1", "from-git @ git+https://example.com/r.git@abc"} <= set(
        texts[0]
    )
    assert set(texts[1]) - set(texts[0]) == {"new==1"}
    assert f"# python: {sys.version.split()[0]}" in texts[0]


def test_arguments_that_are_secret(tmp_path: Path) -> None:
    write(tmp_path, {"run.py": show()})
    shown = run("run.py", "--token", "hush", "--window", "5", cwd=tmp_path)
    assert shown.code["provenance"]["argv"] == ["run.py", "--token", "***", "--window", "5"]


def test_git_that_hangs_is_given_up(tmp_path: Path) -> None:
    write(tmp_path, {"bin/git": "#!/bin/sh\nexec sleep 60\n", "proj/.git/HEAD": "ref: refs/heads/main\n"})
    (tmp_path / "bin/git").chmod(0o755)
    write(tmp_path / "proj", {"run.py": f"import archiver.capture.git as g\ng._PATIENCE = 0.05\n{show()}"})
    shown = run("run.py", cwd=tmp_path / "proj", PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert list(shown.files) == ["run.py"]
    assert any("git did not answer within" in text for text in shown.code["warnings"])


def test_empty_path_is_not_the_working_folder(project: Path) -> None:
    with pytest.warns(UserWarning, match="code names an empty path"):
        found = capture("")
    assert (names(found), found.code.reason) == (
        [],
        "code names an empty path: give a file, a folder or a pattern",
    )


def test_absolute_pattern(project: Path, tmp_path: Path) -> None:
    assert names(capture(str(tmp_path / "lib" / "**" / "*.sql"))) == ["deep/c.sql"]
