"""POST /api/demo: the built-in model and data, and a run on them, for those who want to see it work first."""

from __future__ import annotations

from pydantic import Field

from forgellm.api.routes import Answer, Route
from forgellm.forge import Forge
from forgellm.services import demo as service
from forgellm.services import runs, training


class DemoStarted(Answer):
    message: str = "The demo has begun"
    training_id: str
    output_dir: str
    state: str
    copied: list[str] = Field(description="the folders that were copied into the workspace for it")


def demo(forge: Forge) -> DemoStarted:
    """Copy the built-in model and sample data to where they are missing, and train on them, or queue that."""
    copied = service.prepare(forge)
    run = training.start(forge, service.CPT, queue=True)
    state = runs.status(forge, run).state.value
    return DemoStarted(training_id=run.id, output_dir=run.folder, state=state, copied=copied)


ROUTES = (Route("POST", "/api/demo", demo),)
