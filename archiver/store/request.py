"""One request to S3: the client's options, a single attempt, and whether an answer is all that was announced."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
from collections.abc import Mapping
from typing import Any

from archiver import __version__
from archiver.store.failures import TruncatedError

WORKERS = 32
_CONNECT_SECONDS, _READ_SECONDS = 4, 15
_SMALL_BODY = 256 << 10
"""A larger one is not sent in vain: a server that refuses it might close the connection before its answer is read."""


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


class Client:
    """Sends the requests of one attempt: no retries, no waiting for an answer beyond what is left."""

    def __init__(self, fs: Any, bucket: str, left: float) -> None:
        self._fs, self._bucket, self._left = fs, bucket, left

    async def __call__(self, method: str, **arguments: Any) -> Any:
        client = await self._fs.set_session()
        call = getattr(client, method)
        # s3fs adds what its user asked for on every request: encryption, requester pays.
        known = self._fs._get_s3_method_kwargs(call, Bucket=self._bucket, **arguments)
        return await asyncio.wait_for(call(**known), self._left)


def complete(response: Mapping[str, Any], data: bytes, start: int, end: int | None) -> bytes:
    """Return the bytes asked for, or raise TruncatedError when fewer came than were announced."""
    announced = int(response["ContentLength"])
    if len(data) != announced:
        raise TruncatedError(f"{len(data)} of {announced} bytes arrived")
    span = str(response.get("ContentRange", ""))
    if not span:
        return data[start:end]  # not asked for a range, or the server knows none
    size = int(span.rpartition("/")[2])
    if len(data) != min(size, size if end is None else end) - start:
        raise TruncatedError(f"{span} arrived, {start}-{'' if end is None else end - 1} was asked for")
    return data


def add_digest(request: Any, **_: Any) -> None:
    """Add the digest that older servers demand of a bulk delete; newer clients send only a CRC."""
    if "Content-MD5" not in request.headers:
        request.headers["Content-MD5"] = digest(request.body)


def send_at_once(request: Any, **_: Any) -> None:
    """Send a small body right behind its header: the client would first wait for the server's leave, a round trip."""
    if isinstance(request.data, io.BytesIO) and len(request.data.getbuffer()) <= _SMALL_BODY:
        del request.headers["Expect"]


def forget_dead_loop() -> None:
    """After a fork: drop fsspec's loop, whose thread stayed with the parent. Older versions keep it and hang."""
    from fsspec import asyn

    if asyn.iothread[0] is not None and not asyn.iothread[0].is_alive():
        asyn.iothread[0] = asyn.loop[0] = None


def digest(data: bytes | bytearray) -> str:
    """Return what Content-MD5 takes: every S3 server checks it, while the newer checksums are not known to all."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
