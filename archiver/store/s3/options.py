"""What a user's options are completed by for every S3 client, and the digest of a body."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from archiver.base.version import __version__
from archiver.store.limits import WORKERS

_CONNECT_SECONDS, _READ_SECONDS = 4, 15


def s3_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the storage options of s3fs: one retry layer, a pool that fits, no caches, portable checksums.

    What is given wins. Checksums are computed where the protocol requires one: what the newer default adds
    breaks uploads on some S3-compatible stores and ranges on others, and records hold a sha256 of every
    object anyway.
    """
    from botocore.config import Config

    config: dict[str, Any] = {
        "connect_timeout": _CONNECT_SECONDS,
        "read_timeout": _READ_SECONDS,
        "max_pool_connections": WORKERS,
        "retries": {"total_max_attempts": 1},
        # The client would build its own for every request, which takes an eighth of the processor time of a put.
        "user_agent": f"archiver/{__version__}",
    }
    for name in ("request_checksum_calculation", "response_checksum_validation"):
        if name in Config.OPTION_DEFAULTS:
            config[name] = "when_required"
    config.update(given.get("config_kwargs") or {})
    return {"use_listings_cache": False, "skip_instance_cache": True, **given, "config_kwargs": config}


def digest(data: bytes | bytearray) -> str:
    """Return what Content-MD5 takes: every S3 server checks it, while the newer checksums are not known to all."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
