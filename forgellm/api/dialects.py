"""Every dialect, on the shared port and strictly below its prefix."""

from __future__ import annotations

from forgellm.api import shared
from forgellm.api.ai_forge import AI_FORGE, documentation
from forgellm.api.llm_platform import LLM_PLATFORM
from forgellm.api.modelforge import MODELFORGE
from forgellm.api.routes import Route
from forgellm.api.sienn import SIENN

DIALECTS = (MODELFORGE, SIENN, LLM_PLATFORM, AI_FORGE)


def _unclaimed(routes: tuple[Route, ...]) -> list[Route]:
    return [route for route in routes if (route.method, route.path) not in shared.CLAIMED]


SHARED_PORT = (
    *shared.ROUTES,
    *documentation.FILES,
    *(route for d in DIALECTS for route in _unclaimed(d.routes)),
)
"""What the web server answers itself at the documented paths."""

STRICT = tuple(route for dialect in DIALECTS for route in dialect.strict)
"""The same below the prefixes."""

MODEL = tuple(route for d in DIALECTS for route in (*_unclaimed(d.model_routes), *d.strict_model))
"""What the model server answers, at the documented paths and below the prefixes."""
