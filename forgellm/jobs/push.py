"""A push run: a model, or an adapter for PEFT, put on the Hugging Face Hub with its card.

What talks to the Hub is a process of its own (`jobs.push_process`), so that a stop is obeyed while the Hub is
silent. The token is its environment's or the Hub's own login, and stands nowhere else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from forgellm.domain.errors import ForgeError, HubUnreachable, InvalidModel
from forgellm.exporting.hub_files import HubFiles, adapter_on_hub, gguf_files, model_on_hub
from forgellm.jobs.job import Job, Outcome
from forgellm.storage.models import find_model, fingerprint

COMMAND = (sys.executable, "-m", "forgellm.jobs.push_process")
_LOOK_SECONDS = 0.2
_PASSED_ON = ("phase", "uploaded")


class PushFailed(ForgeError):
    """What the process that talked to the Hub failed with, under its own code."""

    def __init__(self, event: Mapping[str, Any]) -> None:
        super().__init__(
            str(event["error"]), details=event["details"], suggestion=str(event.get("suggestion") or "")
        )
        self.code = str(event["code"])


def push(job: Job) -> Outcome:
    """Push what `spec` names to `spec["repo_id"]`.

    Raises InvalidModel where it is no longer what was asked for, ModelNotFound, and what the Hub refuses.
    """
    spec: Mapping[str, Any] = job.run.spec
    files = _files(job, spec)
    wish = {
        "repo_id": spec["repo_id"],
        "private": spec["private"],
        "update": spec["update"],
        "paths": [str(path) for path in files.paths],
        "texts": dict(files.texts),
    }
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(wish).encode() + b"\n")
        process.stdin.flush()
        return _followed(job, process)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()


def _files(job: Job, spec: Mapping[str, Any]) -> HubFiles:
    repo = str(spec["repo_id"])
    if spec["adapter"] is not None:
        return adapter_on_hub(_export(job, spec["adapter"]), repo)
    model = find_model(job.workspace, job.hub_cache, str(spec["model_name"]))
    if fingerprint(model.path) != job.run.base_fingerprint:
        raise InvalidModel(
            f"the model {model.name} is not the one that was asked for any more",
            details={"model": model.name},
            suggestion="Push it again.",
        )
    ggufs = [path for name in spec["exports"] for path in gguf_files(_export(job, name))]
    return model_on_hub(model.path, repo, root=job.workspace.root, ggufs=ggufs)


def _export(job: Job, name: object) -> Path:
    return job.workspace.resolve(str(name), within=job.workspace.exports)


def _followed(job: Job, process: subprocess.Popen[bytes]) -> Outcome:
    phase = None
    repo = {"repo_id": job.run.spec["repo_id"], "private": job.run.spec["private"]}
    for event in _events(process):
        kind = event.pop("type", None)
        if kind == "done":
            return Outcome("completed", {**repo, **event})
        if kind == "failed":
            raise PushFailed(event)
        if kind in _PASSED_ON:
            phase = event.get("phase", phase)
            job.log.append(kind, **event)
        if job.control() != "run":
            job.log.append("stopping")
            # While it is committed nobody here can say what the Hub makes of it.
            return Outcome("stopped", {**repo, "committed": None if phase == "committing" else False})
    raise HubUnreachable(
        "the process that talked to the Hub has ended", suggestion="worker.log may say why; push again."
    )


def _events(process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """What the process tells, and an empty event whenever it has been silent for a while."""
    assert process.stdout is not None
    with process.stdout as out:
        begun = b""
        while True:
            if not wait([out.fileno()], _LOOK_SECONDS):
                yield {}
                continue
            data = os.read(out.fileno(), 1 << 16)
            if not data:
                return
            *lines, begun = (begun + data).split(b"\n")
            yield from (json.loads(line) for line in lines)
