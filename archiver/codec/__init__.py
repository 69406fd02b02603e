"""How values become bytes and come back as the very same values. No I/O happens here."""
