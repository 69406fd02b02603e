"""HTTP as servers speak it, well and badly."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from archiver.store.failures import TruncatedError
from archiver.store.s3.connections import Connections, Timeouts

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Script = Callable[[socket.socket, int], None]


class Server:
    """Runs a script for each connection: it gets the socket and the connection's number."""

    def __init__(self) -> None:
        self.script: Script = lambda sock, number: None
        self.accepted = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._socket.accept()
                self.accepted += 1
                threading.Thread(target=self._one, args=(sock, self.accepted), daemon=True).start()

    def _one(self, sock: socket.socket, number: int) -> None:
        with sock, suppress(OSError):
            self.script(sock, number)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def connections(server: Server) -> Iterator[Connections]:
    found = Connections("127.0.0.1", server.port, None, Timeouts(2, 2), 4)
    yield found
    found.close()


def heard(sock: socket.socket) -> bytes:
    """Read one request without the body; empty at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(1)
        if not more:
            return b""
        data += more
    return data


def answering(*answers: bytes) -> Script:
    """Give these answers on each connection, one a request, and end it."""

    def script(sock: socket.socket, _: int) -> None:
        for answer in answers:
            if not heard(sock):
                return
            sock.sendall(answer)

    return script


def ask(connections: Connections, method: str = "GET", body: bytes = b"", seconds: float = 5) -> Any:
    return connections.send(method, "/x?y=z", {"host": "h"}, body, seconds)


def test_a_connection_is_kept(server: Server, connections: Connections) -> None:
    server.script = answering(OK, OK, OK)
    assert [ask(connections).body for _ in range(3)] == [b"ok"] * 3
    assert server.accepted == 1


def test_a_connection_that_was_closed_meanwhile_costs_nothing(
    server: Server, connections: Connections
) -> None:
    server.script = answering(OK)
    for _ in range(4):
        assert ask(connections).body == b"ok"
    assert server.accepted == 4


def test_one_that_is_closed_when_the_request_comes_is_tried_at_once_anew(
    server: Server, connections: Connections
) -> None:
    def script(sock: socket.socket, number: int) -> None:
        for _ in range(3 if number > 1 else 1):
            heard(sock)
            sock.sendall(OK)
        heard(sock)  # and no answer

    server.script = script
    for _ in range(3):
        assert ask(connections).body == b"ok"
    assert server.accepted == 2


def test_one_that_never_answers_is_not_tried_for_ever(server: Server, connections: Connections) -> None:
    server.script = lambda sock, number: heard(sock) and None
    with pytest.raises(ConnectionError, match="closed the connection before it answered"):
        ask(connections)
    assert server.accepted == 1


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: r\r\n\r\n",
            b"abcde",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold", b"old"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200\r\nContent-Length: 1\r\n\r\ny", b"y"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", b""),
    ],
)
def test_ways_to_end_a_body(server: Server, connections: Connections, answer: bytes, body: bytes) -> None:
    server.script = answering(answer)
    for _ in range(2):
        assert ask(connections).body == body


def test_the_answer_to_head_has_no_body(server: Server, connections: Connections) -> None:
    server.script = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", OK)
    assert ask(connections, "HEAD").headers == {"content-length": "7"}
    assert ask(connections).body == b"ok"
    assert server.accepted == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999999\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
)
def test_half_an_answer_is_none(server: Server, connections: Connections, answer: bytes) -> None:
    server.script = answering(answer)
    with pytest.raises(TruncatedError):
        ask(connections)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
    ],
)
def test_nonsense_is_no_answer(server: Server, connections: Connections, answer: bytes) -> None:
    server.script = answering(answer)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        ask(connections)


@pytest.mark.parametrize("silent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"])
def test_a_server_that_drips_does_not_outlast_the_deadline(
    server: Server, connections: Connections, silent: bytes
) -> None:
    def script(sock: socket.socket, _: int) -> None:
        heard(sock)
        sock.sendall(silent)
        for _ in range(9):
            time.sleep(0.1)  # less than the wait for the next byte
            sock.sendall(b"x")

    server.script = script
    with pytest.raises(TimeoutError):
        ask(connections, seconds=0.25)


def test_a_large_body_waits_for_leave(server: Server, connections: Connections) -> None:
    got: list[int] = []

    def script(sock: socket.socket, _: int) -> None:
        assert b"expect: 100-continue" in heard(sock)
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        left = len(body)
        while left:
            left -= len(sock.recv(min(left, 1 << 16)))
        got.append(left)
        sock.sendall(OK)

    server.script = script
    body = bytes(1 << 20)
    assert ask(connections, "PUT", body).body == b"ok"
    assert got == [0]


def test_a_large_body_is_not_sent_to_who_refuses_it(server: Server, connections: Connections) -> None:
    server.script = answering(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    assert ask(connections, "PUT", bytes(1 << 20))[::2] == (403, b"no")


def test_a_server_that_gives_no_leave_gets_the_body_all_the_same(
    server: Server, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archiver.store.s3.connections._LEAVE_SECONDS", 0.1)

    def script(sock: socket.socket, _: int) -> None:
        heard(sock)
        left = 1 << 20
        while left:
            left -= len(sock.recv(min(left, 1 << 16)))
        sock.sendall(OK)

    server.script = script
    assert ask(connections, "PUT", bytes(1 << 20)).body == b"ok"


def test_a_refusal_is_heard_although_the_server_stopped_listening(
    server: Server, connections: Connections
) -> None:
    def script(sock: socket.socket, _: int) -> None:
        heard(sock)
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        sock.recv(1 << 16)
        sock.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 4\r\n\r\nlate")
        sock.shutdown(socket.SHUT_WR)
        time.sleep(0.2)

    server.script = script
    assert ask(connections, "PUT", bytes(64 << 20))[::2] == (503, b"late")


def test_a_header_cannot_smuggle_another(server: Server, connections: Connections) -> None:
    server.script = answering(OK)
    with pytest.raises(ValueError, match="line break"):
        connections.send("GET", "/", {"host": "h", "x": "a\r\ny: b"}, b"", 5)


def test_a_large_answer_over_a_slow_link_is_not_cut_off(server: Server, connections: Connections) -> None:
    def script(sock: socket.socket, _: int) -> None:
        heard(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(10):
            sock.sendall(bytes(100_000))
            time.sleep(0.05)

    server.script = script
    assert len(ask(connections, seconds=0.25).body) == 1_000_000
