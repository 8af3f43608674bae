"""WebSockets through the server: idle ones, silent ones, slow ones."""

import os
import struct
import threading
import time

import pytest
import socketio

from forgellm.web.connections import Limits
from tests.web.raw import head, opened
from tests.web.served import served


@pytest.mark.parametrize("transports", [["websocket"], ["polling", "websocket"]])
def test_an_idle_client_stays_connected_beyond_the_timeout_because_it_is_pinged(transports):
    client = socketio.Client(reconnection=False)
    lost, said = threading.Event(), threading.Event()
    client.on("disconnect", lost.set)
    client.on("said", lambda words: said.set())
    with served(limits=Limits(head_seconds=0.3, idle_seconds=0.9), ping_interval=0.3) as site:
        client.connect(f"http://127.0.0.1:{site.port}", transports=transports)
        try:
            assert not lost.wait(2)
            client.emit("say", "hello")
            assert said.wait(5)
        finally:
            client.disconnect()


def test_a_websocket_that_says_nothing_is_closed_after_the_timeout():
    with served(limits=Limits(idle_seconds=0.5)) as site, _websocket(site.port) as connection:
        began = time.monotonic()
        while connection.recv(4096):
            pass
        assert time.monotonic() - began < 5


def test_a_large_message_reaches_a_slow_websocket_whole():
    words = "x" * 6_000_000
    with served() as site, _websocket(site.port) as connection:
        _send_frame(connection, "40")
        assert _frame(connection).startswith("0{")
        assert _frame(connection).startswith("40")
        tick = threading.Event()
        threading.Thread(target=site.toy.socketio.emit, args=("said", words), daemon=True).start()
        # Long enough for the server to have filled what the system keeps for a reader who does not read.
        tick.wait(0.5)
        assert _frame(connection) == f'42["said","{words}"]'


def _websocket(port):
    connection = opened(port)
    connection.sendall(
        head(
            "/socket.io/?EIO=4&transport=websocket",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
            port=port,
        )
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += connection.recv(1)
    assert b" 101 " in answer
    return connection


def _send_frame(connection, text):
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(text.encode()))
    connection.sendall(struct.pack("!BB", 0x81, 0x80 | len(masked)) + mask + masked)


def _frame(connection):
    """The text of the next frame."""
    _, length = struct.unpack("!BB", _exactly(connection, 2))
    if length == 126:
        (length,) = struct.unpack("!H", _exactly(connection, 2))
    elif length == 127:
        (length,) = struct.unpack("!Q", _exactly(connection, 8))
    return _exactly(connection, length).decode()


def _exactly(connection, size):
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(size - len(data))
        assert piece, "the server hung up"
        data += piece
    return bytes(data)
