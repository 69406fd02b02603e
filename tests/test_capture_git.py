"""What git tells of a project, asked rarely and without trusting it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from archiver.capture.git import DIFF_LIMIT, head, repo_of
from tests.captured import Shown, environment, run, run_all, show, write


def git(folder: Path, *words: str) -> str:
    env = environment(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_SYSTEM=os.devnull)
    config = [
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.com",
        "-c",
        "init.defaultBranch=main",
        "-c",
        "commit.gpgsign=false",
    ]
    done = subprocess.run(
        ["git", *config, *words], cwd=folder, env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = write(
        tmp_path / "proj", {"run.py": show(), "notes.txt": "one\n", ".gitignore": "scratch/\n*.log\n"}
    )
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def diff_of(shown: Shown) -> str:
    texts = {text["path"]: shown.blobs[text["sha256"]] for text in shown.code["texts"]}
    return texts.get("diff", b"").decode()


def test_clean(project: Path) -> None:
    shown = run("run.py", cwd=project)
    assert shown.code["provenance"]["git"] == {
        "commit": git(project, "rev-parse", "HEAD"),
        "branch": "main",
        "dirty": False,
    }
    assert diff_of(shown) == ""


def test_dirty_and_the_diff_applies(project: Path) -> None:
    (project / "notes.txt").write_text("two\n")
    (project / "untracked.txt").write_text("new\n")
    shown = run("run.py", cwd=project)
    assert shown.code["provenance"]["git"]["dirty"] is True
    diff = diff_of(shown)
    assert "-one\n+two\n" in diff
    assert "untracked" not in diff
    git(project, "checkout", "-q", "--", ".")
    (project.parent / "saved.patch").write_text(diff)
    git(project, "apply", "../saved.patch")
    assert (project / "notes.txt").read_text() == "two\n"


def test_settings_of_the_user_do_not_change_the_diff(project: Path) -> None:
    for name, value in {
        "diff.noprefix": "true",
        "color.ui": "always",
        "diff.external": "/bin/false",
        "core.pager": "false",
    }.items():
        git(project, "config", name, value)
    (project / "notes.txt").write_text("two\n")
    assert diff_of(run("run.py", cwd=project)).startswith("diff --git a/notes.txt b/notes.txt\n")


def test_diff_is_cut(project: Path) -> None:
    (project / "notes.txt").write_text("0123456789abcde\n" * 200_000)
    shown = run("run.py", cwd=project)
    assert len(diff_of(shown)) == DIFF_LIMIT
    assert shown.code["provenance"]["git"]["diff_cut"] is True
    assert "the diff of tracked files is cut at 1,048,576 bytes" in shown.code["warnings"]


def test_diff_holds_no_secrets(project: Path) -> None:
    write(project, {"conf.py": "X = 1\n", ".env": "A=1\n", "z.txt": "old\n"})
    git(project, "add", "-f", ".")
    git(project, "commit", "-qm", "second")
    key = "AKIA" + "IOSFODNN7" + "EXAMPLE"
    write(project, {"conf.py": f"X = '{key}'\n", ".env": "A=hidden\n", "z.txt": "new\n"})
    diff = diff_of(run("run.py", cwd=project))
    assert key not in diff
    assert "hidden" not in diff
    assert "+new\n" in diff
    assert diff.count("# left out: it may hold a credential") == 2


@pytest.mark.parametrize("listed", ["", "files: [scratch/run.py]\n", "files: ['scratch/*.py']\n"])
def test_ignored_files_only_by_name(project: Path, listed: str) -> None:
    write(project, {"scratch/run.py": show(), **({"strategy.yaml": listed} if listed else {})})
    shown = run("scratch/run.py", cwd=project)
    kept = "scratch/run.py" in shown.files
    assert kept is ("run.py]" in listed)
    if not kept:
        said = [shown.code["reason"] or "", *shown.code["warnings"]]
        assert any("scratch/run.py is ignored by git" in text for text in said)


def test_ignored_files_behind_links(project: Path) -> None:
    write(
        project,
        {"scratch/a.py": "", "lib/b.py": "", "strategy.yaml": "files: ['*.py', 'linked/*.py', 'lib/*.py']\n"},
    )
    (project / "linked").symlink_to("lib")
    (project / "alias.py").symlink_to("scratch/a.py")
    shown = run("run.py", cwd=project)
    assert sorted(shown.files) == ["lib/b.py", "run.py", "strategy.yaml"]
    assert [text for text in shown.code["warnings"] if "could not tell" in text] == []
    assert any("alias.py is ignored by git" in text for text in shown.code["warnings"])


def test_before_the_first_commit(tmp_path: Path) -> None:
    git(write(tmp_path, {"run.py": show()}), "init", "-q", ".")
    assert run("run.py", cwd=tmp_path).code["provenance"]["git"] == {
        "commit": None,
        "branch": "main",
        "dirty": True,
    }


def test_detached_packed_and_linked(project: Path) -> None:
    commit = git(project, "rev-parse", "HEAD")
    git(project, "pack-refs", "--all")
    assert head(repo_of(project)) == (commit, "main")  # type: ignore[arg-type]
    git(project, "worktree", "add", "-q", "-b", "side/branch", "../linked")
    linked = run("run.py", cwd=project.parent / "linked")
    assert linked.code["provenance"]["git"] == {"commit": commit, "branch": "side/branch", "dirty": False}
    git(project, "checkout", "-q", "--detach")
    assert run("run.py", cwd=project).code["provenance"]["git"] == {
        "commit": commit,
        "branch": None,
        "dirty": False,
    }


def test_git_is_asked_once_per_state(project: Path, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    write(
        tmp_path,
        {
            "bin/git": f'#!/bin/sh\necho "$@" >> {log}\nexec /usr/bin/env -i PATH=/usr/bin:/bin HOME={tmp_path} git "$@"\n'
        },
    )
    (tmp_path / "bin/git").chmod(0o755)
    commit = "import subprocess; subprocess.run(['/usr/bin/env', 'git', '-c', 'user.name=t', '-c', 'user.email=t', 'commit', '-qam', 'x'])"
    write(
        project,
        {
            "run.py": f"import os, pathlib\ndef go():\n    {show('seed=1')}\n"
            "for _ in range(5):\n    go()\n"
            f"calls = pathlib.Path({str(log)!r})\nprint('CALLS', len(calls.read_text().splitlines()))\n"
            f"os.environ['PATH'] = '/usr/bin:/bin'\n{commit}\nos.environ['PATH'] = {str(tmp_path / 'bin')!r} + ':/usr/bin:/bin'\n"
            "for _ in range(5):\n    go()\n"
            "print('CALLS', len(calls.read_text().splitlines()))\n"
        },
    )
    found = run_all("run.py", cwd=project, PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert len(found) == 10
    assert (
        len(log.read_text().splitlines()) == 4
    )  # the diff and the ignored files, before and after the commit
    assert [shown.code["provenance"]["git"]["dirty"] for shown in found] == [True] * 5 + [False] * 5
    assert found[0].code["provenance"]["git"]["commit"] != found[-1].code["provenance"]["git"]["commit"]


def test_outer_git_variables_do_not_lead_astray(project: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", {"x": ""})
    git(other, "init", "-q")
    shown = run("run.py", cwd=project, GIT_DIR=str(other / ".git"), GIT_WORK_TREE=str(other))
    assert shown.code["provenance"]["git"]["commit"] == git(project, "rev-parse", "HEAD")
    assert shown.code["provenance"]["git"]["dirty"] is False


def test_without_git_installed(project: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    shown = run("run.py", cwd=project, PATH=str(tmp_path / "empty"))
    assert list(shown.files) == ["run.py"]
    assert shown.code["provenance"]["git"]["commit"] == git(project, "rev-parse", "HEAD")
    assert any("git could not be started" in text for text in shown.code["warnings"])


def test_damaged_repository_never_stops_a_backtest(project: Path) -> None:
    (project / ".git/HEAD").write_bytes(b"\xff\xfe nonsense")
    shown = run("run.py", cwd=project)
    assert list(shown.files) == ["run.py"]


def test_project_below_the_top_of_a_home_repository(tmp_path: Path) -> None:
    home = write(tmp_path, {"proj/run.py": show(), ".gitignore": "*.tmp\n"})
    git(home, "init", "-q")
    shown = run("proj/run.py", cwd=home, HOME=str(home))
    assert list(shown.files) == ["run.py"]
