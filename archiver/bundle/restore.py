"""Restoring runs from a bundle into an archive."""

from __future__ import annotations

from collections.abc import Sequence

from archiver.bundle.place import Place
from archiver.errors import RunNotFoundError
from archiver.store import Store
from archiver.store.bundled import BundleStore
from archiver.transfer import Moved, Step, transfer


def restore(
    place: Place, target: Store, runs: Sequence[str] | None = None, *, step: Step = lambda _bytes: None
) -> Moved:
    """Bring runs of a bundle into an archive; what is there already stays as it is.

    Arguments:
        place: where the bundle is; it must be readable.
        target: the store of an archive, if an empty one.
        runs: ids, or the beginnings of some; None for all.
        step: told the bytes of each object that is done.

    Raises RunNotFoundError, NotFoundError; IntegrityError for damage, or where the target has other data in the place
    of what would be restored: a damaged run gets no record, and nothing is replaced.
    """
    source = place.open()
    return transfer(source, target, run_ids(source, runs), restore=True, step=step)


def run_ids(source: BundleStore, runs: Sequence[str] | None) -> list[str]:
    """Return the whole ids of runs of a bundle. Raises RunNotFoundError."""
    known = [str(run["id"]) for run in source.manifest.runs]
    if runs is None:
        return known
    chosen = []
    for wanted in dict.fromkeys(runs):
        found = [run for run in known if wanted and run.startswith(wanted)]
        if len(found) != 1:
            what = f"{wanted!r} begins {len(found)} runs" if found else f"no run {wanted!r}"
            raise RunNotFoundError(f"{what} in {source.shown}: `archiver bundle ls` shows its runs")
        chosen += found
    return chosen
