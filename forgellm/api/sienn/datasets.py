"""Datasets as Sienn-AI documents them. Their ids are `ds_` and the name."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, Field

from forgellm.api.native.wording import utc
from forgellm.api.routes import Query, Quotation, Route
from forgellm.api.sienn.wording import DATASET, documented
from forgellm.api.uploads import Upload
from forgellm.forge import Forge
from forgellm.services import contents
from forgellm.services.ingestion import arrival, name_from


class UploadForm(Query):
    name: str | None = Field(None, description="a title; what no folder can be called is left out of it")


class Validation(BaseModel):
    valid: bool | None = Field(description="null where reading all rows takes too long to be waited for")
    columns: list[str]
    null_counts: dict[str, int | None] = Field(description="by column: rows with nothing in it")


class Uploaded(Quotation):
    dataset_id: str
    filename: str
    format: str
    total_samples: int | None
    size_bytes: int
    preview: list[dict[str, Any]] = Field(description="the first rows, as they are in the file")
    validation: Validation
    uploaded_at: str


@documented
def upload(forge: Forge, upload: Upload[UploadForm]) -> Uploaded:
    """Bring one file in as a dataset of its own, and check its rows. Titles may come twice, ids do not."""
    with arrival(forge, needed_bytes=upload.announced_bytes) as files:
        form = upload.receive(files.create)
        filename = files.only
        size = (files.folder / filename).stat().st_size
        title = PurePath(filename).stem if form.name is None else form.name
        name = files.keep_beside(name_from(title), source={"kind": "upload", "files": [filename]})
    table = contents.table(forge, name, filename)
    checked = contents.checked_at_once(forge, name)
    return Uploaded(
        dataset_id=f"{DATASET}{name}",
        filename=filename,
        format=PurePath(filename).suffix.removeprefix(".").lower(),
        total_samples=None if checked is None else checked.rows,
        size_bytes=size,
        preview=table.first_rows,
        validation=Validation(
            valid=None if checked is None else checked.valid,
            columns=table.columns,
            null_counts=table.null_counts,
        ),
        uploaded_at=utc(forge.clock()),
    )


ROUTES = (Route("POST", "/api/upload-dataset", upload),)
