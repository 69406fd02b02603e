"""Captured code comes back exactly, or not at all."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from archiver.errors import ConfigError, IntegrityError, NotFoundError
from archiver.format import layout
from archiver.format.model import Code, CodeFile
from archiver.runs.snapshot import Snapshot
from archiver.store import Store, open_store

CONTENTS = {
    "run.py": b"print('x')\n",
    "lib/a b.py": "größe = 1\r\n".encode(),
    "bin/go.sh": b"#!/bin/sh\n",
    "empty.txt": b"",
    "logo.png": bytes(range(256)),
    "no-newline.py": b"x = 1",
}
ENVIRONMENT = b"# python: 3.11.7\n# platform: Linux\n# root: /home/me: there\nnumpy==1.26\npandas==2.2\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "archive"))


def keep(
    store: Store, contents: dict[str, bytes], *, environment: bytes = ENVIRONMENT, **more: Any
) -> Snapshot:
    files = []
    for name, data in contents.items():
        files.append(CodeFile(name, len(data), hashlib.sha256(data).hexdigest(), name.endswith(".sh")))
        store.put(layout.code_key(files[-1].sha256), zstandard.compress(data))
    sha256 = hashlib.sha256(environment).hexdigest()
    store.put(layout.code_key(sha256), zstandard.compress(environment))
    texts = (CodeFile("environment", len(environment), sha256),)
    params = more.pop("params", None)
    provenance = more.pop("provenance", {"context": "script"})
    return Snapshot(store, Code("entry", tuple(files), texts, provenance, **more), params)


def test_read(store: Store) -> None:
    code = keep(store, CONTENTS)
    assert {file.path: code.read(file.path) for file in code.files} == CONTENTS
    with pytest.raises(NotFoundError, match=r"other\.py is not among the captured files"):
        code.read("other.py")


def test_plain_tools_prove_an_object(store: Store) -> None:
    code = keep(store, CONTENTS)
    assert store.local is not None
    for file in code.files:
        path = store.local / layout.code_key(file.sha256)
        plain = subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout
        assert hashlib.sha256(plain).hexdigest() == file.sha256 == path.stem


def test_restore(store: Store, tmp_path: Path) -> None:
    written = keep(store, CONTENTS).restore(tmp_path / "new/folder")
    found = {path.relative_to(tmp_path / "new/folder").as_posix(): path.read_bytes() for path in written}
    assert found == CONTENTS
    modes = {path.name: bool(path.stat().st_mode & stat.S_IXUSR) for path in written}
    assert [name for name, executable in modes.items() if executable] == ["go.sh"]


def test_restore_into_an_empty_folder_only(store: Store, tmp_path: Path) -> None:
    code = keep(store, CONTENTS)
    (tmp_path / "empty").mkdir()
    assert code.restore(tmp_path / "empty")
    before = sorted((tmp_path / "empty").rglob("*"))
    with pytest.raises(ConfigError, match="is not empty"):
        code.restore(tmp_path / "empty")
    assert sorted((tmp_path / "empty").rglob("*")) == before
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="is no folder"):
        code.restore(tmp_path / "link")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is no folder"):
        code.restore(tmp_path / "file")


@pytest.mark.parametrize("name", ["../out.py", "/etc/out.py", "a/../../out.py", "a/..", "", "a\0b", ".."])
def test_restore_refuses_paths_that_leave_the_folder(store: Store, tmp_path: Path, name: str) -> None:
    code = keep(store, {"good.py": b"", name: b"evil"})
    with pytest.raises(IntegrityError, match="which leaves"):
        code.restore(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_restore_of_paths_that_collide(store: Store, tmp_path: Path) -> None:
    code = keep(store, {"a": b"1", "a/b": b"2"})
    with pytest.raises(IntegrityError, match="as file and as folder"):
        code.restore(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["flip", "truncate", "other", "larger", "gone", "bomb"])
def test_damage_is_never_other_code(store: Store, tmp_path: Path, damage: str) -> None:
    code = keep(store, CONTENTS)
    key = layout.code_key(hashlib.sha256(CONTENTS["run.py"]).hexdigest())
    stored = store.get(key)
    if damage == "gone":
        store.delete([key])
    else:
        store.put(
            key,
            {
                "flip": stored[:-2] + bytes([stored[-2] ^ 1]) + stored[-1:],
                "truncate": stored[:-3],
                "other": zstandard.compress(b"print('y')\n"),
                "larger": zstandard.compress(CONTENTS["run.py"] + b"#"),
                "bomb": zstandard.compress(bytes(2**26)),
            }[damage],
        )
    with pytest.raises(IntegrityError, match=r"run\.py\) is"):
        code.read("run.py")
    with pytest.raises(IntegrityError):
        code.restore(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_provenance_joins_the_record_and_the_environment(store: Store) -> None:
    code = keep(store, CONTENTS, provenance={"context": "script", "seed": 7})
    expected = {
        "context": "script",
        "seed": 7,
        "python": "3.11.7",
        "platform": "Linux",
        "root": "/home/me: there",
    }
    assert code.provenance == expected
    assert code.requirements() == "numpy==1.26\npandas==2.2\n"


def test_without_code(store: Store, tmp_path: Path) -> None:
    for code in (Snapshot(store, None), Snapshot(store, Code("none", reason="switched off"))):
        assert (code.how, code.files, code.warnings, code.requirements()) == ("none", (), (), "")
        with pytest.raises(NotFoundError, match="not captured"):
            code.restore(tmp_path / "out")


def test_diff_of_files(store: Store, tmp_path: Path) -> None:
    new = {
        **CONTENTS,
        "run.py": b"print('z')\nmore = 1\n",
        "no-newline.py": b"x = 2",
        "logo.png": b"\xff\xfe",
        "new.py": b"n\n",
    }
    del new["lib/a b.py"]
    old, young = keep(store, CONTENTS), keep(store, new)
    assert old.diff(keep(store, CONTENTS)) == ""
    text = old.diff(young)
    assert "--- a/run.py\n+++ b/run.py\n@@ -1 +1,2 @@\n-print('x')\n+print('z')\n+more = 1\n" in text
    assert "--- a/lib/a b.py\n+++ /dev/null\n" in text
    assert "--- /dev/null\n+++ b/new.py\n" in text
    assert "-x = 1\n\\ No newline at end of file\n+x = 2\n\\ No newline at end of file\n" in text
    assert "Binary files a/logo.png and b/logo.png differ\n" in text
    old.restore(tmp_path / "tree")
    patch = "".join(part for part in text.splitlines(keepends=True) if not part.startswith("Binary"))
    subprocess.run(["git", "apply", "-"], input=patch.encode(), cwd=tmp_path / "tree", check=True)
    assert (tmp_path / "tree/run.py").read_bytes() == new["run.py"]
    assert (tmp_path / "tree/no-newline.py").read_bytes() == new["no-newline.py"]
    assert not (tmp_path / "tree/lib/a b.py").exists()


def test_diff_of_packages_params_and_provenance(store: Store) -> None:
    old = keep(store, CONTENTS, params='{"window":5}', provenance={"git": {"commit": "a"}})
    new = keep(
        store,
        CONTENTS,
        environment=ENVIRONMENT.replace(b"2.2", b"2.3"),
        params='{"window":6}',
        provenance={"git": {"commit": "b"}},
    )
    text = old.diff(new)
    assert '-  "window": 5\n+  "window": 6\n' in text
    assert "-pandas==2.2\n+pandas==2.3\n" in text
    assert '-    "commit": "a"\n+    "commit": "b"\n' in text


def test_diff_tells_of_uncommitted_changes_elsewhere(store: Store) -> None:
    old = keep(store, CONTENTS)
    patch = CodeFile("diff", 5, hashlib.sha256(b"patch").hexdigest())
    store.put(layout.code_key(patch.sha256), zstandard.compress(b"patch"))
    new = Snapshot(store, replace(old._code, texts=(*old._code.texts, patch)))
    assert (
        old.diff(new) == "changes of tracked files that were not committed differ: read `diff` of both runs\n"
    )
    assert new.read("diff") == b"patch"
    assert new.git_diff() == "patch"


def test_diff_of_the_executable_bit(store: Store) -> None:
    old = keep(store, {"go.py": b"1"})
    file = replace(old.files[0], executable=True)
    assert old.diff(Snapshot(store, replace(old._code, files=(file,)))) == "mode of go.py: 644 -> 755\n"


def test_restored_files_follow_the_umask(store: Store, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        written = keep(store, {"go.sh": b"1", "a.py": b"2"}).restore(tmp_path / "out")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in written] == [0o700, 0o600]


def test_code_is_shown_where_its_environment_is_gone(store: Store) -> None:
    code = keep(store, CONTENTS)
    other = keep(store, CONTENTS, environment=ENVIRONMENT + b"scipy==1.0\n")
    again = keep(store, {**CONTENTS, "run.py": b"print('y')\n"})
    store.delete([layout.code_key(hashlib.sha256(ENVIRONMENT).hexdigest())])
    assert code.provenance["context"] == "script"
    assert "(environment) is gone" in code.provenance["environment"]
    assert "+print('y')" in code.diff(again)
    with pytest.raises(IntegrityError, match="is gone"):
        code.diff(other)


@pytest.mark.parametrize(
    "name",
    [
        *(
            ".git/hooks/post-checkout",
            ".GIT/config",
            "sub/.Git/hooks/x",
            ".git",
            "a/.git",
            ".git /config",
            ".git./x",
        ),
        *(
            "git~1/hooks/x",
            "GIT~1",
            ".git::$INDEX_ALLOCATION/x",
            ".git:x",
            ".g\u200cit/config",
            "\ufeff.git/x",
        ),
        *("a\\.git\\hooks\\x", ".git ./hooks/x", ".git\\config"),
    ],
)
def test_restore_never_writes_into_a_repository(store: Store, tmp_path: Path, name: str) -> None:
    code = keep(store, {"good.py": b"", name: b"evil"})
    with pytest.raises(
        IntegrityError, match="which git would take for its own and run: nothing was restored"
    ):
        code.restore(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name", [".gitignore", ".github/ci.yml", "a.git", "git/x", "legit~1.py", ".gitattributes"]
)
def test_restore_writes_what_is_only_called_alike(store: Store, tmp_path: Path, name: str) -> None:
    keep(store, {name: b"x"}).restore(tmp_path / "out")
    assert (tmp_path / "out" / name).read_bytes() == b"x"


def test_restore_makes_no_repository_without_that_name(store: Store, tmp_path: Path) -> None:
    code = keep(
        store,
        {"in/HEAD": b"ref: refs/heads/x", "in/objects/a": b"", "in/refs/heads/x": b"", "in/config": b""},
    )
    with pytest.raises(IntegrityError, match="is a repository of git's"):
        code.restore(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", [".git", ".git/hooks", "x/.GIT/y"])
def test_restore_into_a_repository_is_refused(store: Store, tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    with pytest.raises(ConfigError, match="is git's own"):
        keep(store, {"post-checkout": b"evil"}).restore(tmp_path / place)
    assert not any((tmp_path / place).iterdir())
