"""A wire between an S3 client and a server: counts requests by verb, and breaks where a test says so."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Fault(NamedTuple):
    """What happens to a request.

    refuse: closed before the server sees it; lose: the server acts, its answer is lost; truncate: half of
    the answer's body; stall: half of it, then silence; silence: no answer; corrupt: one bit of the request's
    body flips on its way; strip: the server does not see the Range; page: the answer's mark of a further
    page is gone; hang up: the connection ends behind the answer, which did not say so; chunk: the answer comes in
    chunks; answer: the wire answers itself.
    """

    kind: str
    verb: str | None = None
    status: int = 503
    code: str = "SlowDown"
    body: bytes | None = None
    headers: dict[str, str] = {}  # noqa: RUF012 - of a named tuple, and never changed


class Wire:
    """An HTTP proxy on a free port. `counts`: GET PUT HEAD LIST DELETE BULK START PART FINISH ABORT."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream.removeprefix("http://")
        self.counts: Counter[str] = Counter()
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.connections = 0
        self.at_once = 0
        self.most_at_once = 0
        self.delay = 0.0
        self.always: Fault | None = None
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self._faults: deque[Fault] = deque()
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Else a body waits until the head has been acknowledged, which the client delays.
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                with wire.lock:
                    wire.connections += 1

            def log_message(self, *arguments: object) -> None:
                pass

            def do(self) -> None:
                _exchange(wire, self)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do  # noqa: N815 - names that http.server calls

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients that give up are what is tested

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Wire:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def fault(self, kind: str, verb: str | None = None, times: int = 1, **more: Any) -> None:
        """Let the next requests (of one verb) fail in a way that Fault describes."""
        self._faults.extend([Fault(kind, verb, **more)] * times)

    def reset(self) -> None:
        """Forget what was counted."""
        with self.lock:
            self.counts.clear()
            self.seen.clear()
            self.connections = 0

    def take(self, verb: str) -> Fault | None:
        """Return the fault that this request meets."""
        with self.lock:
            for fault in self._faults:
                if fault.verb in (None, verb):
                    self._faults.remove(fault)
                    return fault
        return self.always if self.always and self.always.verb in (None, verb) else None


def _verb(method: str, path: str) -> str:
    query = parse_qs(urlsplit(path).query, keep_blank_values=True)
    if method == "GET" and "list-type" in query:
        return "LIST"
    if method == "POST":
        return "BULK" if "delete" in query else "START" if "uploads" in query else "FINISH"
    if method == "PUT" and "partNumber" in query:
        return "PART"
    return "ABORT" if method == "DELETE" and "uploadId" in query else method


def _exchange(wire: Wire, client: BaseHTTPRequestHandler) -> None:
    verb = _verb(client.command, client.path)
    body = client.rfile.read(int(client.headers.get("Content-Length") or 0))
    with wire.lock:
        wire.counts[verb] += 1
        wire.seen.append((verb, client.path, {name.lower(): value for name, value in client.headers.items()}))
        wire.at_once += 1
        wire.most_at_once = max(wire.most_at_once, wire.at_once)
    try:
        if wire.delay:
            time.sleep(wire.delay)
        _pass(wire, client, body, wire.take(verb))
    finally:
        with wire.lock:
            wire.at_once -= 1


def _pass(wire: Wire, client: BaseHTTPRequestHandler, body: bytes, fault: Fault | None) -> None:
    kind = fault.kind if fault else ""
    if kind == "refuse":
        client.close_connection = True
    elif kind == "silence":
        wire.closing.wait()
        client.close_connection = True
    elif kind == "answer":
        assert fault is not None
        text = fault.body
        if text is None:
            text = f"<Error><Code>{fault.code}</Code><Message>as the test says</Message></Error>".encode()
        said = {"Content-Type": "application/xml", "Content-Length": str(len(text)), **fault.headers}
        _answer(client, fault.status, said, text)
    else:
        status, headers, answer = _forward(wire, client, body, kind)
        if kind == "lose":
            client.close_connection = True
        elif kind in ("truncate", "stall"):
            _answer(client, status, headers, answer[: len(answer) // 2])
            if kind == "stall":
                wire.closing.wait()
            client.close_connection = True
        elif kind == "chunk" and client.command != "HEAD":
            del headers["Content-Length"]
            half = len(answer) // 2
            parts = [part for part in (answer[:half], answer[half:]) if part] + [b""]
            coded = b"".join(b"%x;x=y\r\n%s\r\n" % (len(part), part) for part in parts)
            _answer(client, status, {**headers, "Transfer-Encoding": "chunked"}, coded)
        else:
            _answer(client, status, headers, answer)
            client.close_connection |= kind == "hang up"


def _forward(
    wire: Wire, client: BaseHTTPRequestHandler, body: bytes, kind: str
) -> tuple[int, dict[str, str], bytes]:
    if kind == "corrupt" and body:
        body = bytes([body[0] ^ 1]) + body[1:]
    skip = {"connection", "expect"} | ({"range"} if kind == "strip" else set())
    sent = {name: value for name, value in client.headers.items() if name.lower() not in skip}
    upstream = http.client.HTTPConnection(wire.upstream, timeout=30)
    try:
        upstream.request(client.command, client.path, body=body or None, headers=sent)
        response = upstream.getresponse()
        answer = response.read()
        headers = dict(response.getheaders())
    finally:
        upstream.close()
    if kind == "page":
        answer = _without_token(answer)
    if client.command != "HEAD":
        headers = {name: value for name, value in headers.items() if name.lower() != "transfer-encoding"}
        headers["Content-Length"] = str(len(answer))
    headers.pop("Connection", None)
    return response.status, headers, answer


def _without_token(answer: bytes) -> bytes:
    begin, end = b"<NextContinuationToken>", b"</NextContinuationToken>"
    head, _, rest = answer.partition(begin)
    return head + rest.partition(end)[2] if rest else answer


def _answer(client: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
    client.send_response_only(status)
    for name, value in headers.items():
        client.send_header(name, value)
    client.end_headers()
    if client.command != "HEAD":
        client.wfile.write(body)
