"""The last test of a module that asks servers compares what they answered with the table of endpoints."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts import endpoint_table
from tests.contracts.documented import Document
from tests.contracts.sightings import Sightings


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Callable[[Document, Sightings], None]:
    """Fails where docs/endpoints.md says otherwise, or a document promises what was not seen.

    Of tests that were chosen by name, only what they saw is compared. `--write-endpoints` writes it anew.
    """
    written = {name for name in vars(request.module) if name.startswith("test_")}
    ran = {getattr(i, "originalname", "") for i in request.session.items if i.path == request.path}
    rewrite = request.config.getoption("--write-endpoints")

    def compare(document: Document, seen: Sightings) -> None:
        found = endpoint_table.rows(document, seen)
        if written <= ran:
            assert endpoint_table.gaps(document, seen) == []
            if rewrite:
                endpoint_table.write(document, endpoint_table.section(document, seen))
            assert endpoint_table.committed(document) == endpoint_table.section(document, seen)
        known = endpoint_table.committed(document).splitlines()
        assert [row for words, row in found.items() if words != "failures" and row not in known] == []

    return compare
