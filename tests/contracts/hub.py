"""The built-in model under the name that the documents use."""

from __future__ import annotations

import shutil
from pathlib import Path

from forgellm.settings import packaged

MODEL = "mlx-community/Qwen3-4B-bf16"


def put_into_hub(cache: Path, name: str = MODEL) -> None:
    """As a download of that name would leave it."""
    model = cache / ("models--" + name.replace("/", "--"))
    revision = "0" * 40
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(revision)
    shutil.copytree(packaged("assets") / "lough-tiny", model / "snapshots" / revision)
