"""The build backend of pyproject.toml: setuptools, with the page built before anything is packed.

An archive of sources carries the built page, so that installing from it needs no Node.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from page import NODE_WHEEL, build_where_needed, find_node, is_fresh
from setuptools import build_meta
from setuptools.build_meta import prepare_metadata_for_build_editable, prepare_metadata_for_build_wheel

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Settings = Mapping[str, Any] | None


def get_requires_for_build_wheel(settings: Settings = None) -> list[str]:
    return [*build_meta.get_requires_for_build_wheel(settings), *_node()]


def get_requires_for_build_sdist(settings: Settings = None) -> list[str]:
    return [*build_meta.get_requires_for_build_sdist(settings), *_node()]


def get_requires_for_build_editable(settings: Settings = None) -> list[str]:
    return [*build_meta.get_requires_for_build_editable(settings), *_node()]


def build_wheel(folder: str, settings: Settings = None, metadata: str | None = None) -> str:
    build_where_needed()
    return str(build_meta.build_wheel(folder, settings, metadata))


def build_sdist(folder: str, settings: Settings = None) -> str:
    build_where_needed()
    return str(build_meta.build_sdist(folder, settings))


def build_editable(folder: str, settings: Settings = None, metadata: str | None = None) -> str:
    build_where_needed()
    return str(build_meta.build_editable(folder, settings, metadata))


def _node() -> list[str]:
    """Node as a package, where the page has to be built and the machine has none."""
    return [] if is_fresh() or find_node() is not None else [NODE_WHEEL]
