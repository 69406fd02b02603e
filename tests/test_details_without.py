"""Records of runs without their details: what is left of them, and that nobody takes one for the whole."""

from __future__ import annotations

from dataclasses import replace

from archiver.format.records import decode_record, encode_record
from archiver.runs.details import encode_unlike, without_details
from tests.conftest import Place
from tests.stores import save


def test_details_go_and_all_else_stays(file_place: Place) -> None:
    record = save(file_place.open(), bars=80)
    reduced = without_details(record, "a policy")
    assert (reduced.tier2, reduced.tapes, reduced.detail_removed) == (None, (), "a policy")
    assert (reduced.run, reduced.metrics, reduced.details) == (record.run, record.metrics, record.details)


def test_a_reduced_record_never_has_the_size_of_the_one_it_replaces(file_place: Place) -> None:
    record = save(file_place.open())
    whole = encode_record(record)
    other = encode_unlike(record, len(whole))
    assert len(other) != len(whole)
    assert replace(decode_record(other, "here"), size=len(whole)) == decode_record(whole, "here")
