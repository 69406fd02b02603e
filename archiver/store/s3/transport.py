"""How requests reach an S3 server: by connections of our own, or by botocore's where proxies or client certificates ask for it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from archiver.errors import ConfigError
from archiver.store.failures import TruncatedError
from archiver.store.s3.connections import Answer, Connections, Timeouts

_CONNECT_SECONDS, _READ_SECONDS = 60.0, 60.0
"""What botocore waits where its configuration does not say."""


class Transport(Protocol):
    """Something that sends requests to one server."""

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> Answer:
        """Send one request and read its answer."""

    def close(self) -> None:
        """Close what is kept open."""


class Transports(dict[str, Transport]):
    """Transports by origin."""

    def close(self) -> None:
        """Close what is kept open."""
        for transport in list(self.values()):
            transport.close()


def verification(session: Any, given: Any) -> bool | str:
    """Return what the user trusts: a bundle of certificates, True for the usual ones, False for all."""
    if given is None:
        given = session.get_config_variable("ca_bundle")
    if given is None:
        given = os.environ.get("REQUESTS_CA_BUNDLE")
    found: bool | str = True if given is None else given
    return found


def make_transport(origin: str, config: Any, verify: bool | str, kept: int) -> Transport:
    """Return the way to a server. config: a client's; kept: connections that wait for later use, at most.

    Raises ConfigError when what is to be trusted cannot be read.
    """
    from botocore.utils import get_environ_proxies

    parts = urlsplit(origin)
    proxies = get_environ_proxies(origin) if config.proxies is None else config.proxies
    tls = _tls(verify) if parts.scheme == "https" else None
    timeouts = Timeouts(config.connect_timeout or _CONNECT_SECONDS, config.read_timeout or _READ_SECONDS)
    if proxies.get(parts.scheme) or config.client_cert or config.proxies_config or config.tcp_keepalive:
        return _Botocores(origin, config, proxies, verify, timeouts, kept)
    return Connections(parts.hostname or "", parts.port, tls, timeouts, kept)


def _tls(verify: bool | str) -> ssl.SSLContext:
    from botocore.httpsession import create_urllib3_context, get_cert_path

    context: ssl.SSLContext = create_urllib3_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    place = os.fspath(get_cert_path(verify))
    try:
        if os.path.isdir(place):  # noqa: PTH112 - a path as text
            context.load_verify_locations(capath=place)
        else:
            context.load_verify_locations(cafile=place)
    except OSError as error:  # an SSLError too
        raise ConfigError(
            f"the CA bundle {place} cannot be read ({error.strerror or error}): correct AWS_CA_BUNDLE or the option verify"
        ) from error
    return context


class _Botocores:
    """botocore's own connections, which know proxies of every kind."""

    def __init__(
        self,
        origin: str,
        config: Any,
        proxies: Mapping[str, str],
        verify: bool | str,
        timeouts: Timeouts,
        kept: int,
    ) -> None:
        import socket

        from botocore.httpsession import URLLib3Session

        keep_alive = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)] if config.tcp_keepalive else []
        self._origin = origin
        self._http = URLLib3Session(
            verify=verify,
            proxies=proxies,
            timeout=tuple(timeouts),
            max_pool_connections=kept,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), *keep_alive],
            client_cert=config.client_cert,
            proxies_config=config.proxies_config,
        )

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> Answer:
        """Send one request and read its answer."""
        from botocore.awsrequest import AWSPreparedRequest, HeadersDict

        waits = {"read_timeout": seconds}
        request = AWSPreparedRequest(
            method, self._origin + target, HeadersDict(headers), body or None, False, waits
        )
        response = self._http.send(request)
        found = {name.lower(): value for name, value in response.headers.items()}
        data: bytes = response.content
        announced = found.get("content-length")
        if method != "HEAD" and announced is not None and len(data) != int(announced):
            raise TruncatedError(f"{len(data)} of {announced} bytes arrived")
        return Answer(response.status_code, found, data)

    def close(self) -> None:
        """Close what is kept open."""
        self._http.close()
