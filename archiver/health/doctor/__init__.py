"""Try a store with objects of its own below a scratch prefix, and say what archiver does without what is missing.

Nothing else is written, changed or deleted: what concerns the bucket as a whole is only read. What the credentials may
not do was not tried, so it says nothing of the store: it tells whose work they are for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from archiver.errors import AccessError, ArchiverError
from archiver.health.doctor.probes import CLEAN, PROBES, ROLES, Probe, Role
from archiver.health.doctor.scratch import SCRATCH, LacksError, NotAskedError, Scratch, scratch_of
from archiver.store import Store, UnsupportedError

__all__ = ["ROLES", "SCRATCH", "Finding", "Role", "examine", "verdict"]

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
    """What one probe found: ok; no (the store does not do it); denied; failed; none (not asked, or not tried).

    without: what archiver does where it is missing; vital: whether the work of the one who asks needs it.
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


def examine(store: Store, role: Role | None = None) -> Iterator[Finding]:
    """Yield what each probe finds; whatever happens, what was written is deleted at the end.

    role: whose work the credentials are for: what a pruner may not do is vital then; for a reader nothing is written.
    None: whatever they may do; what they may not, besides reading, is not held against the store.

    Where the store does not answer at all, that is the only finding. Who may write and not delete leaves a few small
    objects, which are used again the next time.
    """
    states: dict[str, State] = {}
    with scratch_of(store) as scratch:
        for probe in PROBES:
            reason = _not_tried(probe, role, states)
            if reason is not None:
                finding = Finding(probe.name, "none", reason, probe.without, vital=False)
            else:
                finding = _ask(probe, scratch, role)
            states[probe.name] = finding.state
            yield finding
            if probe.name == "reach" and finding.state == "failed":
                return
        if states["write"] == "ok":
            yield _ask(CLEAN, scratch, role)
    yield _rights(states)


def verdict(findings: Sequence[Finding]) -> str:
    """Say in one line what follows from all findings, and no more than was tried."""
    missing = [finding.probe for finding in findings if not finding.sound]
    if missing:
        return f"an archive cannot live here: {', '.join(missing)}"
    states = {finding.probe: finding.state for finding in findings}
    if states["write"] != "ok":
        return "an archive can be read here; what saving needs was not tried"
    if states["delete"] != "ok":
        return "an archive can live here; pruning needs other credentials, and was not tried"
    return "an archive can live here"


def _not_tried(probe: Probe, role: Role | None, states: dict[str, State]) -> str | None:
    if not probe.writes:
        return None
    if role == "reader":
        return "not tried: a reader writes nothing"
    if states.get("write", "ok") != "ok":
        return "not tried: nothing can be written"
    return None


def _ask(probe: Probe, scratch: Scratch, role: Role | None) -> Finding:
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
    vital = probe.needed_by is not None
    if state == "denied" and probe.needed_by is not None:
        vital = ROLES.index(probe.needed_by) <= ROLES.index(role or "reader")
    return Finding(probe.name, state, detail, probe.without, vital)


def _rights(states: dict[str, State]) -> Finding:
    """Say what the credentials may do, by what was denied."""
    may = [right for probe, right in _RIGHTS.items() if states.get(probe) == "ok"]
    may_not = [right for probe, right in _RIGHTS.items() if states.get(probe) == "denied"]
    text = f"may {', '.join(may) or 'nothing'}" + (f"; may not {', '.join(may_not)}" if may_not else "")
    without = "a writer needs list, read and write; prune and gc need delete too (infra/ has policies)"
    return Finding("rights", "denied" if may_not else "ok", text, without, vital=False)
