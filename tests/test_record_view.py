"""The view of all records: a store like the one below it, in all but where records lie."""

from __future__ import annotations

from archiver.runs.record_view import RecordView
from archiver.store import Store


def test_every_verb_of_a_store_is_the_one_of_the_store_below() -> None:
    """One that is added to the contract and not here would be the contract's own, which knows of no bucket."""
    verbs = {
        name
        for name, value in vars(Store).items()
        if not name.startswith("_") and (callable(value) or isinstance(value, property))
    }
    # What lists many lists by `list`, which the view has.
    assert verbs - set(vars(RecordView)) == {"list_many"}
