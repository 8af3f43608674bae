"""The workspace and its path resolver."""

from __future__ import annotations

import pytest

from forgellm.domain.errors import InvalidPath
from forgellm.storage.workspace import Workspace


@pytest.fixture
def place(tmp_path):
    (tmp_path / "ws" / "dataset" / "marks").mkdir(parents=True)
    (tmp_path / "ws-secrets").mkdir()
    (tmp_path / "ws-secrets" / "key").write_text("secret")
    return Workspace.open(tmp_path / "ws")


def test_a_workspace_is_an_existing_folder(tmp_path):
    with pytest.raises(InvalidPath) as caught:
        Workspace.open(tmp_path / "none")
    assert "none" in caught.value.message
    assert "--workspace" in caught.value.suggestion
    (tmp_path / "file").touch()
    with pytest.raises(InvalidPath):
        Workspace.open(tmp_path / "file")


def test_a_workspace_behind_a_link_is_the_folder_it_leads_to(tmp_path, place):
    (tmp_path / "link").symlink_to(place.root)
    assert Workspace.open(tmp_path / "link") == place


def test_opening_a_workspace_writes_nothing(place):
    assert sorted(path.name for path in place.root.iterdir()) == ["dataset"]


@pytest.mark.parametrize(
    "text", ["dataset/marks", "dataset/./marks", "dataset/x/../marks", "dataset//marks/"]
)
def test_a_path_below_the_root_is_resolved(place, text):
    assert place.resolve(text) == place.root / "dataset" / "marks"
    assert place.relative(place.resolve(text)) == "dataset/marks"


def test_an_absolute_path_inside_and_one_that_does_not_exist_are_fine(place):
    assert place.resolve(str(place.root / "models" / "new")) == place.root / "models" / "new"


def test_a_name_starts_at_the_folder_it_must_lie_in(place):
    assert place.resolve("marks", within=place.datasets) == place.datasets / "marks"
    with pytest.raises(InvalidPath):
        place.resolve("../models", within=place.datasets)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "dataset/../..",
        "/",
        "/etc/passwd",
        "../ws-secrets/key",
        "dataset/../../ws-secrets",
        "data\0",
        "..\\etc",
        "dataset\\marks",
        "a/" * 600,
        "a" * 300,
        "dataset/" + "é" * 200,
        "\ud800",
        "~root/../../..",
    ],
)
def test_a_path_that_leads_outside_or_names_nothing_is_refused(place, text):
    with pytest.raises(InvalidPath) as caught:
        place.resolve(text)
    assert caught.value.status == 403
    assert caught.value.message.isprintable()
    assert str(place.root) not in caught.value.message


def test_letters_of_every_language_stand_in_a_refusal_as_they_were_written(place):
    with pytest.raises(InvalidPath) as caught:
        place.resolve("../Müllers Café")
    assert caught.value.message.startswith("'../Müllers Café' is")


def test_a_sibling_with_the_same_prefix_is_outside(place):
    with pytest.raises(InvalidPath):
        place.resolve(str(place.root) + "-secrets/key")
    with pytest.raises(InvalidPath):
        place.relative(place.root.parent / "ws-secrets" / "key")


def test_a_link_is_judged_by_where_it_leads(place):
    (place.datasets / "out").symlink_to(place.root.parent / "ws-secrets")
    (place.datasets / "in").symlink_to(place.datasets / "marks")
    (place.datasets / "round").symlink_to(place.datasets / "round")
    for text in ("dataset/out", "dataset/out/key"):
        with pytest.raises(InvalidPath):
            place.resolve(text)
    assert place.resolve("dataset/in") == place.datasets / "marks"
