"""Whether an Ollama answers on this machine."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException

HOST, PORT = "127.0.0.1", 11434
_SECONDS = 0.5


def answers(host: str = HOST, port: int = PORT) -> bool:
    """Asks for its version, for half a second at most."""
    connection = HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request("GET", "/api/version")
        told = json.loads(connection.getresponse().read(1 << 12))
    except (OSError, HTTPException, ValueError, RecursionError):
        return False
    finally:
        connection.close()
    return isinstance(told, dict) and "version" in told
