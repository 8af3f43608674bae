"""Routes as data: a method, a path, and a view whose annotations say what it takes and answers.

`http` makes Flask rules of them, `openapi` the document. A view is a plain function of what its server works
with (the Forge, or the host of a model), of the parts of its path, and of a `body` and a `query` where it
has them.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

_PART = re.compile(r"<(?:\w+:)?(\w+)>")
_NUMBER = re.compile(r"<number:(\w+)>")


class Body(BaseModel):
    """What a request carries: no field that is unknown, no text where a number belongs."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Query(BaseModel):
    """What stands behind the question mark, or beside the files of a form, as text. Files are in the fields
    `file_parts`."""

    file_parts: typing.ClassVar[tuple[str, ...]] = ("file", "files")

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Reply(BaseModel):
    """What a route answers with, as JSON."""


class Quotation(Reply):
    """What people, rows or models have said: folders of this machine stay in it as they were written."""


class Answer(Reply):
    """What succeeded. Keys that were not measured are null."""

    success: typing.Literal[True] = True


@dataclass(frozen=True)
class File:
    """An answer that is a file, already resolved to lie where files may be read. `cached` is the
    Cache-Control of one that may be kept."""

    path: Path
    media_type: str
    cached: str | None = None


@dataclass(frozen=True)
class Raw:
    """An answer that is not JSON of a known model."""

    content: bytes
    media_type: str


@dataclass(frozen=True)
class Stream:
    """An answer that is sent piece by piece, as server-sent events. `close` is called once nothing more will
    be sent: after the last piece, or when the client has gone."""

    pieces: Iterator[bytes]
    close: Callable[[], None]


@dataclass(frozen=True)
class Download:
    """An answer that is made piece by piece and kept as a file of that name by whoever asked."""

    pieces: Iterator[bytes]
    name: str
    media_type: str


@dataclass(frozen=True)
class Route:
    """`path` in Werkzeug's syntax, in which `number` is a whole one of at
    most 15 digits. `media_type` is that of answers that are no `Answer`."""

    method: str
    path: str
    view: Callable[..., Reply | File | Raw | Stream | Download]
    media_type: str = "application/json"

    @property
    def endpoint(self) -> str:
        """A name of its own, since two routes may share a path or a function's name."""
        return f"{self.view.__module__.rsplit('.', 1)[-1]}.{self.view.__name__}.{self.method}.{self.path}"

    @property
    def path_names(self) -> list[str]:
        return _PART.findall(self.path)

    @property
    def numbers(self) -> list[str]:
        """The parts of the path that are whole numbers."""
        return _NUMBER.findall(self.path)

    @property
    def open_path(self) -> str:
        """The path as OpenAPI writes it."""
        return _PART.sub(r"{\1}", self.path)

    @property
    def uploads(self) -> bool:
        """Whether its body is multipart: its view has a parameter `upload`."""
        return self.model("upload") is not None

    @property
    def form(self) -> type[Query] | None:
        """The fields beside the files of a multipart body; None where there is none."""
        found = self.model("upload")
        return found if found is not None and issubclass(found, Query) else None

    def model(self, name: str) -> type[BaseModel] | None:
        """The pydantic model that the view's parameter `name` (or its "return") is annotated with."""
        hint = typing.get_type_hints(self.view).get(name)
        return next(models_in(hint), None)


def models_in(hint: object) -> Iterator[type[BaseModel]]:
    """The pydantic models that an annotation is made of."""
    return (kind for kind in _kinds(hint) if issubclass(kind, BaseModel))


def _kinds(hint: object) -> Iterator[type]:
    """The classes in an annotation: of a union, and of what a generic one is of."""
    if isinstance(hint, type) and not typing.get_args(hint):
        yield hint
    for part in typing.get_args(hint):
        yield from _kinds(part)
