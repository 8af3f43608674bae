"""The tokens of datasets, kept on disk by what a dataset holds and by tokenizer, so that they are made once.

A run has a corpus of its own and never needs the cache again: whatever lies here may be deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forgellm.data.content import content_hash, stamps
from forgellm.data.filling import Attend, fill
from forgellm.data.sources import Kind
from forgellm.data.token_store import MANIFEST, DamagedStore, StoreWriter, TokenStore
from forgellm.data.tokens import identity
from forgellm.domain.errors import InvalidDataset
from forgellm.storage.files import PARTIAL, HeldLock, exclusive, storage_errors

VERSION = 3
"""To be raised whenever the same files would give other tokens."""

MOST_BYTES = 10 * 2**30
MOST_DAYS = 30

_ATTEMPTS = 3


class TokenCache:
    """Stores below a folder, one for each dataset, tokenizer and kind of item, of `most_bytes` in all.

    While tokens are made `attend` is called about once a second, with the share of the dataset that was read;
    what it raises ends the making.
    """

    def __init__(
        self, root: Path, *, attend: Attend = lambda share: None, most_bytes: int = MOST_BYTES
    ) -> None:
        self._root = root
        self._attend = attend
        self._most_bytes = most_bytes

    @contextmanager
    def opened(self, dataset: Path, kind: Kind, tokenizer: Any) -> Iterator[TokenStore]:
        """The tokens of a dataset: first the items of its part train, then those of valid.

        `facts` has their number as `train` and `valid`, the tokens before each document as `lead`, and
        notes. Raises InvalidDataset with what is wrong with the rows, DiskFull, ReadOnly.
        """
        store = self._found(dataset, kind, tokenizer)
        try:
            yield store
        finally:
            store.close()

    def _found(self, dataset: Path, kind: Kind, tokenizer: Any) -> TokenStore:
        with storage_errors(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
        memo = self._root / f"{_hash(str(dataset.resolve()))}.files"
        for _ in range(_ATTEMPTS):
            before = stamps(dataset)
            key = _hash([VERSION, kind, content_hash(dataset, memo=memo), identity(tokenizer)])
            # Who comes second waits, and finds what the first has made.
            with exclusive(self._root / f"{key}.lock"):
                store = self._kept(key) or self._made(key, dataset, kind, tokenizer=tokenizer)
                if stamps(dataset) == before:
                    self._prune(key)
                    return store
                # What was read is not what was hashed: it must not be found under that hash.
                store.close()
                _remove(self._root / key)
        raise InvalidDataset(
            f"dataset {dataset.name} is being changed",
            details={"dataset": dataset.name},
            suggestion="Start again when its files are complete.",
        )

    def _kept(self, key: str) -> TokenStore | None:
        try:
            store = TokenStore(self._root / key)
            os.utime(self._root / key / MANIFEST)
        except (DamagedStore, OSError):
            _remove(self._root / key)
            return None
        return store

    def _made(self, key: str, dataset: Path, kind: Kind, *, tokenizer: Any) -> TokenStore:
        partial = self._root / f"{PARTIAL}{key}"
        _remove(partial)
        with storage_errors(partial):
            partial.mkdir()
        try:
            with StoreWriter(partial) as writer:
                fill(writer, dataset, kind, tokenizer=tokenizer, attend=self._attend)
            with storage_errors(partial):
                partial.rename(self._root / key)
        finally:
            _remove(partial)
        return TokenStore(self._root / key)

    def _prune(self, used: str) -> None:
        """Remove what was not used for a month, the longest unused beyond the size limit, and what nobody
        finishes any more."""
        for partial in self._root.glob(f"{PARTIAL}*"):
            lock = HeldLock.acquire(self._root / f"{partial.name.removeprefix(PARTIAL)}.lock")
            if lock is not None:
                _remove(partial)
                lock.release()
        found = sorted(self._root.glob(f"*/{MANIFEST}"), key=_used, reverse=True)
        newest, total = _used(self._root / used / MANIFEST), 0
        for manifest in found:
            total += sum(file.stat().st_size for file in manifest.parent.iterdir())
            old = newest - _used(manifest) > MOST_DAYS * 86_400
            if manifest.parent.name != used and (old or total > self._most_bytes):
                _remove(manifest.parent)


def _used(manifest: Path) -> float:
    return manifest.stat().st_mtime


def _remove(folder: Path) -> None:
    # Somebody else may be removing it, or it was never there.
    shutil.rmtree(folder, ignore_errors=True)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:40]
