"""Datasets as ModelForge documents them."""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal

from pydantic import BaseModel, Field

from forgellm.api.native.wording import megabytes, utc
from forgellm.api.routes import Query, Reply, Route
from forgellm.api.uploads import Upload
from forgellm.forge import Forge
from forgellm.services import contents, datasets
from forgellm.services.ingestion import arrival, name_from

_SHOWN = 100


class NoFields(Query):
    """Nothing beside the file."""


class Validation(BaseModel):
    valid: bool | None = Field(description="null where reading all rows takes too long to be waited for")
    errors: list[str]


class Uploaded(Reply):
    status: Literal["uploaded"] = "uploaded"
    filename: str = Field(description="what `dataset` takes where a training is started")
    num_examples: int | None
    validation: Validation


class Dataset(BaseModel):
    filename: str
    num_examples: int | None
    size_mb: float
    uploaded_at: str


class Datasets(Reply):
    datasets: list[Dataset]


def upload(forge: Forge, upload: Upload[NoFields]) -> Uploaded:
    """Bring one file in as a dataset, and check its rows. From now on its name means this file, where one of
    that name was there already."""
    with arrival(forge, needed_bytes=upload.announced_bytes) as files:
        upload.receive(files.create)
        filename = files.only
        source = {"kind": "upload", "files": [filename]}
        name = files.keep_beside(name_from(PurePath(filename).stem), source=source)
    checked = contents.checked_at_once(forge, name)
    return Uploaded(
        filename=filename,
        num_examples=None if checked is None else checked.usable,
        validation=Validation(
            valid=None if checked is None else checked.valid,
            errors=[] if checked is None else checked.problems[:_SHOWN],
        ),
    )


def index(forge: Forge) -> Datasets:
    """The datasets of the workspace, by name."""
    return Datasets(
        datasets=[
            Dataset(
                filename=found.only_file or found.name,
                num_examples=contents.counted(forge, found.name),
                size_mb=megabytes(found.size_bytes),
                uploaded_at=utc(found.changed),
            )
            for found in datasets.datasets(forge)
        ]
    )


ROUTES = (
    Route("POST", "/api/upload_dataset", upload),
    Route("GET", "/api/datasets", index),
)
