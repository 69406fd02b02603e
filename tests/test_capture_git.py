"""What git tells of a project, asked rarely and without trusting it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


COUNTED = (
    "import json, subprocess, time\nfrom archiver.capture import capture, provenance\n"
    "calls = []\nstart = subprocess.Popen.__init__\n"
    "def counted(self, words, *a, **k):\n    calls.append(words)\n    start(self, words, *a, **k)\n"
    "subprocess.Popen.__init__ = counted\n"
)


def git_calls(project: Path, files: dict[str, str]) -> list[list[str]]:
    """Commit files, run run.py, which counts what it starts, and return the words of each process."""
    program = f"{COUNTED}{files['run.py']}print(json.dumps(calls))\n"
    write(project, {**files, "run.py": program})
    git(project, "add", ".")
    git(project, "commit", "-qm", "counts")
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=project, env=environment(), capture_output=True, text=True, check=True
    )
    found: list[list[str]] = json.loads(done.stdout)
    return found


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
    assert DIFF_LIMIT - 20 < len(diff_of(shown)) <= DIFF_LIMIT
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


def test_diff_of_a_secret_file_that_was_moved(project: Path) -> None:
    write(project, {".env": "A=one\nB=two\nC=three\nPLAIN=hidden\n", "z.txt": "old\n"})
    git(project, "add", "-f", ".")
    git(project, "commit", "-qm", "second")
    git(project, "config", "diff.renames", "false")
    git(project, "mv", ".env", "settings.txt")
    write(project, {"settings.txt": "A=one\nB=two\nC=three\nPLAIN=hidden\nD=pw\n", "z.txt": "new\n"})
    diff = diff_of(run("run.py", cwd=project))
    assert "hidden" not in diff
    assert "D=pw" not in diff
    git(project, "checkout", "-qf", "HEAD", "--", "z.txt")
    (project.parent / "saved.patch").write_text(diff)
    git(project, "apply", "../saved.patch")
    assert (project / "z.txt").read_text() == "new\n"


@pytest.mark.parametrize("listed", ["", "files: [scratch/run.py]\n", "files: ['scratch/*.py']\n"])
def test_ignored_files_only_by_name(project: Path, listed: str) -> None:
    write(project, {"scratch/run.py": show(), **({"strategy.yaml": listed} if listed else {})})
    shown = run("scratch/run.py", cwd=project)
    kept = "scratch/run.py" in shown.files
    assert kept is ("run.py]" in listed)
    if not kept:
        said = [shown.code["reason"] or "", *shown.code["warnings"]]
        assert any("scratch/run.py is ignored by git" in text for text in said)


def _with_submodule(project: Path) -> None:
    lib = write(
        project.parent / "lib",
        {"helpful.py": "", ".gitignore": "keys.py\n", "z.py": ""},
    )
    git(lib, "init", "-q")
    git(lib, "add", ".")
    git(lib, "commit", "-qm", "lib")
    git(project, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(lib), "a_sub")
    git(project, "commit", "-qm", "sub")
    write(project, {"a_sub/keys.py": "K = 1\n", "scratch/own.py": "S = 1\n", "z.log": ""})


@pytest.mark.parametrize("listed", ["files: ['**/*.py', '*.log']\n", ""])
def test_submodules_judge_their_own_files(project: Path, listed: str) -> None:
    _with_submodule(project)
    loads = "import sys; sys.path += ['a_sub', 'scratch']; import helpful, keys, own, z\n"
    write(project, {"run.py": loads + show("configured='imports'"), "strategy.yaml": listed})
    shown = run("run.py", cwd=project)
    assert set(shown.files) - {"strategy.yaml"} == {"a_sub/helpful.py", "a_sub/z.py", "run.py"}
    for name in ("a_sub/keys.py", "scratch/own.py"):
        assert any(f"{name} is ignored by git" in text for text in shown.code["warnings"])


def test_a_clone_that_the_project_ignores(project: Path) -> None:
    write(project, {"scratch/clone/own.py": ""})
    git(project / "scratch/clone", "init", "-q")
    write(project, {"strategy.yaml": "files: [run.py, 'scratch/**/*.py']\n"})
    assert sorted(run("run.py", cwd=project).files) == ["run.py", "strategy.yaml"]


@pytest.mark.parametrize("broken", ["missing", "fails", "hangs"])
def test_where_git_cannot_tell_only_what_ran_is_kept(project: Path, tmp_path: Path, broken: str) -> None:
    patience = 0.05 if broken == "hangs" else 5
    loads = f"import sys; sys.path.append('scratch'); import archiver.capture.git as g; g._PATIENCE = {patience}\n"
    write(
        project,
        {
            "scratch/keys.py": "", "near.py": f"def go():\n    {show(repr('imports'))}\n", "listed.py": "",
            "run.py": f"{loads}import keys, near, listed\nnear.go()\n",
        },
    )  # fmt: skip
    text = {"missing": "", "fails": "#!/bin/sh\nexit 128\n", "hangs": "#!/bin/sh\nexec sleep 60\n"}[broken]
    write(tmp_path / "bin", {"git": text} if text else {"none": ""})
    for tool in (tmp_path / "bin").iterdir():
        tool.chmod(0o755)
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin" if text else str(tmp_path / "bin")
    shown = run("run.py", cwd=project, PATH=path)
    assert sorted(shown.files) == ["near.py", "run.py"]
    assert any(
        "so these are not kept: listed.py, scratch/keys.py: list in strategy.yaml" in text
        for text in shown.code["warnings"]
    )


def test_a_git_that_failed_is_asked_again(project: Path, tmp_path: Path) -> None:
    write(project, {"scratch/keys.py": "", "lib.py": ""})
    loads = (
        "import os, sys; sys.path.append('scratch'); import keys, lib\n"
        "import archiver.capture.provenance as p; p._GIVEN_UP = 0\n"
    )
    lines = f"def go():\n    {show(repr('imports'))}\ngo()\nos.environ['PATH'] = '/usr/bin:/bin'\ngo()\n"
    write(project, {"run.py": loads + lines})
    (tmp_path / "empty").mkdir()
    found = run_all("run.py", cwd=project, PATH=str(tmp_path / "empty"))
    assert [sorted(shown.files) for shown in found] == [["run.py"], ["lib.py", "run.py"]]


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


def test_diff_with_a_binary_file_still_applies(project: Path, tmp_path: Path) -> None:
    (project / "a.bin").write_bytes(b"\0\1\2")
    git(project, "add", ".")
    git(project, "commit", "-qm", "binary")
    (project / "a.bin").write_bytes(b"\0\3\4")
    (project / "notes.txt").write_text("two\n")
    diff = diff_of(run("run.py", cwd=project))
    assert "# left out: it is binary: a/a.bin b/a.bin" in diff
    git(tmp_path, "clone", "-q", str(project), "clone")
    (tmp_path / "changes").write_text(diff)
    git(tmp_path / "clone", "apply", str(tmp_path / "changes"))
    assert (tmp_path / "clone" / "notes.txt").read_text() == "two\n"


def test_change_of_a_tracked_file_is_seen_later_in_the_process(project: Path) -> None:
    script = (
        "from pathlib import Path\nfrom archiver.capture import provenance\nprovenance._LOOK = 0.0\n"
        f"import time\n{show()}\ntime.sleep(0.1)\n{show()}\ntime.sleep(0.1)\nPath('notes.txt').write_text('two')\n{show()}\ntime.sleep(0.1)\n"
        f"Path('notes.txt').write_text('one' + chr(10))\n{show()}\ntime.sleep(0.1)\nPath('notes.txt').unlink()\n{show()}\n"
    )
    (project / "run.py").write_text(script)
    git(project, "commit", "-qam", "looks")
    seen = [shown.code["provenance"]["git"]["dirty"] for shown in run_all("run.py", cwd=project)]
    assert seen == [False, False, True, False, True]


def test_git_is_not_asked_while_tracked_files_stay(project: Path) -> None:
    again = (
        "provenance._LOOK = 0.0\nfor _ in range(50):\n    capture(configured='auto')\n    time.sleep(0.004)\n"
    )
    calls = git_calls(project, {"run.py": again})
    # Compare, ignored names, tracked names; once more where the commit was within the clock's tick.
    assert 3 <= len(calls) <= 5


def test_what_is_whole_of_a_cut_diff_applies(project: Path, tmp_path: Path) -> None:
    lines = [f"line {at} with something to change" for at in range(60_000)]
    write(project, {"long.txt": "\n".join([*lines, ""])})
    git(project, "add", ".")
    git(project, "commit", "-qm", "long")
    write(
        project,
        {"long.txt": "\n".join([line if at % 2 else line.upper() for at, line in enumerate(lines)] + [""])},
    )
    (project / "a.txt").write_text("first\n")
    git(project, "add", "-N", "a.txt")
    diff = diff_of(run("run.py", cwd=project))
    assert "\n# cut: what follows is not complete\n" in diff
    git(tmp_path, "clone", "-q", str(project), "clone")
    (tmp_path / "changes").write_text(diff)
    git(tmp_path / "clone", "apply", str(tmp_path / "changes"))
    assert (tmp_path / "clone" / "a.txt").read_text() == "first\n"


def test_credentials_in_lines_that_were_added_are_left_out_of_the_diff(project: Path) -> None:
    key = "vmPUZE6mv9SD5" + "VNHk4HlWFsOr6aKE2zvs"
    body = "".join(f"{'Ab1' * 10}{at:02}{'xYz' * 11}\n" for at in range(20))
    write(project, {"config.yaml": "host: x\n", "deploy.txt": f"head\n{body}tail\n", "plain.txt": "1\n"})
    git(project, "add", ".")
    git(project, "commit", "-qm", "files")
    write(project, {"config.yaml": f"host: x\napi_token: {key}\n", "plain.txt": "2\n"})
    write(project, {"deploy.txt": f"head\n{body.replace('Ab110', 'Ab1ZZ')}tail\n"})
    diff = diff_of(run("run.py", cwd=project))
    assert "+2\n" in diff
    assert key not in diff
    assert "Ab1Ab1" not in diff
    assert diff.count("# left out: it may hold a credential: ") == 2


def test_repository_at_home_is_not_the_projects(tmp_path: Path) -> None:
    write(
        tmp_path, {".gitignore": "*\n", ".bashrc": "alias a=b\n", "p/run.py": show(), "p/pyproject.toml": ""}
    )
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-f", ".bashrc")
    git(tmp_path, "commit", "-qm", "dots")
    shown = run("run.py", cwd=tmp_path / "p", HOME=str(tmp_path))
    assert list(shown.files) == ["run.py"]
    assert "git" not in shown.code["provenance"]


def test_git_is_not_asked_again_for_files_that_take_turns(project: Path) -> None:
    turns = "time.sleep(0.1)\nfor _ in range(5):\n    for at in range(6):\n        capture([f's{at}.py'])\n"
    calls = git_calls(project, {"run.py": turns, **{f"s{at}.py": f"X = {at}\n" for at in range(6)}})
    assert sum("diff" in words for words in calls) == 1


def test_rules_of_a_folder_that_come_later_count(project: Path) -> None:
    script = (
        f"import sys, pathlib\nsys.path.insert(0, 'priv')\nimport secretalgo\n{show(repr('imports'))}\n"
        f"pathlib.Path('priv/.gitignore').write_text('*.py')\n{show(repr('imports'))}\n"
    )
    write(project, {"run.py": script, "priv/secretalgo.py": ""})
    before, after = run_all("run.py", cwd=project)
    assert list(before.files) == ["priv/secretalgo.py", "run.py"]
    assert list(after.files) == ["run.py"]


def test_rules_of_the_users_own_configuration_count(project: Path, tmp_path: Path) -> None:
    write(tmp_path, {"cfg": f"[core]\nexcludesFile={tmp_path}/ign\n", "ign": "private_*\n"})
    write(project, {"private_notes.py": "", "run.py": show("'*.py'")})
    shown = run("run.py", cwd=project, GIT_CONFIG_GLOBAL=str(tmp_path / "cfg"))
    assert list(shown.files) == ["run.py"]


def test_git_that_is_a_script_and_hangs_is_ended(project: Path, tmp_path: Path) -> None:
    write(tmp_path / "bin", {"git": f"#!/bin/sh\nsleep 600\necho $? > {tmp_path}/ended\n"})
    (tmp_path / "bin/git").chmod(0o755)
    script = f"from archiver.capture import git\ngit._PATIENCE = 0.05\n{show()}"
    write(project, {"run.py": script})
    shown = run("run.py", cwd=project, PATH=f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert shown.code["provenance"]["git"]["dirty"] is None
    assert not (tmp_path / "ended").exists()


@pytest.mark.parametrize("cause", ["no git", "another owner", "no repository"])
def test_the_cause_comes_before_what_it_leads_to(project: Path, cause: str) -> None:
    """Where git cannot tell what it ignores, the first warning says why, and a strict capture fails with that."""
    write(project, {"helper.py": "", "run.py": "import helper\n" + show("configured='imports'")})
    env = {"GIT_CONFIG_GLOBAL": os.devnull}
    if cause == "no git":
        env["PATH"] = str(project / "nothing")
        said = "git could not be started (No such file or directory)"
    elif cause == "another owner":
        env["GIT_TEST_ASSUME_DIFFERENT_OWNER"] = "1"
        said = (
            "git could not tell which files it ignores: detected dubious ownership in repository at"
            f" '{project}' (`git config --global --add safe.directory {project}` trusts it)"
        )
    else:
        (project / ".git/HEAD").unlink()
        said = "git could not tell which files it ignores: not a git repository"
    shown = run("run.py", cwd=project, **env)
    assert sorted(shown.files) == ["run.py"]
    assert shown.code["warnings"][0].startswith(said)
    assert "so these are not kept: helper.py" in shown.code["warnings"][0]
    write(project, {"run.py": "import helper\n" + show("configured='imports', strict=True")})
    failed = subprocess.run(
        [sys.executable, "run.py"],
        cwd=project,
        env=environment(**env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"CaptureError: code is not captured as strict asks: {said}" in failed.stderr
