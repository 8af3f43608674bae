"""`python -m forgellm.jobs.inspect`: answer questions about datasets, one a line, each with one line of JSON.

It alone reads what users bring while a server waits: it can be killed, and on Linux its memory is bounded.
Lines with `progress` may come before an answer. It ends when whoever asks has gone.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from forgellm.domain.errors import ForgeError
from forgellm.jobs.answers import ANSWERS
from forgellm.jobs.asked import Asked, Tokenizers
from forgellm.jobs.job import failure_values
from forgellm.storage.memory_bound import bound_memory
from forgellm.storage.workspace import Workspace

_MEMORY_BYTES = 16 * 2**30


def main() -> None:
    """Answer until standard input ends."""
    bound_memory(_MEMORY_BYTES)
    # What readers have to say about a file is a problem in the answer, not a line in a server's log.
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    output, tokenizers = _own_output(), Tokenizers()
    lines = _lines()
    _say(output, {"ready": True})
    while True:
        question = json.loads(lines.get())
        _say(output, _answered(question, tokenizers, tell=partial(_tell, output)))


def _tell(output: TextIO, done: int, total: int) -> None:
    _say(output, {"progress": [done, total]})


def _answered(
    question: Mapping[str, Any], tokenizers: Tokenizers, *, tell: Callable[[int, int], None]
) -> dict[str, object]:
    details = dict(question)
    workspace = Workspace.open(Path(details.pop("workspace")))
    asked = Asked(workspace, Path(details.pop("hub_cache")), tell, tokenizers)
    try:
        return {"answer": ANSWERS[details.pop("ask")](asked, **details)}
    except ForgeError as error:
        return {"error": failure_values(error)}


def _own_output() -> TextIO:
    """Where answers go; what a library prints goes to the log instead."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return output


def _lines() -> queue.Queue[str]:
    """The lines of standard input as they come. At its end the process ends, whatever it is doing."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, name="questions", daemon=True).start()
    return lines


def _say(output: TextIO, values: Mapping[str, object]) -> None:
    output.write(json.dumps(values) + "\n")
    output.flush()


if __name__ == "__main__":
    main()
