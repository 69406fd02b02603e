"""Bundles: runs in one tar.zst, readable with plain tar and zstd, and by ranges."""

from __future__ import annotations

from archiver.transfer.bundle.bundles import Bundles
from archiver.transfer.bundle.check import Checked
from archiver.transfer.bundle.create import Bundle
from archiver.transfer.bundle.remove import Removal

__all__ = ["Bundle", "Bundles", "Checked", "Removal"]
