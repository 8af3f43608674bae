"""Every route that asks for the resident model: answered by the model server, passed on by the web server."""

from __future__ import annotations

from forgellm.api import dialects, generate, model
from forgellm.api.openai import chat, completions, models

ROUTES = (*model.ROUTES, *generate.ROUTES, *chat.ROUTES, *completions.ROUTES, *models.ROUTES, *dialects.MODEL)
