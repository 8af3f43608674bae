"""Waiting between two looks at a run, for views that answer once it has come to something."""

from __future__ import annotations

import threading
from collections.abc import Callable

from flask import request

from forgellm.api.answers import Cancelled
from forgellm.api.departure import has_left

_SECONDS = 0.1
LOOKS = 300
"""As many of them take half a minute."""


def between_looks() -> Callable[[], None]:
    """What waits a tenth of a second each time it is called. It raises Cancelled once the client has gone."""
    pause = threading.Event()
    connection = request.environ.get("werkzeug.socket")

    def wait() -> None:
        pause.wait(_SECONDS)
        if connection is not None and has_left(connection):
            raise Cancelled("whoever waited for the run has gone", suggestion="The run goes on: look at it.")

    return wait
