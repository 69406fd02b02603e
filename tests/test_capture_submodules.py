"""Submodules of git: each work tree has changes of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.captured import environment, run, write
from tests.test_capture_git import diff_of, git
from tests.test_capture_git import project as project


def _with_nested_submodules(project: Path) -> None:
    """Make a_sub, which has a submodule in/ner of its own, and `other`."""
    for name, files in (
        ("leaf", {"leaf.py": "X = 1\n"}),
        ("lib", {"lib.py": "Y = 1\n", "moved.py": "M = 1\n" * 9}),
    ):
        folder = write(project.parent / name, files)
        git(folder, "init", "-q")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", name)
    add = ("-c", "protocol.file.allow=always", "submodule", "add", "-q")
    git(project.parent / "lib", *add, str(project.parent / "leaf"), "in/ner")
    git(project.parent / "lib", "commit", "-qm", "leaf")
    for name in ("a sub", "other"):
        git(project, *add, str(project.parent / "lib"), name)
    git(project, "commit", "-qm", "subs")
    git(project, "-c", "protocol.file.allow=always", "submodule", "update", "-q", "--init", "--recursive")


def test_edits_in_submodules_are_dirty_and_in_the_diff(project: Path) -> None:
    _with_nested_submodules(project)
    assert run("run.py", cwd=project).code["provenance"]["git"]["dirty"] is False
    (project / "a sub/moved.py").rename(project / "a sub/new_name.py")
    git(project / "a sub", "add", "-A")
    changed = {
        "notes.txt": "two\n",
        "a sub/in/ner/leaf.py": "X = 2\n",
        "other/lib.py": "Y = 2\n",
        "z_last.txt": "",
    }
    write(project, changed)
    write(project, {"other/.env": "", "other/lib.pem": ""})
    shown = run("run.py", cwd=project)
    assert shown.code["provenance"]["git"]["dirty"] is True
    assert [text for text in shown.code.get("warnings", []) if "submodule" in text] == [
        "other, a git submodule: not tracked: .env, lib.pem"
    ]
    diff = diff_of(shown)
    assert "Subproject" not in diff
    clone = project.parent / "clone"
    git(
        project.parent,
        "-c",
        "protocol.file.allow=always",
        "clone",
        "-q",
        "--recurse-submodules",
        str(project),
        str(clone),
    )
    (project.parent / "diff").write_text(diff)
    git(clone, "apply", "../diff")
    for name in ("notes.txt", "a sub/in/ner/leaf.py", "other/lib.py", "a sub/new_name.py"):
        assert (clone / name).read_text() == (project / name).read_text()
    assert not (clone / "a sub/moved.py").exists()


def test_a_new_commit_of_a_submodule_with_edits_is_told_with_both(project: Path) -> None:
    _with_nested_submodules(project)
    write(project, {"other/lib.py": "Y = 3\n"})
    git(project / "other", "commit", "-qam", "third")
    write(project, {"other/lib.py": "Y = 4\n"})
    diff = diff_of(run("run.py", cwd=project))
    commit = git(project / "other", "rev-parse", "HEAD")
    assert f"\n+Subproject commit {commit}\n" in diff
    assert "--- a/other/lib.py\n+++ b/other/lib.py\n@@ -1 +1 @@\n-Y = 3\n+Y = 4\n" in diff


def test_a_submodule_that_is_only_untracked_in_is_named(project: Path) -> None:
    _with_nested_submodules(project)
    write(project, {"a sub/in/ner/new.py": "N = 1\n"})
    shown = run("run.py", cwd=project)
    assert shown.code["provenance"]["git"]["dirty"] is True
    assert "a sub/in/ner, a git submodule: not tracked: new.py" in "".join(shown.code["warnings"])


def test_an_edit_in_a_submodule_during_a_session_is_noticed(project: Path) -> None:
    _with_nested_submodules(project)
    program = (
        "from archiver.capture import capture, provenance\nfrom pathlib import Path\n"
        "provenance._LOOK = 0.0\nfirst = capture().code.provenance['git']['dirty']\n"
        "Path('other/lib.py').write_text('Y = 5\\n')\n"
        "second = capture().code.provenance['git']['dirty']\nprint(first, second)\n"
    )
    write(project, {"run.py": program})
    git(project, "commit", "-qam", "program")
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=project, env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "False True\n"


def test_a_credential_in_a_submodule_stays_out_of_the_diff(project: Path) -> None:
    _with_nested_submodules(project)
    write(project, {"other/lib.py": "KEY = 'AKIA" + "ABCDEFGHIJKLMNOP'\n"})
    diff = diff_of(run("run.py", cwd=project))
    assert "AKIA" not in diff
    assert "# left out: it may hold a credential: a/other/lib.py b/other/lib.py" in diff
