"""What this machine and installation can do, for `forgellm doctor`. Nothing is changed.

MLX is asked in a process of its own: it may crash, and no service imports it.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import psutil

from forgellm import __version__
from forgellm.domain.errors import ForgeError
from forgellm.services.space import check_writable
from forgellm.settings import Settings, find_openblas
from forgellm.storage.datasets import list_datasets
from forgellm.storage.events import events_backwards, events_path
from forgellm.storage.models import list_base_models
from forgellm.storage.runs import MANIFEST, list_runs, run_folder
from forgellm.storage.workspace import Workspace

Level = Literal["ok", "advice", "problem"]

_PACKAGES = ("mlx", "mlx-lm", "transformers", "tokenizers", "numpy", "matplotlib", "huggingface_hub")
_PROBE_SECONDS = 120

_WITHOUT_OPENBLAS = (
    "no OpenBLAS: runs are about 10 times slower. "
    "Debian, Ubuntu: apt install libopenblas0-pthread; Fedora: dnf install openblas-threads"
)
_WITHOUT_COMPILER = (
    "MLX cannot fuse CPU kernels without one. Debian, Ubuntu: apt install g++; macOS: xcode-select --install"
)

# The second product is timed: the first one includes compiling or waking the device.
_MLX_PROBE = """
import json, time
import mlx.core as mx
a = mx.random.normal((1024, 1024))
seconds = []
for _ in range(2):
    start = time.perf_counter()
    mx.eval(a @ a)
    seconds.append(time.perf_counter() - start)
print(json.dumps({"device": str(mx.default_device()), "gflops": 2 * 1024**3 / seconds[1] / 1e9}))
"""


@dataclass(frozen=True)
class Fact:
    """One finding. `value` is None where it could not be measured, and `note` then says why.

    `advice` is something that would help, `problem` something that prevents work.
    """

    name: str
    value: str | None
    note: str = ""
    level: Level = "ok"


def doctor(settings: Settings, environment: Mapping[str, str]) -> list[Fact]:
    """All findings. `environment` is that of the worker processes."""
    return [
        *_versions(),
        *_mlx(environment),
        _blas(),
        _compiler(),
        *_memory(),
        *_workspace(settings),
    ]


def as_values(facts: list[Fact]) -> dict[str, object]:
    """Plain values for JSON."""
    works = not any(fact.level == "problem" for fact in facts)
    return {"works": works, "facts": [asdict(fact) for fact in facts]}


def _versions() -> Iterator[Fact]:
    yield Fact("forgellm", __version__)
    yield Fact("python", f"{platform.python_version()} ({sys.executable})")
    yield Fact("platform", platform.platform())
    for name in _PACKAGES:
        try:
            yield Fact(name, version(name))
        except PackageNotFoundError:
            yield Fact(
                name, None, "not installed; install ForgeLLM again from its checkout or wheel", "problem"
            )


def _mlx(environment: Mapping[str, str]) -> Iterator[Fact]:
    try:
        found = json.loads(_run_probe(environment))
    except (subprocess.SubprocessError, OSError, ValueError) as error:
        yield Fact("device", None, f"MLX does not work here: {_reason(error)}", "problem")
        yield Fact("speed", None, "MLX does not work here")
        return
    yield Fact("device", found["device"])
    yield Fact("speed", f"{found['gflops']:.0f} GFLOP/s", "float32 product of two 1,024 x 1,024 matrices")


def _run_probe(environment: Mapping[str, str]) -> str:
    command = [sys.executable, "-c", _MLX_PROBE]
    done = subprocess.run(
        command, env=dict(environment), capture_output=True, text=True, timeout=_PROBE_SECONDS, check=True
    )
    return done.stdout


def _reason(error: Exception) -> str:
    if not isinstance(error, subprocess.CalledProcessError):
        return str(error)
    last = (error.stderr or "").strip().splitlines()[-1:]
    ended = f"signal {-error.returncode}" if error.returncode < 0 else f"exit code {error.returncode}"
    return last[0] if last else ended


def _blas() -> Fact:
    if sys.platform == "darwin":
        return Fact("BLAS", "Accelerate", "comes with macOS")
    library = find_openblas()
    if library is not None:
        return Fact("BLAS", str(library), "OpenBLAS, preloaded into every run")
    return Fact("BLAS", "the reference BLAS in MLX", _WITHOUT_OPENBLAS, "advice")


def _compiler() -> Fact:
    found = next((path for path in map(shutil.which, ("c++", "g++", "clang++")) if path), None)
    if found:
        return Fact("C++ compiler", found, "MLX compiles CPU kernels with it")
    return Fact("C++ compiler", "none", _WITHOUT_COMPILER, "advice")


def _memory() -> Iterator[Fact]:
    memory = psutil.virtual_memory()
    yield Fact("memory", f"{memory.total / 1e9:.1f} GB", f"{memory.available / 1e9:.1f} GB available")
    yield Fact("processor", f"{os.cpu_count()} cores", platform.processor() or platform.machine())


def _workspace(settings: Settings) -> Iterator[Fact]:
    try:
        workspace = Workspace.open(settings.workspace)
    except ForgeError as error:
        yield Fact("workspace", str(settings.workspace), f"{error.message}. {error.suggestion}", "problem")
        return
    yield Fact("workspace", str(workspace.root))
    free = shutil.disk_usage(workspace.root).free
    yield Fact("disk", f"{free / 1e9:.1f} GB free", "", "advice" if free < 5e9 else "ok")
    for folder in (workspace.models, workspace.private):
        yield _folder(workspace, folder)
    found = "" if settings.hub_cache.is_dir() else "does not exist: nothing was downloaded yet"
    yield Fact("Hub cache", str(settings.hub_cache), found)
    yield _models(workspace, settings.hub_cache)
    yield Fact("datasets", ", ".join(list_datasets(workspace)) or "none")
    yield _runs(workspace)


def _folder(workspace: Workspace, folder: Path) -> Fact:
    """Probes the folder, or the root while the folder does not exist: a look should not create it."""
    name = folder.relative_to(workspace.root).as_posix() + "/"
    exists = os.path.lexists(folder)
    try:
        check_writable(folder if exists else workspace.root)
    except ForgeError as error:
        return Fact(name, "not writable", f"{error.message}. {error.suggestion}", "problem")
    return Fact(name, "writable" if exists else "does not exist yet, can be created")


def _runs(workspace: Workspace) -> Fact:
    """How many there are, and what of them cannot be read: that keeps nobody from working on."""
    known = list_runs(workspace)
    folders = {run_folder(workspace, run) for run in known}
    manifests = sorted(workspace.models.glob(f"*/*/{MANIFEST}"))
    damaged = [m for m in manifests if m.parent not in folders and not m.parent.is_symlink()]
    unread = [workspace.relative(path) for path in (*damaged, *filter(None, map(_unreadable, folders)))]
    note = f"cannot be read: {', '.join(unread[:5])}" + (", …" if len(unread) > 5 else "")
    return Fact("runs", str(len(known)), note, "advice") if unread else Fact("runs", str(len(known)))


def _unreadable(folder: Path) -> Path | None:
    try:
        next(events_backwards(folder), None)
    except ForgeError:
        return events_path(folder)
    return None


def _models(workspace: Workspace, hub_cache: Path) -> Fact:
    names = [model.name for model in list_base_models(workspace, hub_cache)]
    if names:
        return Fact("base models", str(len(names)), ", ".join(names[:5]) + (", …" if len(names) > 5 else ""))
    advice = "put one under models/base/, or download one with `forgellm models pull NAME`"
    return Fact("base models", "none", advice, "advice")
