"""The number in `archive.json`: raised before the first record that older archivers cannot read, never lowered."""

from __future__ import annotations

import json

from archiver.errors import NotFoundError
from archiver.format import layout
from archiver.store import Store


def raise_number(store: Store, number: int) -> None:
    """Make an archive one of a format, if it is of an older one, so that older archivers refuse it with their one line.

    number: the greatest `format` of the records that are about to be written.
    """
    if number < 2:
        return
    try:
        facts = json.loads(store.get(layout.ARCHIVE))
    except NotFoundError:
        return  # whoever writes there without one knows why
    if facts["format"] < number:
        store.put(layout.ARCHIVE, json.dumps({**facts, "format": number}).encode())
