from __future__ import annotations

import re
import threading
import urllib.error
import urllib.request

import pytest
from werkzeug.test import Client

import archiver
from archiver.errors import AccessError, ConfigError
from archiver.web.guard import security
from archiver.web.guard.security import Guard, Rules, is_loopback, rules_for
from archiver.web.server import make_server, make_wsgi
from tests.web.conftest import Made, Served, guarded

TOKEN = "correct-horse-" + "battery"


def passed(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Server", "x")])
    return [b"in"]


OPEN = Rules()


def ask(rules: Rules = OPEN, path: str = "/", method: str = "GET", **headers: str) -> int:
    client = Client(Guard(passed, rules), use_cookies=False)
    base = {"Host": "127.0.0.1:8765"}
    answer = client.open(
        path, method=method, headers=base | {name.replace("_", "-"): v for name, v in headers.items()}
    )
    return answer.status_code


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1:8765", "[::1]:8765", "LOCALHOST"])
def test_own_names_are_answered(host):
    assert ask(Host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8765",
        "10.0.0.1:8765",
        "",
        "localhost@evil.example",
        "[::1",
    ],
)
def test_other_names_are_dns_rebinding(host):
    assert ask(Host=host) == 421


def test_a_bound_address_is_answered_with_a_token_only():
    rules = rules_for("0.0.0.0", TOKEN, ["archive.example"])
    for host in ("10.0.0.1:8765", "archive.example", "localhost"):
        assert ask(rules, Host=host) == 401
        assert ask(rules, Host=host, Authorization=f"Bearer {TOKEN}") == 200
    assert ask(rules, Host="evil.example", Authorization=f"Bearer {TOKEN}") == 421


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"]
)
@pytest.mark.parametrize("path", ["/", "/api/runs", "/api/object?key=archive.json", "/_dash-layout"])
def test_other_methods_are_refused(method, path):
    assert ask(path=path, method=method) == 405


def test_callbacks_take_json_of_a_sensible_size():
    path = security.CALLBACKS
    assert ask(path=path, method="POST", Content_Type="application/json") == 200
    assert ask(path=path, method="POST", Content_Type="text/plain") == 415
    assert ask(path="/api/runs?x=" + "y" * 20_000) == 414
    large = Client(Guard(passed, OPEN)).post(path, json=["x" * 1_000_000], headers={"Host": "localhost"})
    assert large.status_code == 413


@pytest.mark.parametrize("path", ["/api/runs", "/_dash-layout", security.CALLBACKS])
def test_requests_of_other_sites_are_refused(path):
    method = "POST" if path == security.CALLBACKS else "GET"
    kind = {"Content_Type": "application/json"} if method == "POST" else {}
    for headers in (
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "null"},
    ):
        assert ask(path=path, method=method, **kind, **headers) == 403
    assert (
        ask(path=path, method=method, **kind, Origin="http://127.0.0.1:8765", Sec_Fetch_Site="same-origin")
        == 200
    )


def test_a_link_from_elsewhere_to_a_page_may_be_followed_but_not_framed():
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert ask(path="/strategies", Sec_Fetch_Dest="document", **link) == 200
    assert ask(path="/strategies", Sec_Fetch_Dest="iframe", **link) == 403


@pytest.mark.parametrize("given", ["", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "ü"])
def test_wrong_tokens_are_refused_wherever_they_stand(given):
    rules = Rules(token=TOKEN)
    quoted = urllib.request.quote(given)
    assert ask(rules, path=f"/?token={quoted}") == 401
    assert ask(rules, Cookie=f"{session(rules).partition('=')[0]}={quoted}") == 401
    if given.isascii():
        assert ask(rules, Authorization=f"Bearer {given}") == 401
        assert ask(rules, Authorization=f"Basic {TOKEN}") == 401


def test_tokens_are_compared_in_constant_time(monkeypatch):
    compared = []
    real = security.hmac.compare_digest
    monkeypatch.setattr(security.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    assert ask(Rules(token=TOKEN), Authorization=f"Bearer {TOKEN}") == 200
    assert ask(Rules(token=TOKEN)) == 401
    # Whatever was given and whatever fits: the same three comparisons.
    assert len(compared) == 6


def session(rules: Rules) -> str:
    """Return the cookie that the token in an address is exchanged for."""
    answer = Client(Guard(passed, rules)).get(f"/?token={rules.token}", headers={"Host": "localhost"})
    return answer.headers["Set-Cookie"].partition(";")[0]


def test_two_servers_of_one_machine_leave_each_other_signed_in():
    first, second = Rules(token=TOKEN), Rules(token="another")
    # What a browser sends to either port: all cookies of the host, one of each name.
    jar = "; ".join(
        {
            name: f"{name}={value}"
            for name, _, value in (session(rules).partition("=") for rules in (first, second))
        }.values()
    )
    assert [ask(rules, Cookie=jar) for rules in (first, second)] == [200, 200]


def test_a_token_in_the_address_becomes_a_cookie_that_scripts_cannot_read():
    client = Client(Guard(passed, Rules(token=TOKEN)))
    answer = client.get(f"/strategies?sort=-x&token={TOKEN}", headers={"Host": "localhost"})
    assert answer.status_code == 303
    assert answer.headers["Location"] == "./strategies?sort=-x"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert TOKEN not in cookie
    pair = cookie.partition(";")[0]
    assert ask(Rules(token=TOKEN), Cookie=pair) == 200
    assert ask(Rules(token="another"), Cookie=pair) == 401


def test_the_way_on_never_leaves_the_server():
    client = Client(Guard(passed, Rules(token=TOKEN)))
    for path in ("//evil.example/", "/\\evil.example", "///x"):
        answer = client.get(f"http://localhost{path}?token={TOKEN}")
        assert re.fullmatch(r"\./[^/\\?]*", answer.headers["Location"])


def test_headers_are_on_every_answer(client):
    for path, status in (("/", 200), ("/api/runs", 200), ("/api/nothing", 404), ("/assets/style.css", 200)):
        answer = client.get(path, headers={"Host": "localhost"}, buffered=True)
        assert answer.status_code == status
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        script = next(part for part in policy.split("; ") if part.startswith("script-src"))
        assert "unsafe" not in script
        assert "http" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Server" not in answer.headers
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert client.get("/", headers={"Host": "evil.example"}).headers["X-Frame-Options"] == "DENY"


def test_nothing_is_loaded_from_elsewhere(client):
    text = client.get("/", headers={"Host": "localhost"}).text
    addresses = re.findall(r"""(?:src|href)=["']([^"']+)""", text)
    assert len(addresses) > 10
    # Relative: the pages may be served below any path.
    assert all(address.startswith(("assets/", "_dash-component-suites/")) for address in addresses)
    assert '"requests_pathname_prefix":"./"' in text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_loopback_is_known(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_anything_else_needs_a_token(host, plain: Made):
    assert not is_loopback(host)
    with pytest.raises(ConfigError, match="--token"):
        make_server(archiver.open(plain.url, read_only=True), host=host, port=0)


@pytest.mark.parametrize("token", ["", " a", "a\n", "ü"])
def test_tokens_that_cannot_be_sent_are_refused(token, plain: Made):
    with pytest.raises(ConfigError):
        make_server(archiver.open(plain.url, read_only=True), host="127.0.0.1", port=0, token=token)


def test_pages_take_a_read_only_archive_and_nothing_else(plain: Made):
    with pytest.raises(ConfigError, match="read-only"):
        make_wsgi(archiver.open(plain.url), Rules())
    with pytest.raises(AccessError):
        archiver.open(plain.url, read_only=True).store.put("x", b"")


def test_a_taken_port_is_told_in_one_line(plain: Made):
    server = Served(plain.url)
    try:
        with pytest.raises(ConfigError, match="--port"):
            make_server(archiver.open(plain.url, read_only=True), port=server.server.port)
    finally:
        server.close()


@pytest.mark.parametrize(
    "key",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..%2f..%2fetc",
        "runs/../archive.json",
        "runs//x",
        "\\x",
        "",
        "a\0b",
        "./x",
        "%2e%2e/x",
    ],
)
def test_keys_that_leave_the_archive_are_refused(key, client):
    answer = client.get("/api/object", query_string={"key": key}, headers={"Host": "localhost"})
    assert answer.status_code in (400, 404)
    assert b"root:" not in answer.data


@pytest.mark.parametrize(
    "path", ["/assets/../server.py", "/assets/%2e%2e/server.py", "/assets/..%2f..%2fweb/server.py", "/assets//etc/passwd",
             "/_dash-component-suites/dash/../../archiver/web/server.py", "/_dash-component-suites/os/path.py"]
)  # fmt: skip
def test_files_of_the_server_stay_its_own(path, served):
    try:
        with urllib.request.urlopen(served + path) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    assert b"make_server" not in body
    assert b"root:" not in body


def test_many_visitors_at_once_get_the_same(plain: Made):
    app = guarded(plain.url)
    answers: list[bytes] = []

    def visit() -> None:
        client = Client(app)
        path = "/api/metrics?sort=sharpe_ratio&limit=20"
        answers.extend(client.get(path, headers={"Host": "localhost"}).data for _ in range(5))

    threads = [threading.Thread(target=visit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 30
    assert len(set(answers)) == 1


def test_a_server_ends_when_told(plain: Made):
    server = Served(plain.url)
    server.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(server.address, timeout=1)


def test_refusals_of_the_api_are_json_like_its_errors(plain):
    open_, closed = Client(guarded(plain.url)), Client(guarded(plain.url, token="secret"))
    for answer, status in (
        (open_.post("/api/runs"), 405),
        (open_.get("/api", headers={"Host": "evil.example"}), 421),
        (open_.get("/api", headers={"Origin": "http://evil.example"}), 403),
        (closed.get("/api/runs"), 401),
    ):
        assert (answer.status_code, answer.content_type) == (status, "application/json")
        assert answer.json["error"]["message"]
    assert open_.get("/", headers={"Host": "evil.example"}).content_type.startswith("text/plain")
