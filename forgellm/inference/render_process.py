"""`python -m forgellm.inference.render_process`: render chat templates, one a line.

A chat template is a program that came with a model. transformers' sandbox keeps it from the machine, but not
from running for ever or from filling the memory; a process can be killed, and on Linux its memory bounded.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from typing import Any

import jinja2
from transformers.utils.chat_template_utils import render_jinja_template

from forgellm.storage.memory_bound import bound_memory

_MEMORY_BYTES = 4 * 2**30


def render(job: Mapping[str, Any]) -> dict[str, str]:
    """{"text": …}, or {"error": …} where the template refuses the messages or is none."""
    try:
        texts, _ = render_jinja_template(
            conversations=[job["messages"]],
            tools=job["tools"] or None,
            chat_template=job["template"],
            add_generation_prompt=not job["answered"],
            **job["variables"],
        )
        # No tokenizer takes what is not Unicode.
        texts[0].encode()
    except (
        jinja2.TemplateError,
        TypeError,
        ValueError,
        LookupError,
        ArithmeticError,
        RecursionError,
    ) as error:
        return {"error": str(error)[:500] or type(error).__name__}
    return {"text": texts[0]}


def main() -> None:
    """Answer every line of standard input with one of standard output."""
    # Whoever reads the answers may be gone: that is no mistake to tell of.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    bound_memory(_MEMORY_BYTES)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(render(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
