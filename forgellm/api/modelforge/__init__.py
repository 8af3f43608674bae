"""ModelForge's API. Its jobs are runs, its models are runs that have weights."""

from __future__ import annotations

from forgellm.api.dialect import Dialect
from forgellm.api.modelforge import datasets, models, playground, system, training

MODELFORGE = Dialect(
    prefix="/modelforge",
    routes=(*system.ROUTES, *training.ROUTES, *models.ROUTES, *datasets.ROUTES),
    model_routes=playground.ROUTES,
)
