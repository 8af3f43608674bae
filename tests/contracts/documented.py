"""What a document says of an API: its endpoints, each with the fields of its request and its answer.

The documents themselves are in `documents`, written down from them by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Endpoint:
    """`request` and `answer` are the document's examples; an answer that is no JSON is its media type,
    and None is one that the document does not show.

    `null` says why a documented key may have no value where the tests ask: key → reason.
    """

    method: str
    path: str
    request: object = None
    answer: object = None
    null: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Document:
    """`mounts`: where its paths are, as a prefix of the paths → head of a column; `strict` of them have no
    key that is not documented. `error` is its example of a failure."""

    title: str
    endpoints: tuple[Endpoint, ...]
    mounts: Mapping[str, str]
    strict: str | None = None
    error: object = None

    def paths(self) -> set[tuple[str, str]]:
        """(method, path) of what HTTP can ask for."""
        return {(e.method, e.path) for e in self.endpoints if e.method not in ("WebSocket", "Socket.IO")}
