"""AI Forge's API. A job is a run; its result is a model that is called `project:custom`."""

from __future__ import annotations

from forgellm.api.ai_forge import chat, documentation, fine_tuning, system
from forgellm.api.dialect import Dialect

AI_FORGE = Dialect(
    prefix="/ai-forge",
    routes=(*system.ROUTES, *fine_tuning.ROUTES, *documentation.ROUTES),
    model_routes=chat.MODEL_ROUTES,
)
