"""A small application of the kind that is served: Flask routes and Socket.IO, behind the guard."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, request
from flask_socketio import SocketIO

from forgellm.api.access import Access
from forgellm.api.guard import Guard


class Toy:
    """`wsgi` is the guarded application; `asked` has the paths that got through to Flask."""

    def __init__(self, access: Access, *, ping_interval: float = 25.0) -> None:
        flask = Flask(__name__, static_folder=None)
        flask.config["MAX_CONTENT_LENGTH"] = (1 << 20) + 1
        self.socketio = SocketIO(
            flask,
            async_mode="threading",
            cors_allowed_origins=sorted(access.origins),
            ping_interval=ping_interval,
        )
        self.asked: list[str] = []
        self.held, self.release = threading.Event(), threading.Event()
        self._add_routes(flask)
        self.wsgi = Guard(flask.wsgi_app, access)

    def _add_routes(self, flask: Flask) -> None:
        routes: dict[str, Callable[..., Any]] = {
            "/": lambda: "the page",
            "/api/health": lambda: {"success": True},
            "/api/echo": lambda: {"length": len(request.get_data())},
            "/api/held": self._hold,
            "/static/app.js": lambda: Response("1", headers={"Cache-Control": "max-age=9"}),
            "/api/open": lambda: Response("{}", headers={"Access-Control-Allow-Origin": "*"}),
        }
        for path, answer in routes.items():
            flask.add_url_rule(path, path, answer, methods=["GET", "POST", "DELETE"])
        flask.before_request(lambda: self.asked.append(request.path))
        self.socketio.on_event("say", lambda words: self.socketio.emit("said", words))

    def _hold(self) -> str:
        self.held.set()
        self.release.wait(10)
        return "done"
