"""The server under clients that are slow, stuck, many or rude."""

import errno
import resource
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from forgellm.api.access import access
from forgellm.api.errors import error_body
from forgellm.api.policy import POLICY
from forgellm.domain.errors import ForgeError
from forgellm.web.connections import Connection, Limits
from forgellm.web.serving import CannotListen, PortInUse, WebServer, listen, serving
from tests.web.raw import exchange, head, opened, parsed, rest
from tests.web.served import served
from tests.web.toy import Toy

ROOT = Path(__file__).resolve().parents[2]
JSON = "Content-Type: application/json"


@pytest.fixture
def serve():
    """Serves a toy until the test is over."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(served(**options))


def health(port):
    """Seconds that a request takes; it has to succeed."""
    began = time.monotonic()
    assert exchange(port, head(port=port)).status == 200
    return time.monotonic() - began


def is_closed(connection):
    """Whether the server hung up; it has ten seconds for it."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def flood(connection, *, until):
    while time.monotonic() < until:
        connection.sendall(b" " * 65536)


def wait_until(true):
    tick = threading.Event()
    for _ in range(1000):
        if true():
            return
        tick.wait(0.01)
    pytest.fail("it did not happen within ten seconds")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_localhost_is_the_ipv4_address(host):
    with listen(host, 0) as listener:
        assert listener.family == socket.AF_INET
        assert listener.getsockname()[0] == "127.0.0.1"
        assert listener.getsockname()[1] > 0


def test_the_loopback_of_ipv6_is_served_and_only_that():
    listener = listen("::1", 0)
    port = listener.getsockname()[1]
    with serving(listener, Toy(access("::1", port, allow=(), token=None)).wsgi) as server:
        assert server.url == f"http://[::1]:{port}"
        with socket.create_connection(("::1", port), timeout=10) as connection:
            connection.sendall(head(port=port, host=f"[::1]:{port}"))
            assert parsed(rest(connection)).status == 200
        with pytest.raises(ConnectionRefusedError):
            opened(port)


def test_a_port_in_use_is_named_with_a_way_out():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} of 127.0.0.1 is in use") as refused:
            listen("127.0.0.1", port)
    assert refused.value.status == 500
    assert "another port" in refused.value.suggestion


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "a..b", ""])
def test_an_address_that_is_not_this_machines_is_named(host):
    with pytest.raises(CannotListen, match="cannot listen on port 0"):
        listen(host, 0)


def test_the_port_can_be_had_again_long_before_the_kernel_forgets_its_connections(serve):
    # The kernel remembers a closed connection for a minute. For a moment another program may hold a port:
    # a child process between fork and exec, or one that was just given it as a free one.
    site = serve()
    health(site.port)
    site.server.stop()
    wait_until(lambda: can_be_had(site.port))


def can_be_had(port):
    try:
        listen("127.0.0.1", port).close()
    except PortInUse:
        return False
    return True


def test_one_request_is_answered_on_a_connection_and_then_it_is_closed(serve):
    site = serve()
    two = head("/api/health", port=site.port) + head("/api/open", port=site.port)
    with opened(site.port) as connection:
        connection.sendall(two)
        answer = rest(connection)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert parsed(answer).headers["connection"] == "close"
    assert site.toy.asked == ["/api/health"]


def test_what_follows_a_refused_head_is_not_taken_for_a_request(serve):
    site = serve()
    smuggled = head("/api/open", port=site.port)
    refused = head(
        "/api/echo",
        "Content-Type: text/plain",
        f"Content-Length: {len(smuggled)}",
        method="POST",
        port=site.port,
    )
    with opened(site.port) as connection:
        connection.sendall(refused + smuggled)
        answer = rest(connection)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert (parsed(answer).status, site.toy.asked) == (415, [])


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/0.9\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET / HTTP/one\r\n\r\n", 400),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nno colon\r\nHost: HOST\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: HOST\r\nno colon\r\nOrigin: http://evil.example\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: HOST\r\nOrigin : http://evil.example\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: HOST\r\nX: a\r\n b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: HOST\r\nX: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\n\r\n", 400),
    ],
)
def test_a_head_that_is_not_plain_http_is_refused_in_the_shape_of_every_error(serve, data, status):
    port = serve().port
    answer = exchange(port, data.replace(b"HOST", b"127.0.0.1:%d" % port))
    assert answer.status == status
    assert set(answer.json) == set(error_body(ForgeError("")))
    assert {name: answer.headers.get(name.lower()) for name, _ in POLICY} == dict(POLICY)


def test_a_hundred_half_open_connections_are_dropped_while_others_are_answered(serve):
    site = serve(limits=Limits(head_seconds=0.6))
    began = time.monotonic()
    half_open = [opened(site.port) for _ in range(100)]
    for number, connection in enumerate(half_open):
        connection.sendall(b"GET /api/health HTTP/1.1\r\nHost:"[: number % 40])
    assert health(site.port) < 1
    assert all(is_closed(connection) for connection in half_open)
    assert time.monotonic() - began < 5
    for connection in half_open:
        connection.close()
    assert health(site.port) < 1


def test_a_head_that_comes_byte_by_byte_does_not_get_more_time(serve):
    site = serve(limits=Limits(head_seconds=0.5))
    tick = threading.Event()
    began = time.monotonic()
    with opened(site.port) as connection:
        while not _is_readable(connection) and time.monotonic() - began < 10:
            connection.sendall(b"X")
            tick.wait(0.05)
    assert time.monotonic() - began < 5


def test_a_body_that_trickles_is_given_up(serve):
    site = serve(limits=Limits(idle_seconds=0.5))
    tick = threading.Event()
    began = time.monotonic()
    with opened(site.port) as connection:
        connection.sendall(head("/api/echo", JSON, "Content-Length: 1000", method="POST", port=site.port))
        while not _is_readable(connection) and time.monotonic() - began < 10:
            connection.sendall(b" ")
            tick.wait(0.05)
    assert 0.4 < time.monotonic() - began < 5
    assert health(site.port) < 1


def test_a_body_may_come_after_its_invitation(serve):
    site = serve()
    with opened(site.port) as connection:
        connection.sendall(
            head(
                "/api/echo", JSON, "Content-Length: 2", "Expect: 100-continue", method="POST", port=site.port
            )
        )
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert parsed(rest(connection)).json == {"length": 2}


def test_a_body_in_chunks_is_read(serve):
    site = serve()
    chunked = head("/api/echo", JSON, "Transfer-Encoding: chunked", method="POST", port=site.port)
    assert exchange(site.port, chunked + b"2\r\n{}\r\n1;x=y\r\n \r\n0\r\n\r\n").status == 400
    assert exchange(site.port, chunked + b"2\r\n{}\r\n1\r\n \r\n0\r\n\r\n").json == {"length": 3}


@pytest.mark.parametrize("chunks", [b"", b"8\r\n{}", b"-2\r\n{}\r\n", b"x\r\n{}\r\n", b"2\r\n{}", b"1" * 200])
def test_a_body_that_ends_in_the_middle_of_a_chunk_is_refused(serve, chunks):
    site = serve()
    chunked = head("/api/echo", JSON, "Transfer-Encoding: chunked", method="POST", port=site.port)
    with opened(site.port) as connection:
        connection.sendall(chunked + chunks)
        connection.shutdown(socket.SHUT_WR)
        assert parsed(rest(connection)).status == 400


def test_a_body_that_ends_before_its_length_is_refused(serve):
    site = serve()
    with opened(site.port) as connection:
        connection.sendall(
            head("/api/echo", JSON, "Content-Length: 9", method="POST", port=site.port) + b"{}"
        )
        connection.shutdown(socket.SHUT_WR)
        assert parsed(rest(connection)).status == 400


def test_a_client_that_still_sends_gets_to_read_why_it_was_refused(serve):
    site = serve()
    data = head("/api/echo", JSON, "Content-Length: 8000000", method="POST", port=site.port)
    assert exchange(site.port, data + b" " * 8_000_000).status == 413


def test_a_flood_behind_a_refusal_ends(serve):
    site = serve(limits=Limits(drain_seconds=0.3))
    data = head("/api/echo", JSON, "Content-Length: 1000000000000", method="POST", port=site.port)
    began = time.monotonic()
    with opened(site.port) as connection:
        connection.sendall(data)
        with pytest.raises(OSError, match=r"reset|pipe"):
            flood(connection, until=began + 10)
    assert time.monotonic() - began < 5


def test_more_clients_than_the_limit_are_turned_away_until_some_leave(serve):
    site = serve(limits=Limits(connections=5))
    first = [opened(site.port) for _ in range(5)]
    wait_until(lambda: exchange(site.port, head(port=site.port)).status == 503)
    answer = exchange(site.port, head(port=site.port))
    assert (answer.json["error_code"], answer.headers["x-frame-options"]) == ("BUSY", "DENY")
    for connection in first:
        connection.close()
    wait_until(lambda: exchange(site.port, head(port=site.port)).status == 200)


def test_a_connection_is_taken_over_without_asking_the_system_what_it_is():
    # macOS has no answer for a connection that was reset before it was taken over.
    ours, theirs = socket.socketpair()
    with theirs:
        accepted = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 6, fileno=ours.detach())
        with Connection(accepted, Limits()) as connection:
            assert (connection.family, connection.proto) == (socket.AF_INET6, 6)
            connection.sendall(b"all")
            assert theirs.recv(3) == b"all"


def test_a_client_that_does_not_take_its_answer_is_let_go(serve):
    site = serve(limits=Limits(idle_seconds=0.4, connections=1))
    with opened(site.port) as connection:
        connection.sendall(head("/api/echo", JSON, "Content-Length: 2", method="POST", port=site.port) + b"{")
        wait_until(lambda: exchange(site.port, head(port=site.port)).status == 200)


def test_an_exception_outside_the_application_is_one_record_and_one_answer(caplog):
    def broken(environ, start_response):
        raise ValueError("a name\nERROR fake")

    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with serving(listener, broken):
        answer = exchange(port, head(port=port))
    assert (answer.status, answer.json["error_code"]) == (500, "INTERNAL_ERROR")
    assert b"fake" not in answer.body
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.alone
def test_stopping_lets_an_answer_out_and_hangs_up_on_the_rest(serve):
    site = serve()
    idle, asking = opened(site.port), opened(site.port)
    asking.sendall(head("/api/held", port=site.port))
    assert site.toy.held.wait(5)
    began = time.monotonic()
    stopping = threading.Thread(target=site.server.stop)
    stopping.start()
    site.toy.release.set()
    assert rest(asking).endswith(b"done")
    stopping.join()
    assert is_closed(idle)
    assert time.monotonic() - began < 1
    with pytest.raises(ConnectionRefusedError):
        opened(site.port)
    for connection in (idle, asking):
        connection.close()


def test_with_few_descriptors_it_refuses_and_recovers():
    """In a process of its own, because the limit holds for a whole process."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.web.few_descriptors"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)),
    )
    try:
        port = int(server.stdout.readline())
        crowd = [opened(port) for _ in range(400)]
        assert health_or_refusal(port) in (200, 503)
        refused = sum(_is_readable(connection) for connection in crowd)
        assert refused >= 400 - 256
        for connection in crowd:
            connection.close()
        wait_until(lambda: health_or_refusal(port) == 200)
        assert server.poll() is None
    finally:
        server.kill()
        server.communicate()


def test_without_a_free_descriptor_the_server_waits_instead_of_spinning(monkeypatch):
    listener = listen("127.0.0.1", 0)
    server = WebServer(listener, lambda environ, start: [], limits=Limits())
    real = server.socket

    class Exhausted:
        def accept(self):
            raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(server, "socket", Exhausted())
    began = time.process_time(), time.monotonic()
    with pytest.raises(OSError, match="Too many"):
        server.get_request()
    assert time.monotonic() - began[1] >= 0.04
    assert time.process_time() - began[0] < 0.04
    real.close()


def health_or_refusal(port):
    return exchange(port, head(port=port)).status


def _is_readable(connection):
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    finally:
        connection.settimeout(10)
    return True
