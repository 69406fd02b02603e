"""What a record reaches: the one function that knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b

from archiver.format import layout
from archiver.format.model import Record, Ref


def reachable(record: Record, *, code: bool = True) -> Iterator[Ref]:
    """Yield every object that a record reaches, the record itself not among them. The one graph function.

    code: among them its captured code.
    """
    if record.tier1 is not None:
        yield record.tier1
    if record.tier2 is not None:
        yield record.tier2
    yield from record.tapes
    yield from record.clocks
    yield from record.files
    if code and record.code is not None:
        for file in (*record.code.files, *record.code.texts):
            yield Ref(layout.code_key(file.sha256), file.size, file.sha256, plain=True)


def reached(records: Iterable[Record]) -> Iterator[tuple[Record, Ref]]:
    """Yield what each record reaches; code that many runs share only with the first of them."""
    seen: set[bytes] = set()
    for record in records:
        code = False
        if record.code is not None:
            texts = "".join(file.sha256 for file in (*record.code.files, *record.code.texts))
            digest = blake2b(texts.encode(), digest_size=16).digest()
            code = digest not in seen
            seen.add(digest)
        for ref in reachable(record, code=code):
            yield record, ref
