"""Other formats: results of older tools come in, tables go out."""
