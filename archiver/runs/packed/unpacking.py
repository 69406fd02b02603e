"""Taking many runs out of their packs at once: what it takes one by one, a dozen requests each, it takes for all together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from archiver.base.run_id import common_beginning
from archiver.errors import NotFoundError, StorageError
from archiver.format import layout
from archiver.runs.format_number import raise_number
from archiver.runs.packs import Place
from archiver.runs.record_view import RecordView


class Loosened(NamedTuple):
    """Where the records of some runs are: those that were just written, by run, and the keys of the others that were revised."""

    written: dict[str, bytes]
    revised: dict[str, str]

    def read(self, view: RecordView, run: str) -> bytes:
        """Return the record of one of the runs, in one request where it has not moved since. Raises NotFoundError."""
        if run in self.written:
            return self.written[run]
        key = layout.record_key(run)
        with suppress(NotFoundError):
            return view.below.get(self.revised.get(run, key))
        return view.get(key)


@contextmanager
def loosened(view: RecordView, runs: Sequence[str], leaving: Collection[str] = ()) -> Iterator[Loosened]:
    """Write a loose record of each of these runs that only a pack holds: before a copy in the trash hides it.

    leaving: those that go as a whole, so that a copy may hide them. Yields where the records are; meanwhile the view takes
    it that whatever of these runs goes to the trash is loose. What could not be written, and a loose run that is to stay in
    sight, which somebody may just be packing, it looks at once more.
    """
    live = view.packs.live()
    places = {run: place for run in runs if (place := view.packs.find(live, run)) is not None}
    revised = _revised(view, runs)
    written = _loosen(view, places, revised) if places else {}
    known = written.keys() | (set(leaving) - places.keys())
    view.loosened |= known
    try:
        yield Loosened(written, revised)
    finally:
        view.loosened -= known


def _revised(view: RecordView, runs: Sequence[str]) -> dict[str, str]:
    """Return the key of the record that counts of each run whose record was replaced."""
    found = view.below.list(layout.REVISED + common_beginning(runs))
    return {key.run: entry.key for entry in found if (key := layout.parse(entry.key)) is not None}


def _loosen(view: RecordView, places: dict[str, Place], revised: Collection[str]) -> dict[str, bytes]:
    plain = view.below.list(layout.RUNS + common_beginning(places))
    hidden = view.masked() | {layout.run_of_record(entry.key) for entry in plain}
    wanted = [(run, place) for run, place in places.items() if run not in hidden and run not in revised]
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
