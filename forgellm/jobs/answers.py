"""Every question about a dataset, with what answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from forgellm.jobs.excluding import columns, located, refused
from forgellm.jobs.measuring import preview, report
from forgellm.jobs.parting import split
from forgellm.jobs.questions import describe, rows, startable, table
from forgellm.jobs.rewriting import convert

ANSWERS: Mapping[str, Callable[..., dict[str, object]]] = {
    "columns": columns,
    "convert": convert,
    "describe": describe,
    "located": located,
    "preview": preview,
    "refused": refused,
    "report": report,
    "rows": rows,
    "split": split,
    "startable": startable,
    "table": table,
}
