"""The Hugging Face Hub: how it fails, how far a file is, and that one process alone fetches a thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from huggingface_hub import errors

from forgellm.domain.errors import ForgeError, HubUnreachable, ModelNotFound, RunConflict
from forgellm.storage.files import HeldLock, storage_errors

OnProgress = Callable[[int, int], None]
"""Told (bytes that are here, bytes in all)."""


def not_a_hub(problem: str) -> HubUnreachable:
    """What answers at the Hub's address is something else."""
    return HubUnreachable(problem, suggestion="Set HF_ENDPOINT to the address of a Hub, or leave it out.")


def model_errors(name: str) -> AbstractContextManager[None]:
    """Name what goes wrong with the model `name`: ModelNotFound, HubUnreachable."""
    return hub_errors(name, kind="model", missing=ModelNotFound)


@contextmanager
def hub_errors(name: str, *, kind: str, missing: type[ForgeError]) -> Iterator[None]:
    """Name what goes wrong with the `kind` (model or dataset) `name`; `missing` is that there is none."""
    try:
        yield
    except errors.GatedRepoError as error:
        raise missing(
            f"{name} is only for those who accepted its terms",
            details={kind: name},
            suggestion="Accept them on its page, and set HF_TOKEN to a token of yours.",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise missing(
            f"the Hub has no {kind} {name}, or it is private",
            details={kind: name},
            suggestion="Check the name; for a private one set HF_TOKEN.",
        ) from error
    except errors.EntryNotFoundError as error:
        raise missing(
            f"{name} has no such file on the Hub",
            details={kind: name},
            suggestion="Look at its page there.",
        ) from error
    # HTTPError is that of httpx, and from huggingface_hub 2 on that of httpx2; the others are OSErrors.
    except (errors.HTTPError, OSError) as error:  # type: ignore[attr-defined]
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise HubUnreachable(
            f"the Hub cannot be reached, or broke off: {_first_line(error)}",
            details={kind: name},
            suggestion="Check the network, HF_HUB_OFFLINE and HF_ENDPOINT, and try again: what has come is "
            "kept. What is here already needs no Hub.",
        ) from error


@contextmanager
def alone(path: Path, name: str) -> Iterator[None]:
    """Hold the lock at `path`. Raises RunConflict while another process has it."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = HeldLock.acquire(path)
    if lock is None:
        raise RunConflict(f"{name} is being downloaded already", suggestion="Wait for that download.")
    try:
        yield
    finally:
        lock.release()


def reporter(told: Callable[[int], None]) -> Any:
    """A progress bar, in the form that huggingface_hub expects, that only tells how far a file is."""

    class Reporter:
        def __init__(self, *, initial: int = 0, **_: object) -> None:
            self._count = initial
            told(initial)

        def update(self, count: int) -> None:
            self._count += count
            told(self._count)

        def __enter__(self) -> Reporter:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    return Reporter


def _first_line(error: Exception) -> str:
    with suppress(IndexError):
        return str(error).strip().splitlines()[0]
    return type(error).__name__
