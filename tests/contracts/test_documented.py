"""The route tables against the documents: nothing is missing, nothing is there that nobody documents, and
no two tables answer one path unless it is declared which of them does.
"""

from __future__ import annotations

from collections import Counter

import pytest

from forgellm.api import dialects, model_routes, shared
from forgellm.web.app import DIALECTS, NATIVE
from forgellm.web.pages import ROUTES
from tests.contracts.documents import ai_forge, forgellm, forgellm_model, llm_platform, modelforge, sienn

PORT = (*NATIVE, *DIALECTS, *ROUTES, *model_routes.ROUTES)
OWN = (forgellm.DOCUMENT, forgellm_model.DOCUMENT)
OTHERS = {module.DOCUMENT.strict: module.DOCUMENT for module in (ai_forge, modelforge, sienn, llm_platform)}


def served(routes) -> set[tuple[str, str]]:
    return {(route.method, route.open_path) for route in routes}


def test_every_system_has_a_document():
    assert {dialect.prefix for dialect in dialects.DIALECTS} == set(OTHERS)


@pytest.mark.parametrize("dialect", dialects.DIALECTS, ids=lambda dialect: dialect.prefix)
def test_a_system_serves_what_it_documents_and_nothing_else(dialect):
    documented = OTHERS[dialect.prefix].paths()
    assert served([*dialect.routes, *dialect.model_routes]) == documented
    strict = {(method, dialect.prefix + path) for method, path in documented}
    assert served([*dialect.strict, *dialect.strict_model]) == strict
    assert strict <= served([*dialects.STRICT, *model_routes.ROUTES])


@pytest.mark.parametrize("document", [*OWN, *OTHERS.values()], ids=lambda document: document.title)
def test_every_documented_path_is_on_the_shared_port(document):
    assert document.paths() <= served(PORT)


def test_no_path_is_answered_by_two_tables():
    counted = Counter((route.method, route.path) for route in PORT)
    assert [path for path, count in counted.items() if count > 1] == []


def test_paths_that_several_claim_are_declared_and_no_others_are():
    theirs = [r for d in dialects.DIALECTS for r in (*d.routes, *d.model_routes)]
    claims = Counter((route.method, route.path) for route in theirs)
    own = Counter((r.method, r.path) for r in (*NATIVE, *ROUTES, *model_routes.ROUTES, *shared.ROUTES))
    unclaimed = {(r.method, r.path) for r in theirs} - shared.CLAIMED
    assert set(claims) >= shared.CLAIMED
    assert all(claims[path] == 1 for path in unclaimed)
    assert all(own[path] == 1 for path in shared.CLAIMED)
