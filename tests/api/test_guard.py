"""The guard on a live server, asked over raw sockets: a library would correct what must be refused."""

import base64
import re

import pytest

from forgellm.api.access import TokenNeeded, access
from forgellm.api.errors import error_body
from forgellm.api.policy import POLICY
from forgellm.domain.errors import ForgeError, InvalidField
from tests.web.raw import exchange, head
from tests.web.served import served

POLL = "/socket.io/?EIO=4&transport=polling"
TOKEN = "correct-horse-battery"
ANYWHERE = ["/", "/api/health", POLL, "/static/app.js", "/no/such/path"]
NAVIGATION = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"]
HANDSHAKE = [
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {base64.b64encode(b'0123456789abcdef').decode()}",
]


@pytest.fixture(scope="module")
def site():
    with served(allow=("forge.local", "tunnel.example:8080")) as running:
        yield running


@pytest.fixture(scope="module")
def locked():
    with served(token=TOKEN) as running:
        yield running


def ask(site, target="/api/health", *headers, body=b"", **options):
    return exchange(site.port, head(target, *headers, port=site.port, **options) + body)


def assert_refused(site, answer, status):
    assert answer.status == status, answer
    assert set(answer.json) == set(error_body(ForgeError("")))
    assert answer.json["status_code"] == status
    assert answer.json["suggestion"]
    assert_carries_the_policy(answer)


def assert_carries_the_policy(answer):
    assert {name: answer.headers.get(name.lower()) for name, _ in POLICY} == dict(POLICY)
    assert "cache-control" in answer.headers
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("target", ANYWHERE)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example:{port}",
        "127.0.0.1.evil.example:{port}",
        "localhost.:{port}",
        "0.0.0.0:{port}",
        "127.0.0.1",
        "localhost",
        "127.0.0.1:1",
        "127.0.0.1:0{port}",
        "[::]:{port}",
        "user@127.0.0.1:{port}",
        "127.0.0.1:{port},evil.example:{port}",
        "forge.local:1",
        "tunnel.example:{port}",
        "é:{port}",
    ],
)
def test_a_host_that_is_not_ours_is_refused(site, target, host):
    assert_refused(site, ask(site, target, host=host.format(port=site.port)), 403)


@pytest.mark.parametrize("line", ["", "Host:\r\n", "Host: \r\n"])
def test_a_request_without_a_host_is_refused(site, line):
    answer = exchange(site.port, f"GET /api/health HTTP/1.1\r\n{line}\r\n".encode())
    assert_refused(site, answer, 403)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:{port}", "LOCALHOST:{port}", "[::1]:{port}", "Forge.Local:{port}", "tunnel.example:8080"],
)
def test_our_own_names_are_answered_however_they_are_written(site, host):
    for target in ("/api/health", POLL):
        answer = ask(site, target, host=host.format(port=site.port))
        assert answer.status == 200
        assert_carries_the_policy(answer)


def test_two_hosts_are_refused(site):
    for second in ("evil.example:1", f"127.0.0.1:{site.port}"):
        assert_refused(site, ask(site, "/api/health", f"Host: {second}"), 400)


def test_a_whole_address_as_the_target_is_refused(site):
    for target in ("http://evil.example/api/health", f"http://127.0.0.1:{site.port}/api/health"):
        assert_refused(site, ask(site, target), 400)
        assert_refused(site, ask(site, target, host="evil.example"), 400)


@pytest.mark.parametrize("target", ANYWHERE)
@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "",
        "file://",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1:{port}/",
        "http://127.0.0.1:{port}.evil.example",
        "HTTP://127.0.0.1:{port}",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_an_origin_that_is_not_ours_is_refused(site, target, origin, method):
    answer = ask(site, target, f"Origin: {origin.format(port=site.port)}", method=method)
    assert_refused(site, answer, 403)


def test_our_own_origins_are_answered_and_no_other_may_read_the_answer(site):
    for origin in (f"http://127.0.0.1:{site.port}", f"http://localhost:{site.port}"):
        for target in ("/api/health", "/api/open", POLL):
            answer = ask(site, target, f"Origin: {origin}", "Sec-Fetch-Site: same-origin")
            assert answer.status == 200
            assert_carries_the_policy(answer)


@pytest.mark.parametrize("where", ["cross-site", "same-site", "", "nonsense"])
@pytest.mark.parametrize("target", ANYWHERE)
def test_another_site_is_refused(site, where, target):
    assert_refused(site, ask(site, target, f"Sec-Fetch-Site: {where}"), 403)
    assert_refused(site, ask(site, target, f"Sec-Fetch-Site: {where}", method="POST"), 403)


@pytest.mark.parametrize("where", ["cross-site", "same-site"])
def test_a_link_on_another_site_opens_the_page_and_nothing_else(site, where):
    headers = [f"Sec-Fetch-Site: {where}", *NAVIGATION[1:]]
    assert ask(site, "/", *headers).status == 200
    assert ask(site, "/?run=3", *headers).status == 200
    assert_refused(site, ask(site, "/api/health", *headers), 403)
    assert_refused(site, ask(site, POLL, *headers), 403)
    assert_refused(site, ask(site, "/", *headers, method="POST"), 403)
    assert_refused(site, ask(site, "/", *headers[:2], "Sec-Fetch-Dest: iframe"), 403)
    assert_refused(site, ask(site, "/", headers[0], "Sec-Fetch-Mode: no-cors", headers[2]), 403)


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json; boundary=x",
        "application/json, text/plain",
        "application/jsonp",
        "",
    ],
)
@pytest.mark.parametrize("target", ["/api/echo", "/", "/no/such/path"])
def test_a_body_that_a_page_could_send_unasked_is_refused(site, kind, target):
    for method in ("POST", "GET", "DELETE"):
        answer = ask(site, target, f"Content-Type: {kind}", "Content-Length: 2", method=method, body=b"{}")
        assert_refused(site, answer, 415)
        assert answer.headers["connection"] == "close"
    chunks = b"2\r\n{}\r\n0\r\n\r\n"
    answer = ask(
        site, target, f"Content-Type: {kind}", "Transfer-Encoding: chunked", method="POST", body=chunks
    )
    assert_refused(site, answer, 415)


def test_a_body_without_a_type_is_refused(site):
    assert_refused(site, ask(site, "/api/echo", "Content-Length: 2", method="POST", body=b"{}"), 415)


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_is_taken(site, kind):
    answer = ask(site, "/api/echo", f"Content-Type: {kind}", "Content-Length: 2", method="POST", body=b"{}")
    assert (answer.status, answer.json) == (200, {"length": 2})


def test_a_request_without_a_body_needs_no_type(site):
    assert ask(site, "/api/echo", method="POST").status == 200
    assert ask(site, "/api/echo", "Content-Length: 0", method="POST").status == 200


def test_a_poll_of_socket_io_may_be_text(site):
    sid = re.search(rb'"sid":"([^"]+)"', ask(site, POLL).body)[1].decode()
    answer = ask(
        site,
        f"{POLL}&sid={sid}",
        "Content-Type: text/plain;charset=UTF-8",
        "Content-Length: 2",
        method="POST",
        body=b"40",
    )
    assert (answer.status, answer.body) == (200, b"2\r\nOK\r\n0\r\n\r\n")


@pytest.mark.parametrize("length", [str((1 << 20) + 1), "1000000000000", "9" * 5000])
@pytest.mark.parametrize("target", ["/api/echo", POLL, "/no/such/path"])
def test_a_body_too_large_is_refused_at_once_and_unread(site, length, target):
    answer = ask(
        site,
        target,
        f"Content-Length: {length}",
        "Content-Type: application/json",
        "Expect: 100-continue",
        method="POST",
    )
    assert_refused(site, answer, 413)


@pytest.mark.parametrize("length", ["-1", "+2", "2x", "0x2", "2, 2", "1_0", "²", "2 2"])
def test_a_length_that_is_none_is_refused(site, length):
    answer = ask(
        site,
        "/api/echo",
        f"Content-Length: {length}",
        "Content-Type: application/json",
        method="POST",
        body=b"{}",
    )
    assert_refused(site, answer, 400)


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: 2", "Content-Length: 3"],
        ["Content-Length: 2", "Content-Length: 2"],
        ["Content-Length: 2", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: identity"],
        ["Content-Type: text/plain", "Content-Length: 2"],
    ],
)
def test_a_length_that_can_be_read_in_two_ways_is_refused(site, headers):
    answer = ask(site, "/api/echo", *headers, "Content-Type: application/json", method="POST", body=b"{}")
    assert_refused(site, answer, 400)


def test_what_is_refused_never_reaches_the_application(site):
    site.toy.asked.clear()
    ask(site, "/api/echo", "Origin: http://evil.example")
    ask(site, "/api/echo", host="evil.example")
    ask(site, "/api/echo", *NAVIGATION)
    assert site.toy.asked == []


def test_a_websocket_of_another_page_is_refused(site):
    target = "/socket.io/?EIO=4&transport=websocket"
    assert_refused(site, ask(site, target, *HANDSHAKE, "Origin: http://evil.example"), 403)
    assert_refused(site, ask(site, target, *HANDSHAKE, "Origin: null"), 403)
    assert_refused(site, ask(site, target, *HANDSHAKE, host=f"evil.example:{site.port}"), 403)
    assert_refused(site, ask(site, target, *HANDSHAKE, "Sec-Fetch-Site: same-site"), 403)


@pytest.mark.parametrize("missing", range(1, 4))
def test_half_a_websocket_handshake_is_refused(site, missing):
    headers = [line for n, line in enumerate(HANDSHAKE) if n != missing]
    assert_refused(site, ask(site, "/socket.io/?EIO=4&transport=websocket", *headers), 400)


def test_every_answer_carries_the_policy(site):
    statuses = {}
    for target in [*ANYWHERE, "/socket.io/?EIO=1", "/api/health?x=" + "y" * 70_000]:
        for method in ("GET", "HEAD", "POST", "BREW"):
            answer = ask(site, target, method=method)
            statuses[answer.status] = answer
            assert_carries_the_policy(answer)
    assert {200, 400, 404, 405, 414} <= set(statuses)


def test_only_what_says_so_is_cached(site):
    assert ask(site, "/api/health").headers["cache-control"] == "no-store"
    assert ask(site, "/static/app.js").headers["cache-control"] == "max-age=9"


@pytest.mark.parametrize("target", ANYWHERE)
def test_with_a_token_nothing_is_answered_without_it(locked, target):
    for headers in (
        [],
        ["Authorization: Bearer wrong-horse-battery"],
        [f"Authorization: Basic {TOKEN}"],
        ["Authorization: Bearer"],
        [f"Cookie: forgellm_{locked.port}={TOKEN}"],
        [f"Cookie: forgellm_1={TOKEN}"],
    ):
        answer = ask(locked, target, *headers)
        assert_refused(locked, answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in answer.body.decode()


def test_the_token_is_taken_as_a_bearer(locked):
    for scheme in ("Bearer", "bearer"):
        assert ask(locked, "/api/health", f"Authorization: {scheme} {TOKEN}").status == 200
        assert ask(locked, POLL, f"Authorization: {scheme} {TOKEN}").status == 200


def test_opening_the_page_with_the_token_once_leaves_a_cookie_and_no_trace_in_the_address(locked):
    answer = ask(locked, f"/?token={TOKEN}")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert_carries_the_policy(answer)
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert cookie.startswith(f"forgellm_{locked.port}=")
    assert attributes == ["Path=/", "HttpOnly", "SameSite=Strict"]
    assert TOKEN not in cookie
    for target in ("/", "/api/health", POLL):
        assert ask(locked, target, f"Cookie: other=1; {cookie}").status == 200
    assert_refused(locked, ask(locked, "/", f"Cookie: {cookie}x"), 401)


def test_a_link_with_the_token_on_another_site_goes_on_by_itself(locked):
    # A browser would not send the strict cookie along with a redirect that began on another site.
    answer = ask(locked, f"/?token={TOKEN}", *NAVIGATION)
    assert (answer.status, answer.headers["refresh"]) == (200, "0; url=/")
    assert "set-cookie" in answer.headers


@pytest.mark.parametrize("value", ["\xff\xed\xa0\x80", '"\\377\\355\\240\\200"', "\xc3\xbc", ""])
def test_a_cookie_of_any_bytes_is_a_wrong_one(locked, value):
    assert_refused(locked, ask(locked, "/api/health", f"Cookie: forgellm_{locked.port}={value}"), 401)
    cookie = ask(locked, f"/?token={TOKEN}").headers["set-cookie"].split("; ")[0]
    assert ask(locked, "/api/health", f"Cookie: other={value}; {cookie}").status == 200


@pytest.mark.parametrize("target", ["/?token=wrong", "/?token=", f"/?token={TOKEN}&token={TOKEN}"])
def test_a_wrong_token_in_the_address_is_refused(locked, target):
    answer = ask(locked, target)
    assert_refused(locked, answer, 401)
    assert "set-cookie" not in answer.headers


def test_the_token_opens_no_other_path_and_no_other_method(locked):
    assert_refused(locked, ask(locked, f"/api/health?token={TOKEN}"), 401)
    assert_refused(locked, ask(locked, f"/?token={TOKEN}", method="POST"), 401)


def test_the_token_does_not_make_up_for_another_origin(locked):
    bearer = f"Authorization: Bearer {TOKEN}"
    assert_refused(locked, ask(locked, "/api/health", bearer, "Origin: http://evil.example"), 403)
    assert_refused(locked, ask(locked, "/api/health", bearer, host="evil.example"), 403)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.20", "mymac.local", "", "127.0.0.1.evil.example"]
)
def test_without_a_token_only_loopback_can_be_served(host):
    with pytest.raises(TokenNeeded):
        access(host, 5002, allow=(), token=None)
    assert access(host, 5002, allow=(), token=TOKEN).token == TOKEN


def test_the_hosts_are_loopback_the_bound_address_and_what_is_allowed():
    loopback = {"127.0.0.1:5002", "localhost:5002", "[::1]:5002"}
    for host in ("127.0.0.1", "localhost", "::1", "[::1]"):
        assert access(host, 5002, allow=(), token=None).hosts == loopback
    assert access("127.0.0.2", 5002, allow=(), token=None).hosts == loopback | {"127.0.0.2:5002"}
    assert access("0.0.0.0", 5002, allow=(), token=TOKEN).hosts == loopback
    assert access("192.168.1.20", 5002, allow=(), token=TOKEN).hosts == loopback | {"192.168.1.20:5002"}
    allow = ("MyMac.local", "10.0.0.7:82", "fe80::7", "[fe80::8]:81")
    allowed = {"mymac.local:5002", "10.0.0.7:82", "[fe80::7]:5002", "[fe80::8]:81"}
    assert access("127.0.0.1", 5002, allow=allow, token=None).hosts == loopback | allowed
    assert "localhost" in access("127.0.0.1", 80, allow=(), token=None).hosts


@pytest.mark.parametrize(
    "name",
    ["*", "", "0.0.0.0", "a b", "http://a", "a/b", "a:x", "a:99999", "u@a", ".a", "a,b", "*.a", "[::]"],
)
def test_a_name_that_no_browser_could_ask_for_is_not_allowed(name):
    with pytest.raises(InvalidField, match="host name"):
        access("127.0.0.1", 5002, allow=(name,), token=None)


@pytest.mark.parametrize("token", ["", "short", "with a space in it", "line\nbreak-token", "schlüssel-token"])
def test_a_token_that_no_request_could_carry_is_refused(token):
    with pytest.raises(InvalidField, match="at least 8 characters"):
        access("127.0.0.1", 5002, allow=(), token=token)


def test_the_token_is_not_shown_with_the_rest():
    assert TOKEN not in repr(access("127.0.0.1", 5002, allow=(), token=TOKEN))
