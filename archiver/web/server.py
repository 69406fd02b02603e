"""The server: the guarded application on a socket, served by waitress."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from archiver.archive import Archive
from archiver.base.memory import return_large_blocks
from archiver.errors import ArchiverError, ConfigError
from archiver.web.guard.security import Guard, Rules, is_loopback, rules_for
from archiver.web.reading.data import Data

_THREADS = 8
_IN_MEMORY = 32 * 1024 * 1024
"""Larger answers wait in a temporary file until they are fetched."""
_AHEAD = 1024 * 1024
"""So much of an answer that is made piece by piece may wait for a slow reader."""
_FIRST_PAGE = 1.5
"""Seconds for which the processor is left to the first page before all metrics are read."""
_LOOK_SECONDS = 0.5
"""How often silent connections are looked for while nothing else happens."""
_CONNECTIONS = 500
_SILENT_SECONDS = 5.0
"""After so long a connection goes that asks nothing, or whose request is still not whole: a hand of them must not
keep all others out."""


def make_wsgi(archive: Archive, rules: Rules) -> Guard:
    """Return the whole application over an archive as WSGI. Raises ConfigError for one that could be written to."""
    from dataclasses import replace

    if not archive.store.read_only:
        raise ConfigError(
            "the pages take an archive that was opened read-only: archiver.open(url, read_only=True)"
        )
    data = Data(archive)
    threading.Thread(target=_warm, args=(data,), daemon=True, name="archiver-web-warm").start()
    from archiver.web.app import make_app

    # PyArrow loads pandas when it first feels like it, and Plotly fails on a pandas that is half loaded: so load it
    # now, where it is installed.
    with suppress(ImportError):
        import_module("pandas")
    server, _, hashes = make_app(data)
    return Guard(server.wsgi_app, replace(rules, script_hashes=hashes))


class Server:
    """A bound server: `run` serves until `close`, which any thread may call."""

    def __init__(self, application: Any, host: str, port: int) -> None:
        """Bind. Raises ConfigError for an address that cannot be listened on."""
        import waitress
        import waitress.wasyncore

        self._sockets: dict[int, Any] = {}
        self._begun: dict[Any, float] = {}
        self._ended = threading.Event()
        try:
            self._server = waitress.create_server(
                application,
                map=self._sockets,
                host=host.strip("[]"),
                port=port,
                threads=_THREADS,
                ident=None,
                max_request_body_size=1_000_000,
                outbuf_overflow=_IN_MEMORY,
                outbuf_high_watermark=_AHEAD,
                clear_untrusted_proxy_headers=True,
                connection_limit=_CONNECTIONS,
                asyncore_use_poll=True,
            )
        except OSError as error:
            waitress.wasyncore.close_all(self._sockets, ignore_all=True)
            reason = error.strerror or str(error)
            raise ConfigError(f"cannot listen on {host}:{port} ({reason}): choose another --port") from None
        # A name such as localhost may stand for several addresses.
        several = getattr(self._server, "effective_listen", None)
        self.port = int(several[0][1] if several else self._server.effective_port)

    def run(self) -> None:
        """Serve requests; returns once closed, or raises KeyboardInterrupt."""
        from waitress import wasyncore

        try:
            while not self._ended.is_set():
                wasyncore.loop(timeout=_LOOK_SECONDS, use_poll=True, map=self._sockets, count=1)
                self._drop_silent()
        finally:
            self.leave()

    def _drop_silent(self) -> None:
        """Close connections that have asked for nothing, or only begun to ask, for too long; bytes one by one do not
        help: the time of a request counts from its first."""
        now, begun = time.time(), {}
        for channel in list(self._sockets.values()):
            if not hasattr(channel, "requests") or channel.requests or channel.total_outbufs_len:
                continue  # it listens, or an answer is being made or sent
            if channel.request is None:
                since = channel.last_activity
            else:
                since = begun[channel.request] = self._begun.get(channel.request, now)
            if now - since > _SILENT_SECONDS:
                channel.handle_close()
        self._begun = begun

    def leave(self) -> None:
        """Let go of the port without having served."""
        from waitress import wasyncore

        self._server.task_dispatcher.shutdown()
        wasyncore.close_all(self._sockets)

    def close(self) -> None:
        """Let `run` return, at once."""
        self._ended.set()
        for listening in list(self._sockets.values()):
            if hasattr(listening, "pull_trigger"):
                with suppress(OSError):  # it has just been left
                    listening.pull_trigger()


def make_server(
    archive: Archive,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str | None = None,
    names: Sequence[str] = (),
    prefix: str = "",
    bound: Callable[[int], object] = lambda _: None,
) -> Server:
    """Bind a server to a host and port (0: any free one).

    Arguments:
        archive: opened read-only.
        host: an address or name of this machine.
        port: 0 to 65535.
        token: what a visitor must know; needed for any host but loopback.
        names: further host names people reach the server by.
        prefix: the path below which a proxy serves the pages, where it passes that path on or tokens are used.
        bound: is told the port as soon as browsers may knock: they are answered once the pages are loaded.

    Raises ConfigError when the host needs a token, the prefix is no path, or the port is taken.
    """
    if not is_loopback(host) and not token:
        raise ConfigError(
            f"{host or 'that host'} can be reached from other machines: give --token, or stay on 127.0.0.1"
        )
    if token is not None and not (
        token and token.isascii() and token.isprintable() and token.strip() == token
    ):
        raise ConfigError("the token must be printable ASCII without spaces at its ends")
    logging.getLogger("waitress").setLevel(logging.ERROR)
    rules, pages = rules_for(host, token, names, prefix), _Pages()
    for needed in ("dash", "dash_ag_grid"):
        if find_spec(needed) is None:
            raise ModuleNotFoundError(f"{needed} is not installed", name=needed)
    return_large_blocks()
    server = Server(pages, host, port)
    try:
        bound(server.port)
        pages.answer = make_wsgi(archive, rules)
    except BaseException:
        server.leave()
        raise
    return server


class _Pages:
    """The application, for a server that is bound before there is one."""

    answer: Guard

    def __call__(self, environ: Any, start: Any) -> Any:
        return self.answer(environ, start)


def _warm(data: Data) -> None:
    """Read what the first page will ask for while the browser loads its scripts, and later all there is."""
    try:
        data.headline()
        if not data.has_many():  # of many runs all metrics take gigabytes, which not every visitor asks for
            time.sleep(_FIRST_PAGE)
            data.metrics()
    except ArchiverError:
        pass  # the page that needs it says what is wrong
    except Exception:
        logging.getLogger("archiver.web").debug("warming up failed", exc_info=True)
