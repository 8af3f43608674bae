"""Datasets: bringing files in, what there is, and the trash. Their rows are in `contents`."""

from __future__ import annotations

from pathlib import PurePath

from pydantic import Field

from forgellm.api.native.library import DatasetItem
from forgellm.api.native.wording import megabytes, utc
from forgellm.api.routes import Answer, Query, Route
from forgellm.api.uploads import Upload
from forgellm.forge import Forge
from forgellm.services import contents, dataset_removal, datasets
from forgellm.services.ingestion import arrival, name_from


class Dataset(DatasetItem):
    filename: str = Field(description="of the only file; the dataset's name where there are several")
    num_examples: int | None = Field(description="usable rows or documents; null until they were counted")
    size_mb: float
    uploaded_at: str = Field(description="when its folder came to be, or was changed last")


class DatasetList(Answer):
    datasets: list[Dataset]


class UploadForm(Query):
    name: str | None = Field(
        None, description="of the dataset; left out, that of the first file without its suffix"
    )
    append: bool = Field(False, description="add the files to a dataset that is there already")


class Uploaded(Answer):
    message: str
    dataset: str
    path: str
    files: list[str]


class Removed(Answer):
    message: str
    dataset: str
    restore: str = Field(description="POST there to undo it")


class Restored(Answer):
    message: str
    dataset: str
    path: str


def index(forge: Forge) -> DatasetList:
    """The datasets of the workspace, by name."""
    return DatasetList(datasets=[_item(forge, found) for found in datasets.datasets(forge)])


def upload(forge: Forge, upload: Upload[UploadForm]) -> Uploaded:
    """Bring files in as a new dataset, or add them to one: all of them, or none if anything is wrong.

    409 where a name is taken.
    """
    with arrival(forge, needed_bytes=upload.announced_bytes) as files:
        form = upload.receive(files.create)
        default = name_from(PurePath(files.first).stem)
        name = default if form.name is None else form.name
        if form.append:
            files.append_to(name)
        else:
            files.keep(name, source={"kind": "upload", "files": files.names})
    return Uploaded(
        message=f"Uploaded to dataset/{name}",
        dataset=name,
        path=f"dataset/{name}",
        files=files.names,
    )


def delete(forge: Forge, name: str) -> Removed:
    """Put a dataset into the trash. 409 while a run that is not over needs it."""
    dataset_removal.remove(forge, name)
    return Removed(
        message=f"Dataset {name} is in the trash", dataset=name, restore=f"/api/datasets/{name}/restore"
    )


def restore(forge: Forge, name: str) -> Restored:
    """Bring back the dataset that was removed last under that name."""
    path = dataset_removal.restore(forge, name)
    return Restored(message=f"Dataset {name} is back", dataset=name, path=path)


def _item(forge: Forge, found: datasets.DatasetInfo) -> Dataset:
    return Dataset(
        name=found.name,
        path=found.path,
        file_count=found.file_count,
        total_size_mb=megabytes(found.size_bytes),
        estimated_tokens=found.estimated_tokens,
        filename=found.only_file or found.name,
        num_examples=contents.counted(forge, found.name),
        size_mb=megabytes(found.size_bytes),
        uploaded_at=utc(found.changed),
    )


ROUTES = (
    Route("GET", "/api/datasets", index),
    Route("POST", "/api/datasets", upload),
    # A path in place of a name is to be refused as what it is, not as an unknown route.
    Route("DELETE", "/api/datasets/<rest:name>", delete),
    Route("POST", "/api/datasets/<name>/restore", restore),
)
