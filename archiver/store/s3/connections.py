"""HTTP/1.1 to one server over connections that are kept: a request out, an answer in, within so many seconds.

Much less than what http.client can do, and half of its cost: a body is bytes, an answer is read whole.
"""

from __future__ import annotations

import http.client
import os
import select
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from archiver.store.failures import TruncatedError
from archiver.store.limits import SLOW_LINK

_SMALL_BODY = 256 << 10
"""A larger one is not sent in vain: a server that refuses it might close the connection before its answer is read."""
_LEAVE_SECONDS = 1.0
"""How long to wait for the server's leave to send a body; some never give it."""
_CHUNK = 1 << 18
_MOST_HEAD = 1 << 16
_MOST_AT_ONCE = 64 << 20
"""Memory taken for a body before its bytes are there."""


class Answer(NamedTuple):
    """What a server answered; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Timeouts(NamedTuple):
    """Seconds to wait for a connection, and for the next byte."""

    connect: float
    read: float


class StaleError(ConnectionError):
    """The server closed a kept connection before it had answered anything."""


class Connections:
    """Connections to one server. Any number of threads may use them at once; at most `kept` wait for later use."""

    def __init__(
        self, host: str, port: int | None, tls: ssl.SSLContext | None, timeouts: Timeouts, kept: int
    ) -> None:
        """Take the server's address, and for https what is trusted; nothing is connected yet."""
        self._host, self._port, self._tls = host, port, tls
        self._timeouts = timeouts
        self._kept = kept
        self._idle: list[_Connection] = []
        self._process = os.getpid()

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> Answer:
        """Send one request and read its answer.

        target: path and query, percent-encoded; headers: Host among them, without Content-Length; seconds: after
        which the exchange is given up, and what arrives adds to them as if the link were slow.

        Raises OSError, TruncatedError or http.client.HTTPException.
        """
        until = time.monotonic() + seconds
        connection = self._take(until)
        try:
            try:
                answer = connection.exchange(method, target, headers, body, until)
            except StaleError:
                # Closed while it was kept, which says nothing of this request: a new one is tried at once.
                connection.close()
                connection = self._connect(until)
                answer = connection.exchange(method, target, headers, body, until)
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)
        return answer

    def close(self) -> None:
        """Close what is kept; a later request connects again."""
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()

    def _take(self, until: float) -> _Connection:
        if os.getpid() != self._process:
            # After a fork: what is open belongs to the parent.
            self._idle, self._process = [], os.getpid()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._connect(until)
            if connection.quiet():
                connection.kept = True
                return connection
            connection.close()

    def _give_back(self, connection: _Connection) -> None:
        if connection.open and len(self._idle) < self._kept and os.getpid() == self._process:
            self._idle.append(connection)
        else:
            connection.close()

    def _connect(self, until: float) -> _Connection:
        seconds = min(self._timeouts.connect, _left(until))
        # It knows how to find the address, how to begin TLS and which name the certificate must have.
        opener: http.client.HTTPConnection
        if self._tls is None:
            opener = http.client.HTTPConnection(self._host, self._port, timeout=seconds)
        else:
            opener = http.client.HTTPSConnection(self._host, self._port, timeout=seconds, context=self._tls)
        try:
            opener.connect()
        except BaseException:
            opener.close()
            raise
        return _Connection(opener, self._timeouts.read)


class _Connection:
    """One connection: requests go out one after another, each answer is read to its end."""

    def __init__(self, opener: http.client.HTTPConnection, read_seconds: float) -> None:
        self._socket: socket.socket = opener.sock
        self._opener = opener
        self._seconds = read_seconds
        self._buffer = bytearray()
        self._until = 0.0
        self.kept = False
        self.open = True

    def close(self) -> None:
        self.open = False
        self._opener.close()

    def quiet(self) -> bool:
        """Tell whether nothing came since the last answer: neither an end nor a word too much."""
        return not self._buffer and not _readable(self._socket)

    def exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, until: float
    ) -> Answer:
        """Send a request and read its answer. Raises StaleError where a kept connection turns out to be closed."""
        self._until = until
        asks = len(body) > _SMALL_BODY
        head = _request_head(method, target, headers, len(body), asks)
        answer = None
        try:
            if not asks:
                self._write(head + body)
            else:
                self._write(head)
                answer = self._refusal(method)
                if answer is None:
                    self._write(body)
        except ConnectionError as error:
            return self._last_words(method, error)
        return answer or self._answer(method)

    def _write(self, data: bytes) -> None:
        with memoryview(data) as view:
            at = 0
            while at < len(view):
                self._socket.settimeout(self._patience())
                at += self._socket.send(view[at : at + _CHUNK])

    def _refusal(self, method: str) -> Answer | None:
        """Wait for the server's leave to send the body; return its answer where it refuses."""
        try:
            status, headers = self._head(_LEAVE_SECONDS)
        except TimeoutError:
            return None
        if status == 100:
            return None
        self.open = False  # the server may or may not wait for the body
        return self._rest(method, status, headers)

    def _last_words(self, method: str, error: ConnectionError) -> Answer:
        """Return what the server said before it stopped to listen."""
        self.open = False
        try:
            return self._answer(method)
        except (OSError, http.client.HTTPException, TruncatedError):
            raise (self._ended("before it answered") if self.kept else error) from error

    def _answer(self, method: str) -> Answer:
        status, headers = self._head()
        while status < 200:  # leave to go on, hints
            status, headers = self._head()
        return self._rest(method, status, headers)

    def _head(self, seconds: float | None = None) -> tuple[int, dict[str, str]]:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _MOST_HEAD:
                raise http.client.HTTPException("the head of the answer has no end")
            silent = not self._buffer
            try:
                more = self._fill(seconds)
            except ConnectionError as error:
                raise (self._ended("before it answered") if silent else error) from error
            if not more:
                raise (
                    self._ended("before it answered") if silent else TruncatedError("half an answer arrived")
                )
        first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, _, rest = first.partition(" ")
        if not version.startswith("HTTP/1.") or not (rest[:3].isascii() and rest[:3].isdigit()):
            raise http.client.BadStatusLine(first[:100])
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        keep = headers.get("connection", "keep-alive" if version == "HTTP/1.1" else "close")
        if keep.lower() == "close":
            self.open = False
        return int(rest[:3]), headers

    def _rest(self, method: str, status: int, headers: dict[str, str]) -> Answer:
        """Read the body that follows a head."""
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            body = self._chunks()
        elif (length := headers.get("content-length")) is not None:
            if not (length.isascii() and length.isdigit()):
                raise http.client.HTTPException(f"content-length {length[:20]!r}")
            body = self._exactly(int(length))
        else:
            self.open = False
            while self._fill():
                pass
            body = bytes(self._buffer)
            self._buffer.clear()
        return Answer(status, headers, body)

    def _chunks(self) -> bytes:
        parts = []
        while True:
            size = self._line().partition(b";")[0].strip()
            try:
                count = int(size, 16)
            except ValueError:
                raise http.client.HTTPException(f"chunk of {size[:20]!r} bytes") from None
            if count < 0:
                raise http.client.HTTPException("a chunk of less than nothing")
            if count == 0:
                break
            parts.append(self._exactly(count))
            self._line()
        while self._line():  # trailers
            pass
        return b"".join(parts)

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > _MOST_HEAD:
                raise http.client.HTTPException("a chunk has no size")
            if not self._fill():
                raise TruncatedError("the body ended within its chunks")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _exactly(self, count: int) -> bytes:
        if count <= len(self._buffer):
            body = bytes(self._buffer[:count])
            del self._buffer[:count]
            return body
        # Memory is taken at once only for what is likely to come.
        data = bytearray(min(count, _MOST_AT_ONCE))
        have = len(self._buffer)
        data[:have] = self._buffer
        self._buffer.clear()
        while have < count:
            if have == len(data):
                data.extend(bytes(min(count - have, _MOST_AT_ONCE)))
            with memoryview(data) as view:
                self._socket.settimeout(self._patience())
                got = self._socket.recv_into(view[have:])
            if not got:
                raise TruncatedError(f"{have} of {count} bytes arrived")
            have += got
            self._until += got / SLOW_LINK
        return bytes(data)

    def _fill(self, seconds: float | None = None) -> int:
        patience = self._patience()
        self._socket.settimeout(patience if seconds is None else min(seconds, patience))
        data = self._socket.recv(_CHUNK)
        self._buffer += data
        self._until += len(data) / SLOW_LINK
        return len(data)

    def _patience(self) -> float:
        return min(self._seconds, _left(self._until))

    def _ended(self, when: str) -> ConnectionError:
        text = f"the server closed the connection {when}"
        return StaleError(text) if self.kept else ConnectionResetError(text)


def _request_head(method: str, target: str, headers: Mapping[str, str], size: int, asks: bool) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if "accept-encoding" not in headers:
        lines.append(
            "accept-encoding: identity"
        )  # not signed, for proxies change it; what is stored is wanted as it is
    if size or method in ("PUT", "POST"):
        lines.append(f"content-length: {size}")
    if asks:
        lines.append("expect: 100-continue")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
        raise ValueError("a header has a line break in it")
    return (text + "\r\n\r\n").encode("latin-1")


def _readable(sock: socket.socket) -> bool:
    if not hasattr(select, "poll"):
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left
