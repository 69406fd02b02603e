"""Runs in packs: read by columns, packed, and taken out again. What a pack is stands in `runs/packs.py`."""
