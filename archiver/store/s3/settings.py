"""The storage options of s3fs, as a session, a client and arguments of every call for botocore."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from archiver.store.failures import CredentialsError
from archiver.store.limits import WORKERS
from archiver.store.s3.options import s3_options

_OF_FILES = {
    "asynchronous",
    "cache_regions",
    "default_block_size",
    "default_cache_type",
    "default_fill_cache",
    "expiry_time",
    "fixed_upload_size",
    "listings_expiry_time",
    "local_expiry_check",
    "loop",
    "max_concurrency",
    "max_paths",
    "skip_instance_cache",
    "use_listings_cache",
    "version_aware",
}
"""Options of how s3fs reads and caches files, which nothing here does."""
_OF_AIOHTTP = {"connector_args", "http_session_cls"}
_CREDENTIALS = {"key": "aws_access_key_id", "secret": "aws_secret_access_key", "token": "aws_session_token"}


@dataclass(slots=True)
class Settings:
    """What an S3 client is made from.

    session: arguments of a session; client: of `create_client`; config: of its Config; always: arguments of
    every call that takes them (encryption, requester pays); borrowed: a session that was given.
    """

    session: dict[str, Any]
    client: dict[str, Any]
    config: dict[str, Any]
    always: dict[str, Any]
    borrowed: Any = field(default=None, repr=False)

    @property
    def workers(self) -> int:
        """How many connections are wanted at once."""
        return max(1, min(WORKERS, int(self.config["max_pool_connections"])))

    @property
    def portable(self) -> bool:
        """Whether checksums that AWS alone knows are left out: unless the user asks for them."""
        wanted = self.config.get("request_checksum_calculation", "when_required")
        return wanted == "when_required" and "ChecksumAlgorithm" not in self.always


def read_options(given: Mapping[str, Any]) -> Settings:
    """Sort storage options, after those of fsspec's own configuration. Raises TypeError, ValueError, KeyError."""
    options = s3_options({**_configured(), **given})
    left = {name: value for name, value in options.items() if name not in _OF_FILES}
    for alias, name in (("username", "key"), ("password", "secret")):
        if left.get(alias) and left.get(name):
            raise KeyError(f"give either {name} or {alias}, not both")
        left[name] = left.pop(alias, None) or left.pop(name, None)
    config = {
        name: value for name, value in dict(left.pop("config_kwargs")).items() if name not in _OF_AIOHTTP
    }
    client = {
        "use_ssl": left.pop("use_ssl", True),
        "endpoint_url": left.pop("endpoint_url", None),
        **{new: left.pop(old, None) for old, new in _CREDENTIALS.items()},
        **dict(left.pop("client_kwargs", None) or {}),
    }
    if left.pop("anon", False):
        from botocore import UNSIGNED

        config["signature_version"] = UNSIGNED
        for name in _CREDENTIALS.values():
            client.pop(name, None)
    always = dict(left.pop("s3_additional_kwargs", None) or {})
    if left.pop("requester_pays", False):
        always["RequestPayer"] = "requester"
    borrowed = left.pop("session", None)
    given_client = {name: value for name, value in client.items() if value is not None}
    return Settings(left, given_client, config, always, borrowed)


def _configured() -> dict[str, Any]:
    """Return what FSSPEC_S3_... and fsspec's configuration files say."""
    from fsspec.config import conf

    return {**conf.get("s3", {}), **conf.get("s3a", {})}


def make_session(settings: Settings) -> tuple[Any, Any]:
    """Return a session of botocore, and who gives credentials: None where requests are not signed."""
    import botocore.session
    from botocore import UNSIGNED
    from botocore.credentials import Credentials

    borrowed = settings.borrowed
    if borrowed is None:
        session = botocore.session.Session(**settings.session)
    else:
        session = botocore.session.Session(profile=borrowed.profile)
        session.set_config_variable("region", borrowed.get_config_variable("region"))
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    if settings.config.get("signature_version") is UNSIGNED:
        return session, None
    if (key := settings.client.get("aws_access_key_id")) is not None:
        names = ("aws_secret_access_key", "aws_session_token")
        return session, Credentials(key, *(settings.client.get(name) for name in names))
    found = None if borrowed is None else fetched(lambda: _waited(borrowed.get_credentials()))
    if found is None:
        return session, fetched(session.get_credentials)
    frozen = _Borrowed(found)
    session.set_credentials(*fetched(frozen.get_frozen_credentials)[:3])
    return session, frozen


@lru_cache(maxsize=4)
def _loader(place: str | None) -> Any:
    """Return what reads botocore's descriptions of S3, which takes 50 ms for each session that has its own."""
    from botocore.loaders import create_loader

    return create_loader(place)


def fetched(fetch: Callable[[], Any]) -> Any:
    """Return credentials. Raises CredentialsError for a program or a file that is missing or says nonsense."""
    try:
        return fetch()
    except (OSError, ValueError, LookupError) as error:
        # Else a missing program would look like a missing object.
        raise CredentialsError(str(error) or type(error).__name__) from error


class _Borrowed:
    """The credentials of a session for asyncio, which s3fs takes, for use without it."""

    def __init__(self, found: Any) -> None:
        self._found = found
        self._frozen: Any = None
        self._lock = threading.Lock()

    def get_frozen_credentials(self) -> Any:
        with self._lock:
            if self._frozen is None or getattr(self._found, "refresh_needed", bool)():
                self._frozen = _waited(self._found.get_frozen_credentials())
            return self._frozen


def _waited(result: Any) -> Any:
    """Return what an awaitable gives; it gets a loop of its own, for this thread may have one that runs."""
    if not inspect.isawaitable(result):
        return result
    import asyncio

    done: list[Any] = []

    async def wait() -> None:
        try:
            done.append(await result)
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            done.append(error)

    thread = threading.Thread(target=lambda: asyncio.run(wait()))
    thread.start()
    thread.join()
    if isinstance(done[0], Exception):
        raise done[0]
    return done[0]
