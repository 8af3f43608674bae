"""The way of a dataset into the trash and back, whatever people call their folders."""

from __future__ import annotations

import pytest

from forgellm.domain.errors import InvalidField
from forgellm.forge import Forge
from forgellm.services import dataset_removal
from forgellm.storage.datasets import list_datasets


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "two\nlines", "tab\t", "-rf", "a:b"])
def test_a_dataset_goes_to_the_trash_and_comes_back_whatever_its_name_is(forge: Forge, name: str) -> None:
    folder = forge.workspace.datasets / name
    folder.mkdir()
    (folder / "notes.md").write_text("The bell rings at noon.\n")
    for _ in range(2):
        dataset_removal.remove(forge, name)
        assert name not in list_datasets(forge.workspace)
        assert dataset_removal.restore(forge, name) == f"dataset/{name}"
        assert (folder / "notes.md").read_text() == "The bell rings at noon.\n"


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "../domain", "domain/..", "a\0b"])
def test_what_is_no_name_of_a_folder_brings_nothing_back(forge: Forge, name: str) -> None:
    with pytest.raises(InvalidField):
        dataset_removal.restore(forge, name)
