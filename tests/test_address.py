"""Which kind of place a URL names, and what of it may be shown."""

from __future__ import annotations

from typing import Any

import pytest

from archiver.base.address import is_local, scheme_of, shown_url

PASSWORD = "pass" + "word"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("/a/b@c?d", "/a/b@c?d"),
        ("file:///a/b@c?d", "file:///a/b@c?d"),
        (f"file://user:{PASSWORD}@/path", "file:///path"),
        (f" s3://KEY:{PASSWORD}@bucket/x", "s3://bucket/x"),
        ("s3://bucket/x", "s3://bucket/x"),
        (f"sftp://user:{PASSWORD}@host/path/", "sftp://host/path"),
        (f"sftp://user:pa/{PASSWORD}@host/path", "sftp://host/path"),
        (f"https://{PASSWORD}@host/path?sig={PASSWORD}#frag", "https://host/path"),
        (f"simplecache::https://u:{PASSWORD}@host/x?token={PASSWORD}", "simplecache::https://host/x"),
        (
            "abfs://container@account.dfs.core.windows.net/x",
            "abfs://container@account.dfs.core.windows.net/x",
        ),
        ("memory://", "memory://"),
    ],
)
def test_what_of_a_url_is_shown(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_schemes() -> None:
    found: dict[str, Any] = {
        url: (scheme_of(url), is_local(url))
        for url in ("a/b", "file:///x", "S3://b", "dir::memory://x", "c:/x", "a b://c", " s3://b")
    }
    assert found == {
        "a/b": ("", True),
        "file:///x": ("file", True),
        "S3://b": ("s3", False),
        "dir::memory://x": ("dir", False),
        "c:/x": ("", True),
        "a b://c": ("", True),
        " s3://b": ("s3", False),
    }
