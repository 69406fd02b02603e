"""Benchmarks: archiver and its peers, side by side in the same run. `python -m tests.benchmarks [--tiny]`."""
