"""The archive in a terminal, read-only: pages over one archive, each read in the background, each failure a state."""

from archiver.tui.app import Browse, run_app

__all__ = ["Browse", "run_app"]
