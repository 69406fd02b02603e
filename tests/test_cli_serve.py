"""`archiver serve` as people start it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import archiver


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = str(tmp_path / "backtests")
    archiver.open(url).save_universe_results(
        "u", [{"strategy_name": "one", "sharpe_ratio": 1.0}], code="none"
    )
    return url


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from archiver.cli import main; raise SystemExit(main())", *arguments]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def test_serves_until_interrupted_and_changes_nothing(url: str):
    before = {path: path.read_bytes() for path in Path(url).rglob("*") if path.is_file()}
    process = start("--url", url, "--json", "serve", "--port", "0")
    assert process.stdout is not None
    lines = ""
    while "}" not in lines:
        lines += process.stdout.readline()
    told = json.loads(lines)
    assert told["archive"] == url
    with urllib.request.urlopen(told["url"] + "api/runs") as answer:
        assert json.load(answer)["runs"][0]["universe"] == "u"
    with urllib.request.urlopen(told["url"]) as answer:
        assert b"archiver" in answer.read()
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=20)
    assert (process.returncode, out, errors) == (0, "", "")
    assert {path: path.read_bytes() for path in Path(url).rglob("*") if path.is_file()} == before


def test_a_token_never_shows(url: str):
    token = "open-" + "sesame-42"
    process = start("--url", url, "serve", "--port", "0", "--token", token)
    assert process.stderr is not None
    said = process.stderr.readline() + process.stderr.readline()
    address = next(word for word in said.split() if word.startswith("http"))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(address)
    refused.value.close()
    assert refused.value.code == 401
    asked = urllib.request.Request(address + "api/runs", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked) as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=20)
    assert token not in said + out + rest


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1"])
def test_other_hosts_need_a_token(url: str, host: str):
    process = start("--url", url, "serve", "--port", "0", "--host", host)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "--token" in errors
    assert "Traceback" not in errors


def test_a_prefix_stands_in_the_address_and_is_taken_off(url: str):
    process = start("--url", url, "--json", "serve", "--port", "0", "--prefix", "/user/ann/proxy/8050/")
    assert process.stdout is not None
    lines = ""
    while "}" not in lines:
        lines += process.stdout.readline()
    told = json.loads(lines)["url"]
    assert told.endswith("/user/ann/proxy/8050/")
    for address in (told, told.replace("/user/ann/proxy/8050", "")):
        with urllib.request.urlopen(address + "api/runs") as answer:
            assert json.load(answer)["runs"][0]["universe"] == "u"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_a_prefix_that_is_no_path_is_one_line(url: str):
    process = start("--url", url, "serve", "--port", "0", "--prefix", "user")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.count("\n") == 1
    assert "the prefix must be a path" in errors
