"""Taking many runs out of their packs at once: what it takes one by one, a dozen requests each, it takes for all together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from archiver.base.run_id import common_beginning
from archiver.errors import StorageError
from archiver.format import layout
from archiver.runs.number import raise_number
from archiver.runs.packs import Place
from archiver.runs.record_view import RecordView


@contextmanager
def loosened(view: RecordView, runs: Sequence[str]) -> Iterator[dict[str, bytes]]:
    """Write a loose record of each of these runs that only a pack holds: before a copy in the trash hides it.

    Yields these records by run; meanwhile the view takes it that whatever of these runs goes to the trash is loose. What
    could not be written, it looks at once more.
    """
    taken = _loosen(view, runs)
    view.loosened |= taken.keys()
    try:
        yield taken
    finally:
        view.loosened -= taken.keys()


def _loosen(view: RecordView, runs: Sequence[str]) -> dict[str, bytes]:
    live = view.packs.live()
    places = {run: place for run in runs if (place := view.packs.find(live, run)) is not None}
    if not places:
        return {}
    beginning = common_beginning(places)
    loose = {
        key.run
        for area in (layout.RUNS, layout.REVISED)
        for entry in view.below.list(area + beginning)
        if (key := layout.parse(entry.key)) is not None
    }
    hidden = view.masked() | loose
    wanted = [(run, place) for run, place in places.items() if run not in hidden]
    if not wanted:
        return {}
    raise_number(view.below, 2)

    def write(item: tuple[str, Place]) -> bytes | None:
        run, place = item
        data = view.packs.record(place)
        try:
            view.below.put(layout.revised_key(run, place.revision + 1), data)
        except StorageError:
            return None
        return data

    made = zip(wanted, view.below.map(write, wanted, small=True), strict=True)
    return {run: data for (run, _), data in made if data is not None}
