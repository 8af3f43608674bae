"""Exporting a job's model as Sienn-AI documents it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field

from forgellm.api.routes import Body, Download, Query, Reply, Route
from forgellm.api.sienn.wording import documented_export, find_job
from forgellm.api.sienn.wording import job_id as id_of
from forgellm.api.waiting import between_looks
from forgellm.domain.errors import InvalidField
from forgellm.forge import Forge
from forgellm.services.job_exports import export_job, exported_folder
from forgellm.storage.archives import zipped

Format = Literal["pytorch", "ollama", "gguf"]
_FORMATS: Mapping[Format, str] = {"pytorch": "safetensors", "ollama": "ollama", "gguf": "gguf"}
_LEVELS = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"]


class Export(Body):
    format: Format = "pytorch"
    quantization: Literal["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"] | None = Field(
        None, description="of the numbers in a GGUF file, which ollama reads as well; f16 if left out"
    )


class Exporting(Reply):
    export_id: str
    format: str
    status: Literal["processing"] = "processing"
    download_url: str
    estimated_time: str | None = Field(description="null: nothing of this export was measured yet")


class Wanted(Query):
    format: Format = "pytorch"


class ExportFormat(BaseModel):
    name: str
    description: str
    supports_quantization: bool


class QuantizedFormat(ExportFormat):
    quantization_levels: list[str]


class Formats(Reply):
    formats: list[QuantizedFormat | ExportFormat]


@documented_export
def export(forge: Forge, job_id: str, body: Export) -> Exporting:
    """Begin to export the model of a job; its best checkpoint is fused into one first, if it is not yet."""
    run = find_job(forge, job_id)
    if body.format == "pytorch" and body.quantization is not None:
        raise InvalidField(
            "quantization is for gguf and ollama, and the format is pytorch",
            details={"field": "quantization"},
            suggestion="Leave it out, or choose another format.",
        )
    begun = export_job(
        forge, run, format=_FORMATS[body.format], gguf_type=body.quantization, wait=between_looks()
    )
    return Exporting(
        export_id=f"exp_{begun.id}",
        format=body.format,
        download_url=f"/api/download-model/{id_of(run)}?format={body.format}",
        estimated_time=None,
    )


@documented_export
def download(forge: Forge, job_id: str, query: Wanted) -> Download:
    """The newest export of a job in that format as a ZIP archive, waiting for one that is under way."""
    run = find_job(forge, job_id)
    folder = exported_folder(forge, run, format=_FORMATS[query.format], wait=between_looks())
    return Download(zipped(folder, top=folder.name), f"{folder.name}.zip", "application/zip")


def formats(_: Forge) -> Formats:
    """What a model can be exported as."""
    return Formats(
        formats=[
            ExportFormat(
                name="pytorch",
                description="PyTorch native format with safetensors",
                supports_quantization=False,
            ),
            ExportFormat(name="ollama", description="Ollama Modelfile format", supports_quantization=False),
            QuantizedFormat(
                name="gguf",
                description="GGUF quantized format for llama.cpp",
                supports_quantization=True,
                quantization_levels=_LEVELS,
            ),
        ]
    )


ROUTES = (
    Route("POST", "/api/export-model/<job_id>", export),
    Route("GET", "/api/download-model/<job_id>", download, media_type="application/zip"),
    Route("GET", "/api/export-formats", formats),
)
