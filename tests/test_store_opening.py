"""Which URL opens which store, and what is said of one that cannot."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import pytest

from archiver.errors import ConfigError
from archiver.store import open_store
from archiver.store.local import LocalStore
from archiver.store.remote import RemoteStore
from archiver.store.s3.store import S3Store

PASSWORD = "pass" + "word"


def test_ways_to_name_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    expected = tmp_path / "my archive"
    for url in (
        str(expected),
        expected,
        "my archive",
        "./x/../my archive",
        "~/my archive",
        expected.as_uri(),
        f"file://{expected}",
        f"file://localhost{expected}",
        f"local://{expected}",
        f"FILE://{expected}",
        f"{expected}/",
        f"dir::file://{expected}",
    ):
        store = open_store(url)
        assert isinstance(store, LocalStore), url
        assert store.local == expected, url
        assert store.url == str(expected)


def test_kinds_of_url() -> None:
    assert isinstance(open_store("memory://x"), RemoteStore)
    assert isinstance(open_store("simplecache::memory://x"), RemoteStore)
    for url in ("s3://bucket/a/b", "s3a://bucket/a/b", "S3://bucket/a/b/"):
        store = open_store(url)
        assert isinstance(store, S3Store)
        assert (store.bucket, store.prefix, store.url, store.local) == (
            "bucket",
            "a/b",
            "s3://bucket/a/b",
            None,
        )
    assert open_store("s3://bucket").url == "s3://bucket"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("a\0b", "empty"),
        ("foo://bucket/x", "scheme is not known"),
        ("foo::s3://bucket/x", "scheme is not known"),
        ("s3://", "names no bucket"),
        ("s3:///x", "names no bucket"),
        ("s3://bucket//x", "is no key"),
        ("s3://bucket/../x", "is no key"),
        ("s3://bucket/x?versionId=1", "leave credentials and queries out"),
        (f"s3://KEY:{PASSWORD}@bucket/x", "leave credentials and queries out"),
        (f"simplecache::s3://KEY:{PASSWORD}@bucket/x", "leave credentials and queries out"),
        (f"bundle::s3://KEY:{PASSWORD}@bucket/x.tar.zst", "leave credentials and queries out"),
        (f"bundle::http://user:{PASSWORD}@host/", "names no bundle"),
        (f" s3://KEY:{PASSWORD}@bucket/x", "leave credentials and queries out"),
        (f"file://user:{PASSWORD}@/x", "no file URL"),
        ("file://host/x", "no file URL"),
        ("file:///x", None),
        ("~nobody-at-all/x", "home"),
    ],
)
def test_urls_that_cannot_work(url: str, said: str | None) -> None:
    if said is None:
        assert open_store(url).url == "/x"
        return
    with pytest.raises(ConfigError, match=said) as caught:
        open_store(url)
    assert "\n" not in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_blank_before_a_url_makes_it_no_folder() -> None:
    for url in (" memory://blank", "\tdir:: memory://blank"):
        assert open_store(url).url == "memory://blank"


def test_a_url_in_a_path_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="s3://bucket/x lost a slash") as caught:
        open_store(Path(f"s3://KEY:{PASSWORD}@bucket/x"))
    assert PASSWORD not in str(caught.value)
    open_store("./s3:/x").put("a", b"")
    assert (tmp_path / "s3:/x/a").exists()


def test_a_link_that_leads_nowhere_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "unmounted")
    for folder in (tmp_path / "link", tmp_path / "link" / "archive"):
        with pytest.raises(ConfigError, match=r"link is a link to .*unmounted, which is not there"):
            open_store(folder)
    (tmp_path / "unmounted").mkdir()
    open_store(tmp_path / "link" / "archive").put("a", b"")
    assert (tmp_path / "unmounted/archive/a").exists()


def test_a_bundle_s_url_is_shown_without_password_and_query() -> None:
    store = open_store(f"bundle::http://user:{PASSWORD}@127.0.0.1:1/x.tar.zst?signature={PASSWORD}")
    assert store.url == "bundle::http://127.0.0.1:1/x.tar.zst"


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("gs://bucket/x", "gcsfs", "gcs"),
        ("abfs://c@account/x", "adlfs", "azure"),
        ("simplecache::gcs://b", "gcsfs", "gcs"),
    ],
)
def test_a_missing_extra_is_named(url: str, package: str, extra: str) -> None:
    if importlib.util.find_spec(package):
        pytest.skip(f"{package} is installed")
    with pytest.raises(ConfigError, match=rf"pip install 'archiver\[{extra}\]'"):
        open_store(url)


def test_a_folder_takes_no_options_and_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="takes no storage options: remove anon"):
        open_store(str(tmp_path), storage_options={"anon": True})
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="is a file"):
        open_store(str(tmp_path / "file"))
    with pytest.raises(ConfigError, match=r"x: File name too long; correct the URL"):
        open_store(str(tmp_path / ("x" * 300)))


def test_what_clients_log_stays_off_standard_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []

    class Last(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    open_store("memory://quiet")
    logging.getLogger("gcsfs").error("for whoever logs")
    assert caplog.messages == ["for whoever logs"]
    monkeypatch.setattr(logging, "lastResort", Last())
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    for name in ("gcsfs.retry", "paramiko.transport", "azure.core"):
        logging.getLogger(name).error("failed, see the exception")
    assert said == []
    logging.getLogger("another").error("of nobody")
    assert said == ["of nobody"]
