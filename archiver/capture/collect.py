"""From the chosen files to what a record says of a run's code, and the bytes behind it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archiver.capture import git, globs, provenance
from archiver.capture.choose import Choice
from archiver.capture.files import Kept, take, text
from archiver.capture.frames import Source, kind
from archiver.capture.project import few, name_in
from archiver.capture.secrets import credential
from archiver.format.model import Code

RUN_LIMIT = 16 * 2**20
"""Bytes that all captured files of a run may have together."""
COUNT_LIMIT = 2000
_SAID = 20
"""Warnings that a record holds at most."""


def collect(choice: Choice, seed: Any, data: Any) -> tuple[Code, Mapping[str, bytes], list[str]]:
    """Read the chosen files and all that belongs to them.

    Returns what the record says, the bytes by sha256, and the problems that a strict capture fails for.
    """
    # A repository around what is installed (an environment inside a project) has not made it.
    repo = git.repo_of(choice.root) if kind(str(choice.root / "any.py")) == "user" else None
    facts = provenance.GitFacts(repo) if repo else None
    environment = provenance.environment(choice.root)  # while git compares
    kept = _kept_files(choice)
    diff = git.Diff(None)
    if repo and facts:
        _leave_out_ignored(choice, kept, repo, facts)
        diff = facts.diff({source.path: one.file.sha256 for source, one in kept.values() if one.file})
    files = [one for _, one in kept.values()]
    files += _made(choice, kept)
    notes = [*choice.problems, *choice.notes, *(one.note for one in files if one.note)]
    if diff.note:
        notes.append(diff.note)
    said = {**_said(choice, facts), **_given(seed, data, notes)}
    texts = {name: data for name, data in (("environment", environment), ("diff", diff.text)) if data}
    blobs = {one.file.sha256: one.data for one in files if one.file}
    described = tuple(text(name, data) for name, data in texts.items())
    blobs |= {file.sha256: texts[file.path] for file in described}
    how, reason = choice.how, None
    if not files:
        how, reason = "none", choice.reason or (choice.problems or choice.notes or ["nothing to capture"])[0]
        notes = [note for note in notes if note != reason]
    warnings = list(dict.fromkeys(notes))
    if len(warnings) > _SAID:
        warnings[_SAID:] = [f"and {len(warnings) - _SAID} more"]
    captured = tuple(one.file for one in files if one.file)
    return Code(how, captured, described, said, tuple(warnings), reason), blobs, choice.problems


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
    if choice.how != "listed" and all(_is_yaml(source, choice) for source, _ in kept.values()):
        return {}  # the list of what is not wanted is no code
    return dict(sorted(kept.items()))


def _is_yaml(source: Source, choice: Choice) -> bool:
    return choice.yaml is not None and source.path == choice.yaml.path


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


def _leave_out_ignored(
    choice: Choice, kept: dict[str, tuple[Source, Kept]], repo: git.Repo, facts: provenance.GitFacts
) -> None:
    """Drop the files that git ignores, unless they are listed by name.

    Where git cannot tell, only what is known to run stays: the entry and the files on the way to the call.
    """
    unnamed = [name for name, (source, _) in kept.items() if not source.named]
    ignored, unknown, why = provenance.ignored(choice.root, unnamed, repo, facts)
    for name in sorted(ignored):
        del kept[name]
        note = f"{name} is ignored by git: list it in strategy.yaml if it must be kept"
        (choice.notes if choice.how == "listed" else choice.problems).append(note)
    doubtful = [name for name in unnamed if name in unknown and not _has_run(kept[name][0], choice)]
    for name in doubtful:
        del kept[name]
    if doubtful:
        choice.problems.append(
            f"{why or 'git could not tell which files it ignores'}; so these are not kept: {few(doubtful)}: list in"
            " strategy.yaml what must be"
        )


def _has_run(source: Source, choice: Choice) -> bool:
    return bool(source.codes) or source.path == choice.entry


def _said(choice: Choice, facts: provenance.GitFacts | None) -> dict[str, Any]:
    entry = name_in(choice.root, choice.entry) if choice.entry else None
    git_facts = facts.about() if facts else None
    said: dict[str, Any] = {
        "context": choice.context,
        "entry": entry,
        "git": git_facts,
        "argv": provenance.argv(),
    }
    return {name: value for name, value in said.items() if value}


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
