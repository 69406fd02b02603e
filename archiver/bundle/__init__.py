"""Bundles: runs in one tar.zst, readable with plain tar and zstd, and by ranges."""

from __future__ import annotations

from archiver.bundle.create import Bundle, create
from archiver.bundle.place import Place, locate

__all__ = ["Bundle", "Place", "create", "locate"]
