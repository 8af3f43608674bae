"""LLM Platform's API. Its jobs are runs under their numbers, its states are the runs' in upper case."""

from __future__ import annotations

from forgellm.api.dialect import Dialect
from forgellm.api.llm_platform import evaluations, models, system, training

LLM_PLATFORM = Dialect(
    prefix="/llm-platform",
    routes=(*system.ROUTES, *models.ROUTES, *training.ROUTES, *evaluations.ROUTES),
    model_routes=models.MODEL_ROUTES,
)
