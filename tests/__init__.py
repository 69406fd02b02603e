"""Tests of archiver."""

import sys

# Before anything heavy is imported: else every worker and whatever is tried next compiles all tests and libraries again.
sys.dont_write_bytecode = False
