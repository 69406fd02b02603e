"""CSV that a spreadsheet may open: a cell is taken for a formula by how it begins, whatever wrote it and quoted or not."""

from __future__ import annotations

from typing import Any

_BEGINNINGS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What Excel, LibreOffice and Google Sheets take for the beginning of a formula, or skip before one."""


def safe_cell(value: Any) -> Any:
    """Return text that would be a formula with a `'` before it, which spreadsheets show as text; all else as it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_BEGINNINGS) else value
