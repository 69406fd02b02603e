"""Runs, written and read back: the order of a save, records, what counts, what a record reaches."""
