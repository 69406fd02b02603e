"""From a URL to the store behind it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from archiver.base.address import is_local, scheme_of, shown_url
from archiver.errors import ConfigError
from archiver.store.contract import Store, check_key

_S3 = ("s3", "s3a")
_COLLAPSED = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:/(?!/)")
_EXTRAS = {"gs": "gcs", "gcs": "gcs", "abfs": "azure", "abfss": "azure", "az": "azure", "adl": "azure"}


_CLIENTS = (
    "adlfs",
    "aiohttp",
    "asyncssh",
    "azure",
    "fsspec",
    "gcsfs",
    "paramiko",
    "smbclient",
    "smbprotocol",
    "sshfs",
)
"""Loggers of what fsspec's filesystems are made of."""


class Manner(NamedTuple):
    """How a store is to be opened, whatever its kind."""

    read_only: bool = False
    executor: Executor | None = None
    deadline: float | None = None

    def seconds(self) -> float:
        """Return the deadline; that of the retry layer where none was given."""
        from archiver.store.retry import DEADLINE

        return DEADLINE if self.deadline is None else self.deadline


def open_store(
    url: str | os.PathLike[str],
    *,
    storage_options: Mapping[str, Any] | None = None,
    read_only: bool = False,
    executor: Executor | None = None,
    deadline: float | None = None,
) -> Store:
    """Open the store behind a URL. Nothing is read or written yet.

    url: a path (`~` is expanded), any URL of fsspec, also a chained one, or `bundle::` and the path or URL
    of a bundle; storage_options: what the
    filesystem of that URL takes; executor: where `Store.map` runs; deadline: seconds that a call may be
    retried for, 60 unless said.

    Raises ConfigError for a URL or an option that cannot work.
    """
    text = _without_blanks(os.fspath(url))
    while text.startswith("dir::"):
        text = _without_blanks(text.removeprefix("dir::"))  # a store has a root of its own
    options = dict(storage_options or {})
    manner = Manner(read_only, executor, deadline)
    if "\0" in text or not text.strip():
        raise ConfigError("the URL is empty: give a folder or a URL such as s3://bucket/prefix")
    if _COLLAPSED.match(text):
        meant = shown_url(text.replace(":/", "://", 1))
        raise ConfigError(f"{meant} lost a slash, as a URL does in a pathlib.Path: give it as text")
    if scheme_of(text) == "bundle":
        return _open_bundle(text, options, manner)
    if is_local(text):
        return _open_local(text, options, manner)
    if scheme_of(text) in _S3 and "::" not in text:
        return _open_s3(text, options, manner)
    return open_remote(text, options, manner)


def _without_blanks(text: str) -> str:
    return text.lstrip() if scheme_of(text) else text


def _open_bundle(url: str, options: Mapping[str, Any], manner: Manner) -> Store:
    from archiver.store.bundled import BundleStore, split_bundle

    folder, name = split_bundle(url)
    inner = open_store(
        folder,
        storage_options=options,
        read_only=True,
        executor=manner.executor,
        deadline=manner.deadline,
    )
    return BundleStore(inner, name)


def _open_local(text: str, options: Mapping[str, Any], manner: Manner) -> Store:
    from archiver.store.local import LocalStore

    if options:
        raise ConfigError(f"a folder takes no storage options: remove {', '.join(sorted(options))}")
    try:
        folder = Path(local_path(text)).expanduser().absolute()
        is_file = folder.is_file()
        above = () if folder.exists() else (folder, *folder.parents)
        dangling = next((path for path in above if path.is_symlink() and not path.exists()), None)
    except RuntimeError as error:
        raise ConfigError(f"{text}: {error}") from None
    except OSError as error:  # a name too long, a folder above that may not be looked into
        raise ConfigError(
            f"cannot open {text}: {error.strerror}; correct the URL or the permissions"
        ) from None
    if is_file:
        raise ConfigError(f"{folder} is a file: give a folder, or a bundle as bundle::{folder.name}")
    if dangling is not None:
        raise ConfigError(
            f"{dangling} is a link to {dangling.readlink()}, which is not there: make or mount it"
        )
    # Not resolve(): where a link leads may change, and the path that was given stays the one that is shown.
    return LocalStore(Path(os.path.normpath(folder)), read_only=manner.read_only, executor=manner.executor)


def local_path(text: str) -> str:
    """Return the path that a local URL means, a plain path as it is. Raises ConfigError for a relative file URL."""
    if not scheme_of(text):
        return text
    rest = text.partition("://")[2]
    if not rest.startswith(("/", "localhost/")):
        raise ConfigError(f"{shown_url(text)!r} is no file URL: write file:///absolute/path, or a plain path")
    return unquote(rest.removeprefix("localhost"))


def _open_s3(url: str, options: Mapping[str, Any], manner: Manner) -> Store:
    from archiver.store.s3.store import S3Store

    rest = url.partition("://")[2]
    bucket, _, prefix = rest.partition("/")
    _refuse_credentials(url)
    if not bucket:
        raise ConfigError(f"{url!r} names no bucket: write s3://bucket/prefix")
    prefix = prefix.rstrip("/")
    if prefix:
        check_key(prefix)
    return S3Store(
        bucket,
        prefix,
        options,
        read_only=manner.read_only,
        executor=manner.executor,
        deadline=manner.seconds(),
    )


def _refuse_credentials(link: str) -> None:
    """Refuse what an error of the S3 client would show as part of the bucket's name."""
    if any(mark in link for mark in "@?#"):
        raise ConfigError(
            f"{shown_url(link)}: leave credentials and queries out of the URL; the AWS chain finds them"
        )


def open_remote(url: str, options: Mapping[str, Any], manner: Manner) -> Store:
    """Open the store of a URL that names any other filesystem of fsspec, or a chain of them.

    Raises ConfigError for an unknown scheme, a missing package, or options that do not fit.
    """
    import fsspec

    _quieten()
    from archiver.store.failures import judge
    from archiver.store.remote import RemoteStore

    shown = shown_url(url)

    def connect() -> tuple[Any, str]:
        opened: tuple[Any, str] = fsspec.core.url_to_fs(url, **_completed(url, options))
        return opened

    try:
        return RemoteStore(
            connect,
            shown,
            reopen=(_reopen, url, dict(options), manner.read_only, manner.seconds()),
            read_only=manner.read_only,
            executor=manner.executor,
            deadline=manner.seconds(),
        )
    except ImportError as error:
        raise ConfigError(f"{shown} needs a package that is not installed: {_install(url, error)}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{shown} cannot be opened: {_reason(error)}") from error
    except Exception as error:
        # Some filesystems look for credentials, or connect, when they are made.
        raise judge(error, shown, "open the store").error from error


def _quieten() -> None:
    """Keep what clients log of failures, which are raised anyway, off standard error: Python writes it there where nobody logs."""
    import logging

    for name in _CLIENTS:
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


def _reopen(url: str, options: Mapping[str, Any], read_only: bool, deadline: float) -> Store:
    return open_remote(url, options, Manner(read_only, None, deadline))


def _completed(url: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of each link of a chain: what a store of its own would have.

    Each gets a filesystem of its own: fsspec shares those that are opened alike, and their connections with them.
    """
    links = url.split("::")
    completed = dict(options)
    for at, link in enumerate(links):
        scheme = scheme_of(link) or scheme_of(f"{link}::")
        own = dict(options.get(scheme) or {})
        if scheme in _S3:
            from archiver.store.s3.options import s3_options

            _refuse_credentials(link)
            own = s3_options(own)
        if at and scheme:
            completed[scheme] = {**own, "skip_instance_cache": True}
        elif own:
            completed[scheme] = own
    return {**completed, "skip_instance_cache": True}


def _install(url: str, error: ImportError) -> str:
    from fsspec.registry import known_implementations

    schemes = [scheme_of(link + "::") for link in url.split("::")]
    for scheme in schemes:
        if scheme in _EXTRAS:
            return f"pip install 'archiver[{_EXTRAS[scheme]}]'"
    known = (known_implementations.get(scheme, {}).get("err") for scheme in schemes)
    return next((text for text in known if text), _reason(error))


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if text.startswith("Protocol not known"):
        return "its scheme is not known; use a folder, s3://, gs://, abfs:// or another one of fsspec"
    return text
