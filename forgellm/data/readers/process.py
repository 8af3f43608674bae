"""`python -m forgellm.data.readers.process`: read files that came from anywhere, one a line.

A PDF or a zip may be made to take for ever or to fill the memory; a process can be killed, and on Linux its
memory bounded. What no reader foresaw ends this process, and the next file gets another one.
"""

from __future__ import annotations

import importlib
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from forgellm.data.readers.unreadable import Unreadable, check_length
from forgellm.data.text import SAVE_AS_UTF8, Undecodable
from forgellm.storage.memory_bound import bound_memory

_MEMORY_BYTES = 4 * 2**30
_DEEP = "is nested too deeply"


def read(kind: str, path: Path) -> dict[str, Any]:
    """{"text", "encoding"}, or {"line", "reason", "suggestion"} of why there is none."""
    try:
        text, encoding = _read(kind, path)
        check_length(len(text))
    except Unreadable as error:
        return {"line": None, "reason": error.reason, "suggestion": error.suggestion}
    except Undecodable as error:
        return {"line": error.line, "reason": error.reason, "suggestion": SAVE_AS_UTF8}
    except OSError as error:
        return {"line": None, "reason": f"cannot be read: {error.strerror or error}", "suggestion": ""}
    except RecursionError:
        return {"line": None, "reason": _DEEP, "suggestion": ""}
    return {"text": text, "encoding": encoding}


def main() -> None:
    """Answer every line of standard input, {"kind", "path", "seconds"}, with one of standard output."""
    # Whoever reads the answers may be gone: that is no mistake to tell of. A Ctrl-C is for the parent.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    bound_memory(_MEMORY_BYTES)
    logging.disable()
    for line in sys.stdin:
        job = json.loads(line)
        # Unhandled on purpose: the kernel ends this process, also one that is busy in C.
        signal.setitimer(signal.ITIMER_REAL, job["seconds"])
        answer = read(job["kind"], Path(job["path"]))
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _read(kind: str, path: Path) -> tuple[str, str]:
    try:
        reader = importlib.import_module(f"forgellm.data.readers.{kind}")
    except ModuleNotFoundError as error:
        install = "Install it: pip install 'forgellm[documents]'."
        raise Unreadable(f"needs the package {error.name}, which is not installed", install) from error
    if kind == "html":
        found: tuple[str, str] = reader.read_html(path.read_bytes())
        return found
    return str(getattr(reader, f"read_{kind}")(path)), "UTF-8"


if __name__ == "__main__":
    main()
