"""Datasets by name."""

from __future__ import annotations

import pytest

from forgellm.domain.errors import DatasetNotFound, InvalidPath
from forgellm.storage.datasets import find_dataset, list_datasets
from forgellm.storage.workspace import Workspace


def test_a_dataset_is_found_with_and_without_the_folder_in_front(workspace):
    expected = workspace.root / "dataset" / "domain"
    assert find_dataset(workspace, "domain") == expected
    assert find_dataset(workspace, "dataset/domain") == expected
    assert find_dataset(workspace, str(expected)) == expected


def test_the_datasets_are_the_visible_folders_in_order(workspace):
    (workspace.datasets / ".hidden").mkdir()
    (workspace.datasets / "a file").write_text("")
    assert list_datasets(workspace) == ["domain", "general", "questions"]


def test_a_link_that_leaves_the_datasets_is_none_of_them(workspace, tmp_path):
    (tmp_path / "outside").mkdir()
    (workspace.datasets / "outside").symlink_to(tmp_path / "outside")
    (workspace.datasets / "model").symlink_to(workspace.base_models)
    (workspace.datasets / "again").symlink_to("domain")
    assert list_datasets(workspace) == ["again", "domain", "general", "questions"]


def test_a_workspace_without_datasets_has_none(tmp_path):
    assert list_datasets(Workspace.open(tmp_path)) == []


def test_a_misspelt_dataset_is_not_found_and_the_nearest_is_named(workspace):
    with pytest.raises(DatasetNotFound, match="no dataset 'domian'") as caught:
        find_dataset(workspace, "domian")
    assert caught.value.details["nearest"] == "domain"
    assert "'domain'" in caught.value.suggestion


def test_a_file_is_not_a_dataset(workspace):
    (workspace.datasets / "notes.txt").write_text("text")
    with pytest.raises(DatasetNotFound):
        find_dataset(workspace, "notes.txt")


@pytest.mark.parametrize(
    "name", ["../models", "/etc", "domain/../..", "a\0b", "..", ".", "x" * 5000, "a\\b", ""]
)
def test_a_name_that_leads_elsewhere_is_refused(workspace, name):
    with pytest.raises(InvalidPath):
        find_dataset(workspace, name)


def test_a_link_out_of_the_workspace_is_refused(workspace, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (workspace.datasets / "link").symlink_to(outside)
    with pytest.raises(InvalidPath):
        find_dataset(workspace, "link")
