"""Multipart bodies, handed on piece by piece: no file is ever whole in memory, nor in a second place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import BinaryIO, Generic, TypeVar

from flask import request
from pydantic import BaseModel
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from forgellm.api.errors import InvalidRequest, UnsupportedMediaType
from forgellm.domain.errors import InvalidField

Fields = TypeVar("Fields", bound=BaseModel)

UPLOAD_LIMIT = 4 << 30
"""Bytes of one request that uploads."""

_PIECE = 1 << 18
# What the decoder may hold at once: a piece, and what it kept of the last one to find a boundary in.
_HELD = 1 << 20
_LONGEST_FIELD = 1 << 16
_MOST_PARTS = 10_000


class Upload(Generic[Fields]):
    """The multipart body of this request, for a view whose form has the fields `Fields`, with files
    in the parts `file_parts`. Read it once."""

    def __init__(
        self, read: Callable[[Mapping[str, object]], Fields], *, file_parts: Collection[str]
    ) -> None:
        self._read = read
        self._file_parts = file_parts

    @property
    def announced_bytes(self) -> int | None:
        """The length of the whole body; None where it comes in chunks."""
        return request.content_length

    def receive(self, create: Callable[[str], AbstractContextManager[BinaryIO]]) -> Fields:
        """Write each file to what `create` opens for its name; the fields that stand beside the files.

        Raises InvalidRequest where the body is cut off, InvalidField, TooLarge, and what `create` raises.
        """
        fields: dict[str, object] = {}
        arrived = False
        events = self._events()
        for event in events:
            if isinstance(event, File):
                if event.name not in self._file_parts:
                    raise _unknown_file(event.name, known=next(iter(self._file_parts)))
                with create(event.filename) as file:
                    for data in _data(events):
                        file.write(data)
                arrived = True
            elif isinstance(event, Field):
                if event.name in self._file_parts:
                    raise _no_file(event.name, "has no file name")
                if event.name in fields:
                    raise _twice(event.name)
                fields[event.name] = _text(events)
        read = self._read(fields)
        if not arrived:
            raise _no_file(next(iter(self._file_parts)), "is missing")
        return read

    def _events(self) -> Iterator[Event]:
        boundary = _boundary()
        request.max_content_length = UPLOAD_LIMIT
        decoder = MultipartDecoder(boundary, _HELD, max_parts=_MOST_PARTS)
        while True:
            piece = request.stream.read(_PIECE)
            try:
                decoder.receive_data(piece or None)
                while not isinstance(event := decoder.next_event(), NeedData):
                    if isinstance(event, Epilogue):
                        return
                    yield event
            except RequestEntityTooLarge as error:
                raise _unreadable("has too many parts, or one with an endless head") from error
            except ValueError as error:
                raise _unreadable("is cut off, or its parts cannot be told apart") from error


def _unreadable(reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"the multipart body {reason}",
        suggestion="Send it whole, as curl -F or a browser's FormData does.",
    )


def _boundary() -> bytes:
    kind, options = parse_options_header(request.content_type)
    boundary = options.get("boundary", "")
    if kind != "multipart/form-data" or not boundary or not boundary.isascii():
        raise UnsupportedMediaType(
            "an upload is taken as multipart/form-data only",
            details={"content_type": (request.content_type or "")[:100]},
            suggestion="Send the file as a form does: curl -F file=@NAME.",
        )
    return boundary.encode()


def _data(events: Iterator[Event]) -> Iterator[bytes]:
    """The content of the part that has just begun."""
    for event in events:
        if isinstance(event, Data):
            yield event.data
            if not event.more_data:
                return


def _text(events: Iterator[Event]) -> str:
    content = b""
    for data in _data(events):
        content += data
        if len(content) > _LONGEST_FIELD:
            raise InvalidField("a field of the form is too long", suggestion="Send files as files.")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidField("a field of the form is not UTF-8", suggestion="Send text as UTF-8.") from error


def _no_file(name: str, reason: str) -> InvalidField:
    return InvalidField(
        f"the file {name} {reason}",
        details={"field": name},
        suggestion=f"Send it as a form does: curl -F {name}=@FILE.",
    )


def _unknown_file(name: str | None, *, known: str) -> InvalidField:
    return InvalidField(
        f"there is a file in the field {name!r:.80}",
        details={"field": name, "nearest": known},
        suggestion=f"Send files in the field {known}.",
    )


def _twice(name: str) -> InvalidField:
    return InvalidField(f"{name!r:.80} is given twice", details={"field": name}, suggestion="Give it once.")
