"""Runs in packs: read by columns, packed, and taken out again.

What a pack is stands in `format/packs.py`, which there are in `runs/packs.py`: below the view of all records, on which all here stands.
"""
