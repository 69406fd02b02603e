"""From the chosen files to what a record says of a run's code, and the bytes behind it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archiver.capture import git, globs, provenance
from archiver.capture.choose import Choice
from archiver.capture.files import Kept, take, text
from archiver.capture.frames import Source
from archiver.capture.project import name_in
from archiver.capture.secrets import credential
from archiver.model import Code, CodeFile

RUN_LIMIT = 16 * 2**20
"""Bytes that all captured files of a run may have together."""
COUNT_LIMIT = 2000
_SAID = 20
"""Warnings that a record holds at most."""


def collect(choice: Choice, seed: Any, data: Any) -> tuple[Code, Mapping[str, bytes], list[str]]:
    """Read the chosen files and all that belongs to them.

    Returns what the record says, the bytes by sha256, and the problems that a strict capture fails for.
    """
    kept = _kept_files(choice)
    about, diff, ignored = _git(choice, kept)
    for name in ignored:
        source, _ = kept[name]
        if not source.named:
            del kept[name]
            note = f"{name} is ignored by git: list it in strategy.yaml if it must be kept"
            (choice.notes if choice.how == "listed" else choice.problems).append(note)
    files = [one for _, one in kept.values()]
    files += _made(choice, kept)
    notes = [*choice.problems, *choice.notes, *(one.note for one in files if one.note)]
    if diff is not None and diff.note:
        notes.append(diff.note)
    code, blobs = _with_texts(choice, files, diff, about)
    code.provenance.update(_given(seed, data, notes))
    how, reason = choice.how, None
    if not files:
        how, reason = "none", choice.reason or (choice.problems or choice.notes or ["nothing to capture"])[0]
        notes = [note for note in notes if note != reason]
    warnings = list(dict.fromkeys(notes))
    if len(warnings) > _SAID:
        warnings[_SAID:] = [f"and {len(warnings) - _SAID} more"]
    code = Code(how, code.files, code.texts, code.provenance, tuple(warnings), reason)
    return code, blobs, choice.problems


def _kept_files(choice: Choice) -> dict[str, tuple[Source, Kept]]:
    kept: dict[str, tuple[Source, Kept]] = {}
    size = left_out = 0
    for source in choice.sources:
        if choice.yaml is not None and _excluded(source.path, choice):
            continue
        one = take(source, choice.root)
        if one.file is None:
            quiet = choice.how == "listed" and not source.named and one.unwanted
            (choice.notes if quiet else choice.problems).append(one.refused or "")
            continue
        if one.file.path in kept:
            continue
        size += one.file.size
        if size > RUN_LIMIT or len(kept) >= COUNT_LIMIT:
            size -= one.file.size
            left_out += 1
            continue
        kept[one.file.path] = source, one
    if left_out:
        limits = f"{RUN_LIMIT:,} bytes or {COUNT_LIMIT:,} files"
        choice.problems.append(f"{left_out} files are left out: a run's code may have {limits}")
    return dict(sorted(kept.items()))


def _excluded(path: Path, choice: Choice) -> bool:
    yaml = choice.yaml
    if yaml is None or path == yaml.path or not yaml.exclude:
        return False
    name = name_in(yaml.path.parent, path)
    return name is not None and any(globs.matches(name, pattern) for pattern in yaml.exclude)


def _made(choice: Choice, kept: dict[str, tuple[Source, Kept]]) -> list[Kept]:
    out = []
    for name, data in choice.made:
        free = name
        while free in kept:
            free = f"_{free}"
        if what := credential(data):
            choice.problems.append(f"{name} may hold a credential ({what}): it is not kept")
        else:
            out.append(Kept(text(free, data), data))
    return out


def _git(
    choice: Choice, kept: dict[str, tuple[Source, Kept]]
) -> tuple[dict[str, Any] | None, git.Diff | None, list[str]]:
    repo = git.repo_of(choice.root)
    if repo is None:
        return None, None, []
    below = choice.root.relative_to(repo.top).as_posix()
    prefix = "" if below == "." else f"{below}/"
    contents = tuple(one.file.sha256 for _, one in kept.values() if one.file)
    about, diff, ignored = provenance.ask_git(repo, [prefix + name for name in kept], contents)
    return about, diff, [name for name in kept if prefix + name in ignored]


def _with_texts(
    choice: Choice, files: list[Kept], diff: git.Diff | None, about: dict[str, Any] | None
) -> tuple[Code, dict[str, bytes]]:
    blobs = {one.file.sha256: one.data for one in files if one.file}
    texts: list[CodeFile] = []
    for name, data in (
        ("environment", provenance.environment(choice.root)),
        ("diff", diff.text if diff else b""),
    ):
        if data:
            texts.append(text(name, data))
            blobs[texts[-1].sha256] = data
    entry = name_in(choice.root, choice.entry) if choice.entry else None
    said: dict[str, Any] = {
        "context": choice.context,
        "entry": entry,
        "git": about,
        "argv": provenance.argv(),
    }
    return (
        Code(
            choice.how,
            tuple(one.file for one in files if one.file),
            tuple(texts),
            {key: value for key, value in said.items() if value},
        ),
        blobs,
    )


def _given(seed: Any, data: Any, notes: list[str]) -> dict[str, Any]:
    out = {}
    for what, value in (("seed", seed), ("data", data)):
        if value is not None:
            out[what], note = provenance.given(value, what)
            if note:
                notes.append(note)
    return out


def without_code(reason: str, seed: Any, data: Any) -> Code:
    """Return what a record says where no code is captured."""
    notes: list[str] = []
    said = {"argv": provenance.argv(), **provenance.machine(), **_given(seed, data, notes)}
    return Code("none", provenance=said, warnings=tuple(notes), reason=reason)
