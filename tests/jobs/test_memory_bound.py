"""What reads files and templates from anywhere also works where its memory cannot be bounded, as on macOS."""

from __future__ import annotations

import os

import pytest

from forgellm.data.readers.bounded import BoundedReader, Text
from forgellm.inference.rendering import Renderer
from forgellm.jobs.inspector import Inspector

# What macOS 12 and newer answer to every process: a limit below what is mapped at the start.
REFUSING = """
import resource
def setrlimit(which, limits):
    raise ValueError("current limit exceeds maximum limit")
resource.setrlimit = setrlimit
"""


@pytest.fixture
def environment(worker_environment, tmp_path):
    """For processes in which no limit can be set."""
    (tmp_path / "sitecustomize.py").write_text(REFUSING)
    places = [str(tmp_path), worker_environment["PYTHONPATH"]]
    return {**worker_environment, "PYTHONPATH": os.pathsep.join(places)}


def test_a_document_is_read_where_memory_cannot_be_bounded(environment, tmp_path, monkeypatch):
    (tmp_path / "a.html").write_text("<h1>Alder Quay</h1>")
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
    with BoundedReader() as reader:
        assert reader.read(tmp_path / "a.html") == Text("# Alder Quay", "UTF-8")


def test_a_chat_template_is_rendered_where_memory_cannot_be_bounded(environment):
    renderer = Renderer(environment, seconds=60.0)
    try:
        said = [{"role": "user", "content": "Hello"}]
        assert renderer.render("{{ messages[0].content }}", said, variables={}) == "Hello"
    finally:
        renderer.close()


def test_a_dataset_is_looked_into_where_memory_cannot_be_bounded(environment, workspace, hub_cache):
    inspector = Inspector(environment)
    places = {"workspace": str(workspace.root), "hub_cache": str(hub_cache)}
    try:
        answer = inspector.ask({"ask": "describe", "dataset": "questions", **places}, seconds=60.0)
        assert answer
    finally:
        inspector.close()
