"""Sienn-AI's API. Its jobs are runs; a job's model is the base with the run's best checkpoint."""

from __future__ import annotations

from forgellm.api.dialect import Dialect
from forgellm.api.sienn import datasets, exports, inference, jobs, system

SIENN = Dialect(
    prefix="/sienn-ai",
    routes=(*system.ROUTES, *datasets.ROUTES, *jobs.ROUTES, *exports.ROUTES),
    model_routes=inference.ROUTES,
)
