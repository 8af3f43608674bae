"""What people read about the API has to be all of it."""

import re
from pathlib import Path

from forgellm.api import dialects, model_routes
from forgellm.web.app import DIALECTS, NATIVE
from forgellm.web.pages import ROUTES

API = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def test_every_route_is_on_the_page_about_the_api_and_no_other():
    strict = {
        (route.method, route.open_path) for dialect in dialects.DIALECTS for route in dialect.strict_model
    }
    told = set(re.findall(r"`(GET|POST|DELETE|PUT|PATCH) (/[^`?]*)`", API))
    served = {
        (route.method, route.open_path) for route in (*NATIVE, *DIALECTS, *ROUTES, *model_routes.ROUTES)
    }
    assert told == (served - strict) | {("GET", "/openapi.json")}
