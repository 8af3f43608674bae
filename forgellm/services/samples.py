"""Sample data that ships with ForgeLLM, copied into the workspace, where it can be looked at and changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import mkdtemp

from forgellm.services.parts import Parts
from forgellm.settings import packaged
from forgellm.storage.files import storage_errors

MODEL = "lough-tiny"
DOMAIN, GENERAL, QUESTIONS = "tamberlough", "everyday", "tamberlough_questions"


def bring_dataset(parts: Parts, name: str) -> bool:
    """Copy the sample dataset `name` to where it is missing; whether it was. Raises DiskFull, ReadOnly."""
    return _copied(packaged("dataset") / name, parts.workspace.datasets / name)


def bring_model(parts: Parts) -> bool:
    """Copy the small base model to where it is missing; whether it was. Raises DiskFull, ReadOnly."""
    return _copied(packaged("assets") / MODEL, parts.workspace.base_models / MODEL)


def _copied(source: Path, target: Path) -> bool:
    """Copy beside the place and rename, so that an interrupted copy is not taken for the real thing."""
    if target.exists():
        return False
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(mkdtemp(prefix=f".{target.name}.copying-", dir=target.parent))
        try:
            shutil.copytree(source, partial, dirs_exist_ok=True)
            partial.chmod(0o755)
            _place(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return True


def _place(partial: Path, target: Path) -> None:
    try:
        os.rename(partial, target)
    except OSError:
        # Another request may have brought it meanwhile.
        if not target.is_dir():
            raise
