"""Try a store with objects of its own below a scratch prefix, and say what archiver does without what is missing.

Nothing else is written, changed or deleted: what concerns the bucket as a whole is only read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from archiver.errors import AccessError, ArchiverError
from archiver.health.doctor.probes import PROBES, SCRATCH, LacksError, NotAskedError, Probe, Scratch
from archiver.store import Store, UnsupportedError

__all__ = ["SCRATCH", "Finding", "examine"]

State = Literal["ok", "no", "denied", "failed", "none"]
_RIGHTS = {
    "reach": "list",
    "archive": "read",
    "write": "write",
    "delete": "delete",
    "lifecycle": "read bucket rules",
}
"""The probe that tells each right."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe found: ok; no (the store does not do it); denied; failed; none (not asked of such a store).

    without: what archiver does where it is missing; vital: whether an archive needs it.
    """

    probe: str
    state: State
    detail: str
    without: str
    vital: bool

    @property
    def sound(self) -> bool:
        """Whether an archive can live with it."""
        return self.state in ("ok", "none") or not self.vital


def examine(store: Store) -> Iterator[Finding]:
    """Yield what each probe finds; whatever happens, what was written is deleted at the end.

    Where the store does not answer at all, that is the only finding.
    """
    states: dict[str, State] = {}
    with _scratch(store) as scratch:
        for probe in PROBES:
            if probe.writes and states.get("write", "ok") != "ok":
                finding = Finding(
                    probe.name, "none", "not tried: nothing can be written", probe.without, probe.vital
                )
            else:
                finding = _ask(probe, scratch)
            states[probe.name] = finding.state
            yield finding
            if probe.name == "reach" and finding.state == "failed":
                return
        if states["write"] == "ok":
            yield _ask(_CLEAN, scratch)
    yield _rights(states)


def _ask(probe: Probe, scratch: Scratch) -> Finding:
    state: State = "ok"
    try:
        detail = probe.ask(scratch)
    except LacksError as error:
        state, detail = "no", str(error)
    except NotAskedError as error:
        state, detail = "none", str(error)
    except UnsupportedError:
        state, detail = "no", "the server does not know it"
    except AccessError as error:
        state, detail = "denied", str(error)
    except ArchiverError as error:
        state, detail = "failed", str(error)
    return Finding(probe.name, state, detail, probe.without, probe.vital)


def _rights(states: dict[str, State]) -> Finding:
    """Say what the credentials may do, by what was denied."""
    may = [right for probe, right in _RIGHTS.items() if states.get(probe) == "ok"]
    may_not = [right for probe, right in _RIGHTS.items() if states.get(probe) == "denied"]
    text = f"may {', '.join(may) or 'nothing'}" + (f"; may not {', '.join(may_not)}" if may_not else "")
    without = "a writer needs list, read and write; prune and gc need delete too (infra/ has policies)"
    return Finding("rights", "denied" if may_not else "ok", text, without, vital=False)


@contextmanager
def _scratch(store: Store) -> Iterator[Scratch]:
    """Give a place of our own; remove what is in it, and folders that were not there before."""
    folder = store.local
    made = [] if folder is None else [path for path in (folder, *folder.parents) if not path.exists()]
    scratch = Scratch(store)
    try:
        yield scratch
    finally:
        if scratch.keys:
            with suppress(ArchiverError, LacksError):
                _clean(scratch)
        for path in made:
            with suppress(OSError):
                path.rmdir()


def _clean(scratch: Scratch) -> str:
    store = scratch.store
    failed = store.delete(sorted(scratch.keys))
    for error in failed.values():
        raise error
    if scratch.versioned:
        _clean_versions(scratch)
    if left := scratch.listed():
        raise LacksError(f"{len(left)} objects below {scratch.prefix} are still there: delete them")
    scratch.keys.clear()
    return "nothing of the probes is left"


def _clean_versions(scratch: Scratch) -> None:
    """Delete old versions of what was ours: no rule will."""
    api = scratch.bucket
    found = api.call("list_object_versions", "list versions of the probes", Prefix=api.root + scratch.prefix)
    doomed = [
        {"Key": item["Key"], "VersionId": item["VersionId"]}
        for kind in ("Versions", "DeleteMarkers")
        for item in found.get(kind, ())
        if item["Key"].startswith(api.root + scratch.prefix)
    ]
    if doomed:
        answer = api.call("delete_objects", "delete versions of the probes", Delete={"Objects": doomed})
        if answer.get("Errors"):
            raise LacksError(f"{len(answer['Errors'])} old versions below {scratch.prefix} are still there")


_CLEAN = Probe("cleaned up", _clean, f"objects of the probes stay below {SCRATCH}: delete them")
