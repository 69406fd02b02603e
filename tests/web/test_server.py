"""The server answers, whoever else has connected and says nothing."""

from __future__ import annotations

import select
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

import archiver
from archiver.web.server import Server, make_server
from tests.stores import result


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    archive = archiver.open(tmp_path / "archive")
    archive.save_universe_results("u", [result("s")], code="none")
    made = make_server(archiver.open(tmp_path / "archive", read_only=True), port=0)
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.close()
    thread.join()


def test_half_open_connections_neither_stop_it_nor_stay(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archiver.web.server._SILENT_SECONDS", 1.0)
    begins = [b"", b"GET / HTTP/1.1\r\nHost: loc", b"POST / HTTP/1.1\r\nContent-Length: 9999\r\n\r\nx"]
    with ExitStack() as stack:
        held: dict[socket.socket, bytes] = {}
        for begin in begins * 35:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            connection.sendall(begin)
            held[connection] = begin
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/api/runs", timeout=30) as answer:
            assert answer.status == 200
        until = time.monotonic() + 30
        slow = [connection for connection in list(held)[:3] if held[connection]]
        while held and time.monotonic() < until:
            for connection in slow:
                with suppress(OSError):
                    connection.sendall(b"x")  # one byte at a time is no better
            for connection in select.select(list(held), [], [], 0.1)[0]:
                with suppress(ConnectionError):
                    if connection.recv(65536):
                        continue
                del held[connection]
        assert not held


def test_who_knocks_before_the_pages_are_loaded_is_answered_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archiver.web.server._LOOK_SECONDS", 3600)  # the end is no matter of looking
    archiver.open(tmp_path / "a").save_universe_results("u", [result("s")], code="none")
    knocked = []

    def knock(port: int) -> None:
        knocked.append(socket.create_connection(("127.0.0.1", port)))
        knocked[0].sendall(b"GET /api/runs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    made = make_server(archiver.open(tmp_path / "a", read_only=True), port=0, bound=knock)
    thread = threading.Thread(target=made.run)
    thread.start()
    with knocked[0] as connection:
        connection.settimeout(30)
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 200 OK")
    made.close()
    thread.join(30)
    assert not thread.is_alive()


def test_what_cannot_be_loaded_is_told_and_lets_go_of_the_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archiver.open(tmp_path / "a").save_universe_results("u", [result("s")], code="none")
    archive = archiver.open(tmp_path / "a", read_only=True)
    ports: list[int] = []

    def fail(port: int) -> None:
        ports.append(port)
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        make_server(archive, port=0, bound=fail)
    with socket.socket() as free:
        free.bind(("127.0.0.1", ports[0]))
    monkeypatch.setitem(sys.modules, "dash_ag_grid", None)  # as where it is not installed
    with pytest.raises(ModuleNotFoundError, match="dash_ag_grid is not installed"):
        make_server(archive, port=0, bound=fail)
    assert len(ports) == 1
