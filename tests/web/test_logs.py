"""What the server writes about itself cannot be forged, and gives nothing away."""

import logging
import sys

from forgellm.web.logs import OneRecord
from tests.web.raw import exchange, head
from tests.web.served import served


def test_a_record_is_one_record_whatever_is_in_it():
    def shown(message, *, exc_info=None):
        record = logging.LogRecord("name", logging.ERROR, "", 0, message, (), exc_info)
        return OneRecord().format(record).split("\n")

    (line,) = shown("refused x\nERROR fake\x1b[31m\r\u2028\x85é")
    assert line.endswith("refused x\\nERROR fake\\x1b[31m\\r\\u2028\\x85é")
    try:
        raise ValueError("x\nERROR fake\x1b[31m")
    except ValueError:
        first, *rest = shown("failed", exc_info=sys.exc_info())
    assert first.endswith("ERROR name: failed")
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_the_log_of_requests_has_no_query(caplog):
    caplog.set_level(logging.DEBUG)
    with served(token="correct-horse-battery") as site:
        for target in ("/?token=correct-horse-battery", "/?token=correct-horse-buttery", "/x%0aERROR%20fake"):
            exchange(site.port, head(target, port=site.port))
    assert any("GET / 303" in record.getMessage() for record in caplog.records)
    assert "horse" not in caplog.text
    assert all("\n" not in OneRecord().format(record) for record in caplog.records)
