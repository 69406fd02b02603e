"""Bytes by key, wherever the archive lives. The only package that imports fsspec.

`Store` says what is required of a backend; `open_store` picks the backend for a URL. Local folders are
written by plain system calls, S3 by a client of our own that takes the settings of s3fs, everything else through fsspec; each
under one retry layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archiver.store.contract import Store, check_key
from archiver.store.opening import local_path, open_store

if TYPE_CHECKING:
    from archiver.store.s3.bucket import BucketApi, RejectedError, RuleSet, UnsupportedError

__all__ = [
    "BucketApi",
    "RejectedError",
    "RuleSet",
    "Store",
    "UnsupportedError",
    "check_key",
    "local_path",
    "open_store",
]


def __getattr__(name: str) -> Any:
    # A folder has no use for what concerns buckets.
    if name in __all__:
        from archiver.store.s3 import bucket

        return getattr(bucket, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
