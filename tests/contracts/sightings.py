"""What servers were seen to answer while the tests asked them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import requests

from tests.contracts.shape import types

JSON = "application/json"


@dataclass(frozen=True)
class Sighting:
    """`path` is without its mount and its query; `sent` are the places of the fields that were sent, `answer`
    is JSON or, where it is none, the media type."""

    mount: str
    method: str
    path: str
    sent: frozenset[str]
    status: int
    answer: object


class Sightings(list[Sighting]):
    """In the order in which they were made."""

    def add(self, mount: str, path: str, response: requests.Response, *, sent: object = None) -> None:
        """`sent` is what a form carried; what was sent as JSON is known."""
        asked = response.request
        media_type = response.headers.get("Content-Type", "").partition(";")[0]
        if asked.headers.get("Content-Type") == JSON and asked.body:
            sent = json.loads(asked.body)
        if asked.path_url.partition("?")[2]:
            sent = {**(sent or {}), **dict.fromkeys(_queried(asked.path_url), "")}
        answer = response.json() if media_type == JSON else media_type
        place = path.partition("?")[0]
        fields = frozenset() if sent is None else frozenset(types(sent))
        self.append(Sighting(mount, str(asked.method), place, fields, response.status_code, answer))


def _queried(url: str) -> list[str]:
    return [pair.partition("=")[0] for pair in url.partition("?")[2].split("&")]
