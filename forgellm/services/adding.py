"""Datasets out of files of this machine, and out of what the Hugging Face Hub has under a name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download

from forgellm.data.documents import SUFFIXES as DOCUMENTS
from forgellm.data.documents import WRITTEN
from forgellm.data.rows import SUFFIXES as ROWS
from forgellm.domain.errors import DatasetNotFound, InvalidDataset, InvalidField, PathNotFound
from forgellm.services.hub import OnProgress, alone, hub_errors, reporter
from forgellm.services.ingestion import Arrival, arrival, check_name, name_from
from forgellm.services.parts import Parts
from forgellm.storage.models import is_hub_id

_OF_THE_HUB = (*ROWS, ".txt")
# What describes a dataset on the Hub, and is none of its rows.
_CARDS = ("dataset_infos.json", "dataset_info.json", "state.json")


@dataclass(frozen=True)
class Added:
    """The dataset `name`, of so many `files`; `passed_over` are those that no reader is for."""

    name: str
    files: int
    passed_over: list[str]


def add_files(
    parts: Parts, paths: Sequence[Path], *, name: str | None, append: bool, on_progress: OnProgress
) -> Added:
    """Copy files, or what lies in one folder, into a new dataset; with `append` into one there is.

    Raises PathNotFound, InvalidField, InvalidDataset where there is nothing that can be read,
    DatasetConflict, DatasetNotFound, DiskFull, ReadOnly.
    """
    chosen, passed_over = _chosen(paths)
    if not chosen:
        raise InvalidDataset(
            f"nothing in {paths[0].name!r:.200} can be read",
            details={"passed_over": passed_over[:20]},
            suggestion=f"Read are {', '.join((*ROWS, *WRITTEN))} and source code.",
        )
    name = (
        name_from(paths[0].stem if paths[0].is_file() else paths[0].resolve().name) if name is None else name
    )
    total = sum(path.stat().st_size for path, _ in chosen)
    with arrival(parts, needed_bytes=total) as files:
        _copy_all(files, chosen, total=total, on_progress=on_progress)
        if append:
            files.append_to(name)
        else:
            files.keep(name, source={"kind": "files", "files": [path.name for path in paths]})
    return Added(name, len(chosen), passed_over)


def add_from_hub(
    parts: Parts, repository: str, *, name: str | None, include: str | None, on_progress: OnProgress
) -> Added:
    """Fetch the rows of a dataset on the Hub, by way of its cache; `include` is a pattern for its files.

    Raises InvalidField, DatasetNotFound, InvalidDataset where it has no such file, HubUnreachable,
    DatasetConflict, DiskFull, ReadOnly, RunConflict while another process fetches it.
    """
    if not is_hub_id(repository):
        raise InvalidField(
            f"{repository!r:.120} is not the id of a dataset on the Hub",
            details={"field": "name"},
            suggestion="Give one such as hf:squad or hf:OWNER/NAME.",
        )
    name = name_from(repository.rpartition("/")[2]) if name is None else name
    check_name(name)
    lock = parts.hub_cache / ".locks" / f"datasets--{repository.replace('/', '--')}" / "add.lock"
    with (
        hub_errors(repository, kind="dataset", missing=DatasetNotFound),
        alone(lock, repository),
    ):
        revision, sizes = _listed(repository, include)
        with arrival(parts, needed_bytes=2 * sum(sizes.values())) as files:
            here, total = 0, sum(sizes.values())
            for file, size in sizes.items():

                def told(count: int, before: int = here) -> None:
                    on_progress(before + count, total)

                path = hf_hub_download(
                    repository,
                    file,
                    repo_type="dataset",
                    revision=revision,
                    cache_dir=parts.hub_cache,
                    tqdm_class=reporter(told),
                )
                files.copy(Path(path), file)
                here += size
            source = {"kind": "hub", "name": repository, "revision": revision, "include": include}
            files.keep(name, source=source)
    return Added(name, len(sizes), [])


def _listed(repository: str, include: str | None) -> tuple[str, dict[str, int]]:
    """(revision, bytes of each file that is wanted)."""
    info = HfApi().dataset_info(repository, files_metadata=True)
    known = {found.rfilename: found.size or 0 for found in info.siblings or []}
    wanted = {
        file: size
        for file, size in known.items()
        if file.lower().endswith(_OF_THE_HUB)
        and Path(file).name not in _CARDS
        and not any(part.startswith(".") for part in Path(file).parts)
        and (include is None or fnmatch(file, include))
    }
    if not wanted:
        raise InvalidDataset(
            f"{repository} has no file of rows" + (f" like {include}" if include else ""),
            details={"dataset": repository, "files": sorted(known)[:50]},
            suggestion=f"Read are {', '.join(_OF_THE_HUB)}; --include chooses among its files.",
        )
    return str(info.sha), wanted


def _chosen(paths: Sequence[Path]) -> tuple[list[tuple[Path, str]], list[str]]:
    """(file, its name in the dataset) of what can be read; the names of what cannot."""
    chosen, passed_over = [], []
    for path, name in _found(paths):
        if name.lower().endswith((*ROWS, *DOCUMENTS)):
            chosen.append((path, name))
        else:
            passed_over.append(name)
    return chosen, passed_over


def _found(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    for path in paths:
        if path.is_file():
            yield path, path.name
        elif path.is_dir():
            yield from _inside(path)
        else:
            raise PathNotFound(
                f"there is no file or folder {str(path)!r:.200}",
                suggestion="Name files, a folder, or hf:NAME.",
            )


def _inside(folder: Path) -> Iterator[tuple[Path, str]]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if not name.startswith(".") and path.is_file():
                yield path, path.relative_to(folder).as_posix()


def _copy_all(
    files: Arrival, chosen: Sequence[tuple[Path, str]], *, total: int, on_progress: OnProgress
) -> None:
    done = 0
    on_progress(0, total)
    for path, name in chosen:

        def told(count: int, before: int = done) -> None:
            on_progress(before + count, total)

        files.copy(path, name, told=told)
        done += path.stat().st_size
