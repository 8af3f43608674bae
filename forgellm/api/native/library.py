"""What the workspace holds: models, datasets, and its folders."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from forgellm.api.native.wording import gigabytes, megabytes, utc
from forgellm.api.routes import Answer, Query, Route
from forgellm.forge import Forge
from forgellm.services import browsing, datasets
from forgellm.services.models import Catalogue, Model


class CachedModel(BaseModel):
    name: str = Field(description="what model_name takes")
    type: Literal["base"] = "base"
    size_gb: float
    cached: Literal[True] = True


class TrainedModel(BaseModel):
    name: str
    path: str = Field(description="relative to models/")
    size_gb: float
    created_at: str | None
    training_id: str | None = Field(description="the run; null for a published model")


class Models(Answer):
    cached_models: list[CachedModel]
    cpt_models: list[TrainedModel]
    ift_models: list[TrainedModel]
    published_models: list[TrainedModel]


class DatasetItem(BaseModel):
    name: str
    path: str
    file_count: int
    total_size_mb: float
    estimated_tokens: int = Field(
        description=f"bytes / {datasets.BYTES_PER_TOKEN}; the exact count needs a model's tokenizer"
    )


class Datasets(Answer):
    datasets: list[DatasetItem]


class FolderItem(BaseModel):
    name: str
    type: Literal["directory"] = "directory"
    file_count: int
    size_mb: float


class FileItem(BaseModel):
    name: str
    type: Literal["file"] = "file"
    size_mb: float


class Folder(Answer):
    path: str
    directories: list[FolderItem]
    files: list[FileItem]


class Browse(Query):
    path: str = Field(".", description="a folder, relative to the workspace")


def four_lists(found: Catalogue) -> Models:
    """Base models in the local cache and the workspace, training runs that have weights, published models."""
    return Models(
        cached_models=[CachedModel(name=m.name, size_gb=gigabytes(m.size_bytes)) for m in found.base],
        cpt_models=[_trained(m) for m in found.cpt],
        ift_models=[_trained(m) for m in found.ift],
        published_models=[_trained(m) for m in found.published],
    )


def dataset_info(forge: Forge) -> Datasets:
    """The datasets of the workspace."""
    return Datasets(
        datasets=[
            DatasetItem(
                name=found.name,
                path=found.path,
                file_count=found.file_count,
                total_size_mb=megabytes(found.size_bytes),
                estimated_tokens=found.estimated_tokens,
            )
            for found in datasets.datasets(forge)
        ]
    )


def browse(forge: Forge, query: Browse) -> Folder:
    """What lies in a folder of the workspace. Nothing outside it is listed."""
    found = browsing.browse(forge, query.path)
    return Folder(
        path=found.path,
        directories=[
            FolderItem(name=f.name, file_count=f.file_count, size_mb=megabytes(f.size_bytes))
            for f in found.folders
        ],
        files=[FileItem(name=name, size_mb=megabytes(size)) for name, size in found.files],
    )


def _trained(model: Model) -> TrainedModel:
    return TrainedModel(
        name=model.name,
        path=model.path,
        size_gb=gigabytes(model.size_bytes),
        created_at=None if model.created is None else utc(model.created),
        training_id=None if model.run is None else model.run.id,
    )


ROUTES = (
    Route("GET", "/api/dataset/info", dataset_info),
    Route("GET", "/api/filesystem/browse", browse),
)
