"""Views that wait for a run."""

from __future__ import annotations

import socket

import pytest
from flask import Flask

from forgellm.api.answers import Cancelled
from forgellm.api.waiting import between_looks


def test_the_waiting_ends_when_the_client_has_gone():
    server, client = socket.socketpair()
    with server, Flask("waiting").test_request_context(environ_overrides={"werkzeug.socket": server}):
        wait = between_looks()
        wait()
        client.close()
        with pytest.raises(Cancelled):
            wait()
