"""From a URL to the store behind it; what of a URL may be shown."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from archiver.errors import ConfigError
from archiver.store.contract import Store, check_key
from archiver.store.retry import BUDGET

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*(?=://|::)")
_EXTRAS = {"gs": "gcs", "gcs": "gcs", "abfs": "azure", "abfss": "azure", "az": "azure", "adl": "azure"}


def open_store(
    url: str | os.PathLike[str],
    *,
    storage_options: Mapping[str, Any] | None = None,
    read_only: bool = False,
    executor: Executor | None = None,
    budget: float = BUDGET,
) -> Store:
    """Open the store behind a URL. Nothing is read or written yet.

    url: a path (`~` is expanded), or any URL of fsspec, also a chained one; storage_options: what the filesystem
    of that URL takes; executor: where `Store.map` runs; budget: seconds that a call may be retried for.

    Raises ConfigError for a URL or an option that cannot work.
    """
    text = os.fspath(url)
    scheme = _SCHEME.match(text)
    options = dict(storage_options or {})
    if "\0" in text or not text.strip():
        raise ConfigError("the URL is empty: give a folder or a URL such as s3://bucket/prefix")
    if scheme is None or scheme[0].lower() in ("file", "local"):
        return _open_local(text, options, read_only=read_only, executor=executor)
    if scheme[0].lower() in ("s3", "s3a") and "::" not in text:
        return _open_s3(text, options, read_only=read_only, executor=executor, budget=budget)
    return open_remote(text, options, read_only, executor, budget)


def _open_local(text: str, options: dict[str, Any], *, read_only: bool, executor: Executor | None) -> Store:
    from archiver.store.local import LocalStore

    if options:
        raise ConfigError(f"a folder takes no storage options: remove {', '.join(sorted(options))}")
    folder = Path(os.path.abspath(Path(_local_path(text)).expanduser()))
    if folder.is_file():
        raise ConfigError(f"{folder} is a file: give a folder")
    return LocalStore(folder, read_only=read_only, executor=executor)


def _local_path(text: str) -> str:
    if _SCHEME.match(text) is None:
        return text
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ConfigError(f"{text!r} is no file URL: write file:///absolute/path, or a plain path")
    return unquote(parts.path)


def _open_s3(
    url: str, options: dict[str, Any], *, read_only: bool, executor: Executor | None, budget: float
) -> Store:
    from archiver.store.s3 import S3Store

    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(
            f"{shown_url(url)}: leave credentials and queries out of the URL; the AWS chain finds them"
        )
    prefix = parts.path.strip("/")
    if not parts.netloc:
        raise ConfigError(f"{url!r} names no bucket: write s3://bucket/prefix")
    if prefix:
        check_key(prefix)
    return S3Store(parts.netloc, prefix, options, read_only=read_only, executor=executor, budget=budget)


def open_remote(
    url: str,
    options: dict[str, Any],
    read_only: bool = False,
    executor: Executor | None = None,
    budget: float = BUDGET,
) -> Store:
    """Open the store of a URL that names a filesystem of fsspec."""
    import fsspec

    from archiver.store.remote import RemoteStore

    shown = shown_url(url)
    try:
        fs, root = fsspec.core.url_to_fs(url, **{"use_listings_cache": False, **options})
    except ImportError as error:
        scheme = url.partition("::")[0].partition("://")[0]
        extra = _EXTRAS.get(scheme)
        raise ConfigError(f"{shown}: install what it needs: pip install 'archiver[{extra}]'") from error
    except ValueError as error:
        raise ConfigError(f"{shown}: {error}") from error
    return RemoteStore(
        fs,
        root,
        shown,
        reopen=(open_remote, (url, options, read_only, None, budget)),
        read_only=read_only,
        executor=executor,
        budget=budget,
    )


def shown_url(url: str) -> str:
    """Return a URL, chained or not, without user, password, query and fragment."""
    return "::".join(_without_secrets(part) for part in url.split("::"))


def _without_secrets(url: str) -> str:
    if "://" not in url:
        return url
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
