"""What stands in front of every request: Host, token, origin, method; and the headers of every answer."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from archiver.errors import ConfigError

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
App = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

CALLBACKS = "/_dash-update-component"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_LARGEST_BODY = 1_000_000
_LONGEST_QUERY = 16_000


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may ask: names that the Host header may hold, whether any IP address may, and the token.

    `names` are those of `hosts` that a proxy is reached by; `prefix` is the path it serves the pages below, without `/` at its end.
    """

    hosts: frozenset[str] = LOOPBACK
    any_address: bool = False
    token: str | None = None
    script_hashes: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    prefix: str = ""


def rules_for(host: str, token: str | None, names: Sequence[str] = (), prefix: str = "") -> Rules:
    """Return the rules for a server bound to this host.

    Arguments:
        host: the address or name that is listened on.
        token: what a visitor must know.
        names: further names people reach it by.
        prefix: the path below which a proxy serves the pages, such as /user/ann/proxy/8765.

    Raises ConfigError for a prefix that is no path.
    """
    extra = frozenset(name.lower() for name in names)
    prefix = _checked_prefix(prefix)
    if is_loopback(host):
        return Rules(LOOPBACK | {host.lower()} | extra, token=token, names=extra, prefix=prefix)
    own = {socket.gethostname().lower(), socket.getfqdn().lower(), host.lower()}
    any_address = host in ("0.0.0.0", "::", "")  # noqa: S104 - asked, not bound
    return Rules(LOOPBACK | own | extra, any_address, token, names=extra, prefix=prefix)


def _checked_prefix(prefix: str) -> str:
    path = prefix.rstrip("/")
    if path and not re.fullmatch(r"(/[A-Za-z0-9._~@:%+-]+)+", path):
        raise ConfigError(f"the prefix must be a path such as /user/ann/proxy/8765, not {prefix[:80]!r}")
    return path


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a server bound to the host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """A WSGI application that refuses what must not be asked, and passes the rest on."""

    def __init__(self, app: App, rules: Rules) -> None:
        """Stand in front of `app`."""
        self._app = app
        self._rules = rules
        # The cookie proves the token without holding it.
        self._session = (
            hmac.new(rules.token.encode(), b"archiver web session", hashlib.sha256).hexdigest()
            if rules.token
            else ""
        )
        # Browsers send a machine's cookies to all of its ports: two servers side by side must not share a name.
        self._cookie = f"archiver-{self._session[:8]}"
        self._headers: Headers = [
            ("Content-Security-Policy", _policy(rules.script_hashes)),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
            ("X-Robots-Tag", "noindex, nofollow"),
        ]

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""

        def start(status: str, headers: Headers, exc_info: Any = None) -> Any:
            own = {name.lower() for name, _ in self._headers}
            kept = [(name, value) for name, value in headers if name.lower() not in own | {"server"}]
            if not any(name.lower() == "cache-control" for name, _ in kept):
                kept.append(("Cache-Control", "no-store"))
            return start_response(status, kept + self._headers, exc_info)

        environ, moved = self._below_prefix(environ)
        refusal = self._refusal(environ)
        if refusal is not None:
            status, text = refusal
            extra = [("Allow", "GET, HEAD")] if status.startswith("405") else []
            return _answer(start, status, _worded(environ, text), extra)
        if moved is not None:
            return _answer(start, "308 Permanent Redirect", "", [("Location", moved)])
        if self._rules.token is not None:
            if not self._known(environ):
                extra = [("WWW-Authenticate", 'Bearer realm="archiver"')]
                return _answer(start, "401 Unauthorized", _worded(environ, _HOW_TO_ENTER), extra)
            moved = self._without_token(environ)
            if moved is not None:
                cookie = f"{self._cookie}={self._session}; HttpOnly; SameSite=Lax; Path={self._rules.prefix}/"
                return _answer(start, "303 See Other", "", [("Location", moved), ("Set-Cookie", cookie)])
        return self._app(environ, start)

    def _below_prefix(self, environ: Environ) -> tuple[Environ, str | None]:
        """Take the prefix from the path, if the proxy left it there; also return where a path without its `/` leads."""
        own, path = self._rules.prefix, environ.get("PATH_INFO", "")
        shown = unquote(own, encoding="latin-1")
        if not own or not (path + "/").startswith(shown + "/"):
            return environ, None
        rest = path[len(shown) :]
        query = environ.get("QUERY_STRING", "")
        return environ | {"PATH_INFO": rest}, None if rest else f"{own}/" + (f"?{query}" if query else "")

    def _refusal(self, environ: Environ) -> tuple[str, str] | None:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        if not self._host_allowed(environ.get("HTTP_HOST", "")):
            return "421 Misdirected Request", "this server does not answer to that host name"
        if method not in ("GET", "HEAD") and not (method == "POST" and path == CALLBACKS):
            return "405 Method Not Allowed", "the archive is read-only here: only GET and HEAD"
        if self._from_elsewhere(environ):
            return "403 Forbidden", "requests from other sites are refused"
        if len(environ.get("QUERY_STRING", "")) > _LONGEST_QUERY:
            return "414 URI Too Long", "the address is too long"
        try:
            length = int(environ.get("CONTENT_LENGTH") or 0)
        except ValueError:
            return "400 Bad Request", "the length is no number"
        if length > _LARGEST_BODY:
            return "413 Content Too Large", "the request is too large"
        if method == "POST" and not environ.get("CONTENT_TYPE", "").startswith("application/json"):
            return "415 Unsupported Media Type", "only JSON is taken"
        return None

    def _host_allowed(self, value: str) -> bool:
        """Tell whether the Host header names us: another name would be DNS rebinding."""
        try:
            host = (urlsplit(f"//{value}").hostname or "").lower()
        except ValueError:
            return False
        if any(char in value for char in "/@?#\\ "):
            return False
        if host in self._rules.hosts:
            return True
        if not self._rules.any_address:
            return False
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True

    def _from_elsewhere(self, environ: Environ) -> bool:
        """Tell whether a page of another site makes the request; following a link to a page is no such thing."""
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and not self._is_own(origin, environ.get("HTTP_HOST", "")):
            return True
        site = environ.get("HTTP_SEC_FETCH_SITE", "none")
        if site in ("same-origin", "none"):
            return False
        link = (
            environ["REQUEST_METHOD"] in ("GET", "HEAD")
            and environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
            and environ.get("HTTP_SEC_FETCH_DEST") == "document"
            and not environ.get("PATH_INFO", "").startswith(("/api", "/_"))
        )
        return not link

    def _is_own(self, origin: str, host: str) -> bool:
        """Tell whether a page of ours asks: a proxy may have put another Host in place of the one it is reached by."""
        try:
            parted = urlsplit(origin)
            return parted.netloc.lower() == host.lower() or (parted.hostname or "") in self._rules.names
        except ValueError:
            return False

    def _known(self, environ: Environ) -> bool:
        token = (self._rules.token or "").encode()
        scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        asked = dict(parse_qsl(environ.get("QUERY_STRING", ""))).get("token", "")
        try:
            cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(self._cookie)
        except CookieError:
            cookie = None
        # All three are compared, whatever the first ones gave: the time taken tells nothing.
        found = [
            hmac.compare_digest(given.strip().encode() if scheme.lower() == "bearer" else b"", token),
            hmac.compare_digest(asked.encode("utf-8", "surrogatepass"), token),
            hmac.compare_digest((cookie.value if cookie else "").encode(), self._session.encode()),
        ]
        return any(found)

    def _without_token(self, environ: Environ) -> str | None:
        """Return where to go when the token stands in the address of a page, so that it does not stay there."""
        pairs = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        path = environ.get("PATH_INFO", "/")
        if environ["REQUEST_METHOD"] != "GET" or path.startswith("/api") or "token" not in dict(pairs):
            return None
        rest = urlencode([(name, value) for name, value in pairs if name != "token"])
        # Relative, as all our addresses: a proxy may serve the page below another path.
        name = path.encode("latin-1").decode("utf-8", "replace").rsplit("/", 1)[-1]
        clean = "./" + quote(name, safe="")
        return clean + (f"?{rest}" if rest else "")


def _policy(script_hashes: Sequence[str]) -> str:
    """Return what a page may load: our own files, and the inline scripts with these hashes."""
    rules = {
        "default-src": "'none'",
        "script-src": " ".join(["'self'", *script_hashes]),
        # Plotly and AG Grid write style sheets while they run.
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "object-src": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


_HOW_TO_ENTER = (
    "a token is needed: open the address that `archiver serve` printed, or send `Authorization: Bearer`"
)


def _worded(environ: Environ, text: str) -> str:
    """Return a refusal as who asks can read it: programs of the API get JSON, as for every other error."""
    path = environ.get("PATH_INFO", "")
    if path != "/api" and not path.startswith("/api/"):
        return text
    return json.dumps({"error": {"kind": "Error", "message": text}})


def _answer(start: Callable[..., Any], status: str, text: str, extra: Headers) -> Iterable[bytes]:
    body = (text + "\n").encode() if text else b""
    kind = "application/json" if text.startswith("{") else "text/plain; charset=utf-8"
    start(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *extra])
    return [body]
