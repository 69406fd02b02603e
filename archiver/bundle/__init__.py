"""Bundles: runs in one tar.zst, readable with plain tar and zstd, and by ranges."""

from __future__ import annotations

from archiver.bundle.bundles import Bundles
from archiver.bundle.check import Checked
from archiver.bundle.create import Bundle
from archiver.bundle.remove import Removal

__all__ = ["Bundle", "Bundles", "Checked", "Removal"]
