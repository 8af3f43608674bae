"""One request on one connection: its head has to be unmistakable before WSGI flattens it."""

from __future__ import annotations

import logging
import socket
from email.errors import (
    FirstHeaderLineIsContinuationDefect,
    InvalidHeaderDefect,
    MisplacedEnvelopeHeaderDefect,
    MissingHeaderBodySeparatorDefect,
)
from email.message import Message
from http import HTTPStatus

from werkzeug.serving import WSGIRequestHandler

from forgellm.api.errors import InvalidRequest, error_json
from forgellm.api.policy import with_policy
from forgellm.domain.errors import ForgeError
from forgellm.web.connections import Connection, RequestStream

# Two of them, and one reader goes by the first, another by the last.
_SINGLE = ("Host", "Content-Length", "Content-Type", "Transfer-Encoding", "Origin", "Sec-Fetch-Site")
# What Python's parser makes of a bad line; the lines after it may count as the body then.
_BAD_LINE = (
    FirstHeaderLineIsContinuationDefect,
    InvalidHeaderDefect,
    MisplacedEnvelopeHeaderDefect,
    MissingHeaderBodySeparatorDefect,
)
_SHOWN = 200

logger = logging.getLogger(__name__)


class UnreadableRequest(InvalidRequest):
    """Not HTTP, or HTTP that can be understood in two ways."""

    code = "UNREADABLE_REQUEST"

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message, suggestion="Use an ordinary HTTP/1.1 client.")
        self.status = status


class RequestHandler(WSGIRequestHandler):
    """Answers one request; the connection is closed afterwards."""

    connection: Connection

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = self._stream = RequestStream(self.connection)

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        problem = head_problem(self.path, version=self.request_version, headers=self.headers)
        if problem is not None:
            self.send_error(HTTPStatus.BAD_REQUEST, problem)
        return problem is None

    def handle_expect_100(self) -> bool:
        # Not before somebody wants the body.
        return True

    def run_wsgi(self) -> None:
        # A WebSocket that ends leaves nothing behind that could be taken for the next request.
        self.close_connection = True
        # A WebSocket has no answer that could be waited for.
        self.connection.asked = "Upgrade" not in self.headers
        self._stream.begin_body(invited=self.headers.get("Expect", "").lower() == "100-continue")
        del self.headers["Expect"]
        super().run_wsgi()

    def send_response(self, code: int, message: str | None = None) -> None:
        self.connection.answered = True
        super().send_response(code, message)
        self._stream.begin_rest()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answers what could not be read, in the one shape of an error."""
        self.close_connection = self.connection.answered = True
        words = ": ".join(part for part in (message or HTTPStatus(code).phrase, explain) if part)
        error = UnreadableRequest(words[:_SHOWN], status=int(code))
        self.connection.sendall(raw_answer(error))
        # A client that is still sending would lose the answer if the rest were left unread.
        self.connection.shutdown(socket.SHUT_WR)
        self._stream.begin_rest()
        while self._stream.read():
            pass

    def version_string(self) -> str:
        return "ForgeLLM"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        # Without the query: it may hold a token.
        logger.debug("%s %s %s", self.command, self.path.partition("?")[0], int(code))

    def log_message(self, format: str, *args: object) -> None:
        logger.debug(format, *args)


def head_problem(target: str, *, version: str, headers: Message) -> str | None:
    """Why the head of a request could be understood in two ways, or None."""
    if version not in ("HTTP/1.0", "HTTP/1.1"):
        return f"{version} is not spoken here"
    if not target.startswith("/") and target != "*":
        return "the request has to name a path, not a whole address"
    if any(isinstance(defect, _BAD_LINE) for defect in headers.defects):
        return "a header line is malformed"
    twice = [name for name in _SINGLE if len(headers.get_all(name, [])) > 1]
    if twice:
        return f"the header {twice[0]} is there more than once"
    if any(_has_control(name) or _has_control(str(value)) for name, value in headers.items()):
        return "a header has a line break or a control character"
    return None


def raw_answer(error: ForgeError) -> bytes:
    """The whole answer to a request that no application has seen."""
    body = error_json(error)
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in with_policy(headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _has_control(text: str) -> bool:
    return any((ord(character) < 32 and character != "\t") or ord(character) == 127 for character in text)
