"""`python -m forgellm.jobs.push_process`: put files on the Hub, in a process that can be ended at any moment.

The wish is one line of JSON on standard input; what happens is told in lines of JSON on standard output. It
ends when its input does: then the worker that started it has gone. All files become visible in one commit,
the last step; what had been uploaded before is not sent again by the next attempt.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, ModelInfo, errors, get_token
from huggingface_hub.utils.tqdm import disable_progress_bars

from forgellm.domain.errors import (
    ForgeError,
    HubForbidden,
    HubNameTaken,
    HubRefused,
    HubTokenRefused,
    HubUnreachable,
    NoHubToken,
    PathNotFound,
)
from forgellm.exporting.hub_files import CARD
from forgellm.jobs.job import failure_values

_TOKEN = re.compile(r"[!-~]+")
_BEGUN = {".gitattributes", CARD}
"""What a repository may hold that nothing was pushed to."""


class Push:
    """One wish, and the Hub it is for. `tell` is called with each event."""

    def __init__(self, wish: Mapping[str, Any], api: HfApi, out: TextIO) -> None:
        self._wish = wish
        self._api = api
        self._out = out
        self._repo = str(wish["repo_id"])

    def tell(self, **event: object) -> None:
        self._out.write(json.dumps(event) + "\n")
        self._out.flush()

    def run(self) -> None:
        """Raises what `hub_push_errors` names, HubNameTaken, PathNotFound."""
        self.tell(type="phase", phase="asking the Hub")
        found = self._opened()
        additions = [self._addition(str(path)) for path in self._wish["paths"]]
        self.tell(type="phase", phase="uploading", total_iterations=len(additions))
        size = 0
        for done, addition in enumerate(additions, start=1):
            self._api.preupload_lfs_files(self._repo, [addition], free_memory=False)
            size += addition.upload_info.size
            self.tell(type="uploaded", iteration=done, file=addition.path_in_repo, done_bytes=size)
        self.tell(type="phase", phase="committing")
        texts = [CommitOperationAdd(name, text.encode()) for name, text in self._wish["texts"].items()]
        stale = [CommitOperationDelete(name) for name in _stale(_names(found), additions)]
        commit = self._api.create_commit(
            self._repo,
            [*texts, *additions, *stale],
            commit_message="Upload with ForgeLLM",
            # What was there when it was asked: whoever pushed meanwhile is not overwritten.
            parent_commit=found.sha,
        )
        url = f"{self._api.endpoint}/{self._repo}"
        self.tell(type="done", commit=commit.oid, url=url, done_bytes=size, private=found.private is True)

    def _opened(self) -> ModelInfo:
        """Make sure of a repository that may be written to; what it is."""
        try:
            info = self._api.model_info(self._repo)
        except errors.RepositoryNotFoundError:
            self._api.create_repo(self._repo, private=bool(self._wish["private"]))
            info = self._api.model_info(self._repo)
        if self._wish["private"] and info.private is not True:
            raise HubNameTaken(
                f"{self._repo} is open to everyone on the Hub, and the push was to be private",
                details={"repo_id": self._repo},
                suggestion="Choose another name, make it private there, or ask for a public push.",
            )
        if set(_names(info)) - _BEGUN and not self._wish["update"]:
            raise HubNameTaken(
                f"the Hub has a model {self._repo} already",
                details={"repo_id": self._repo},
                suggestion="Choose another name, or say that it is to be updated (--update).",
            )
        return info

    def _addition(self, path: str) -> CommitOperationAdd:
        try:
            return CommitOperationAdd(Path(path).name, path)
        except ValueError as error:
            raise PathNotFound(
                f"{Path(path).name} has gone meanwhile", suggestion="Push it again, if it is there."
            ) from error


def _names(info: ModelInfo) -> list[str]:
    return [file.rfilename for file in info.siblings or []]


def _stale(there: Sequence[str], additions: Sequence[CommitOperationAdd]) -> list[str]:
    """Weights of an earlier push, which whoever loads the model would take for its own."""
    new = {addition.path_in_repo for addition in additions}
    if not any(name.startswith("model") for name in new):
        return []
    of_model = (n for n in there if n.startswith("model") and n.endswith((".safetensors", ".index.json")))
    return [name for name in of_model if name not in new]


@contextmanager
def hub_push_errors(repo: str, token: str) -> Iterator[None]:
    """Name what goes wrong, and keep the token out of what is said of it."""
    try:
        yield
    except ForgeError:
        raise
    # Its storage's client and huggingface_hub wrap what happened in RuntimeErrors and ValueErrors.
    except (errors.HTTPError, OSError, RuntimeError, ValueError) as error:  # type: ignore[attr-defined]
        raise _named(error, repo, token) from None


def _named(error: BaseException, repo: str, token: str) -> ForgeError:
    details = {"repo_id": repo}
    status, said = _answer(error)
    said = said.replace(token, "…")
    if status == 401:
        return HubTokenRefused(
            f"the Hub does not take the token: {said}",
            details=details,
            suggestion="Set HF_TOKEN to a token with the right to write, or log in with `hf auth login`.",
        )
    if status in (402, 403, 404):
        return HubForbidden(
            f"the token may not write {repo} on the Hub: {said}",
            details=details,
            suggestion=f"Use a token that may write to what is {repo.partition('/')[0]}'s, or another owner.",
        )
    # 412: what was there is no longer what it was when the push began.
    if status in (409, 412):
        return HubNameTaken(
            f"the Hub says of {repo}: {said}",
            details=details,
            suggestion="Somebody else may have pushed there meanwhile: look, or choose another name.",
        )
    if isinstance(error, ValueError) or (status is not None and 400 <= status < 500 and status != 429):
        return HubRefused(
            f"the Hub does not take it: {said}", details=details, suggestion="Mend that, and push again."
        )
    return HubUnreachable(
        f"the Hub cannot be reached, or broke off: {said}",
        details=details,
        suggestion="Check the network, HF_HUB_OFFLINE and HF_ENDPOINT, and push again: files that "
        "arrived are not sent again, and nothing is to be seen there before all have.",
    )


def _answer(error: BaseException) -> tuple[int | None, str]:
    """The status that the Hub answered with, if it did, and its words."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, errors.HfHubHTTPError):
            return seen.response.status_code, seen.server_message or _first_line(seen)
        seen = seen.__cause__ or seen.__context__
    return None, _first_line(error)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _end_with(source: TextIO) -> None:
    source.read()
    os._exit(1)


def main() -> None:
    """Do what the first line of the input says."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Whatever a library prints is for the log.
    os.dup2(2, 1)
    disable_progress_bars()
    wish = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with, args=(sys.stdin,), daemon=True).start()
    token = get_token()
    push = Push(wish, HfApi(token=token, library_name="forgellm"), out)
    try:
        if not token:
            raise no_token()
        if not _TOKEN.fullmatch(token):
            # What sends it would say what it could not send.
            raise HubTokenRefused(
                "what HF_TOKEN or the Hub's login gives is no token",
                suggestion="Tokens are letters, digits and underscores: set it anew.",
            )
        with hub_push_errors(str(wish["repo_id"]), token):
            push.run()
    except ForgeError as error:
        push.tell(type="failed", **failure_values(error))
    out.flush()
    # Threads of the storage's client may still wait for a Hub that is silent.
    os._exit(0)


def no_token() -> NoHubToken:
    """What to do without one."""
    return NoHubToken(
        "there is no token for the Hub",
        suggestion="Make one with the right to write at huggingface.co/settings/tokens, and set HF_TOKEN "
        "to it where ForgeLLM is started, or log in with `hf auth login`.",
    )


if __name__ == "__main__":
    main()
