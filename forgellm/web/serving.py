"""Serving a WSGI application to many clients at once, some of them slow, stuck or hostile."""

from __future__ import annotations

import errno
import logging
import resource
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from werkzeug.serving import ThreadedWSGIServer

from forgellm.api.access import url_host
from forgellm.domain.errors import ForgeError
from forgellm.web.connections import Connection, Limits
from forgellm.web.requests import RequestHandler, raw_answer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_DESCRIPTORS = 8192
# For files, pipes and locks; a connection takes two at times: its own, and one to wait with.
_RESERVED, _PER_CONNECTION = 64, 2
_SECONDS_TO_FINISH = 0.3
_OUT_OF_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_QUEUE = 128

logger = logging.getLogger(__name__)


class CannotListen(ForgeError):
    """The address is not this machine's, or not for this user."""

    code = "CANNOT_LISTEN"


class PortInUse(CannotListen):
    """Another program listens there already."""

    code = "PORT_IN_USE"


class Busy(ForgeError):
    """More clients at once than the server takes."""

    code = "BUSY"
    status = 503


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on `host`; port 0 picks a free one. `localhost` is 127.0.0.1.

    Raises PortInUse, or CannotListen for an address that cannot be had.
    """
    details: dict[str, object] = {"host": host, "port": port}
    try:
        family, address = _address("127.0.0.1" if host.lower() == "localhost" else host.strip("[]"), port)
        return _bound(family, address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"port {port} of {host} is in use by another program",
                details=details,
                suggestion="End that program, it may be another ForgeLLM, or choose another port.",
            ) from error
        raise CannotListen(
            f"cannot listen on port {port} of {host}: {error.strerror or error}",
            details=details,
            suggestion="Give an address of this machine, 127.0.0.1 as a rule, and a port above 1023.",
        ) from error


def url_of(listener: socket.socket) -> str:
    """Where a browser of this machine finds what listens there."""
    host, port = listener.getsockname()[:2]
    return f"http://{url_host(host)}:{port}"


def raise_descriptor_limit() -> int:
    """Let this process open more files and connections than a shell's default; how many it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft if soft != resource.RLIM_INFINITY else _DESCRIPTORS
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        # macOS has a second, lower limit for a process.
        return soft
    return wanted


class WebServer(ThreadedWSGIServer):
    """Serves `app` on `listener`, a thread for each connection. Clients beyond the limit get a 503."""

    def __init__(self, listener: socket.socket, app: WSGIApplication, *, limits: Limits) -> None:
        (host, port), url = listener.getsockname()[:2], url_of(listener)
        super().__init__(host, port, app, RequestHandler, passthrough_errors=True, fd=listener.fileno())
        listener.close()
        self.limits = limits
        self._open: set[Connection] = set()
        self._changed = threading.Condition()
        self._ended = threading.Event()

        self.url = url

    def get_request(self) -> tuple[Connection, Any]:
        try:
            accepted, address = self.socket.accept()
        except OSError as error:
            if error.errno in _OUT_OF_DESCRIPTORS:
                # The client stays in the queue, and without a pause this would be tried a million times.
                self._ended.wait(0.05)
            raise
        return Connection(accepted, self.limits), address

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            full = len(self._open) >= self.limits.connections
            if not full:
                self._open.add(request)
        if full:
            self._turn_away(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """What no layer above has caught: one record in the log, and one answer if none is on its way."""
        error = sys.exc_info()[1]
        if request.answered and isinstance(error, OSError):
            logger.debug("a client left", exc_info=error)
            return
        logger.error("a request failed", exc_info=error)
        if not request.answered:
            failure = ForgeError("the server failed at this request", suggestion="Its log says where.")
            with suppress(OSError):
                request.sendall(raw_answer(failure))

    def stop(self) -> None:
        """Accept nobody any more, let answers that are on their way get out for a moment, then hang up."""
        self._ended.set()
        self.shutdown()
        # The loop closes it as well, but a moment later.
        self.server_close()
        with self._changed:
            self._changed.wait_for(
                lambda: not any(connection.asked for connection in self._open), timeout=_SECONDS_TO_FINISH
            )
            for connection in self._open:
                connection.end()

    def _turn_away(self, request: Connection) -> None:
        busy = Busy("too many connections at once", suggestion="Close some pages, or try again in a moment.")
        with suppress(OSError):
            request.settimeout(0)
            request.sendall(raw_answer(busy))
            # What is left unread would make the client lose the answer.
            request.recv(1 << 16)
        self.shutdown_request(request)


@contextmanager
def serving(
    listener: socket.socket, app: WSGIApplication, *, limits: Limits | None = None
) -> Iterator[WebServer]:
    """Serve `app` while the block runs."""
    within = _within(raise_descriptor_limit(), limits or Limits())
    server = WebServer(listener, app, limits=within)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="accept", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


def _address(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except UnicodeError:
        raise OSError(errno.EADDRNOTAVAIL, "no host can have this name") from None
    return family, address


def _bound(family: socket.AddressFamily, address: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A server that has just ended does not hold the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_QUEUE)
    except OSError:
        listener.close()
        raise
    return listener


def _within(descriptors: int, limits: Limits) -> Limits:
    """As many connections as the process can have open; one more would fail anywhere."""
    possible = max(1, (descriptors - _RESERVED) // _PER_CONNECTION)
    return replace(limits, connections=min(limits.connections, possible))
