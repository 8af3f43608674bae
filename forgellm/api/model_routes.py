"""Every route that asks for the resident model: answered by the model server, passed on by the web server."""

from __future__ import annotations

from forgellm.api import generate, model

ROUTES = (*model.ROUTES, *generate.ROUTES)
