"""What comes from outside the program: flags, environment variables and where the installation lies.

The only module that reads `os.environ`. It decides where things are, not what is in them.
"""

from __future__ import annotations

import ctypes.util
import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from forgellm.domain.errors import ForgeError

PACKAGE = Path(__file__).resolve().parent

_TOKEN = "FORGELLM_TOKEN"

# Threaded builds come first: the serial one uses a single core.
OPENBLAS_PLACES = (
    "usr/lib/{machine}-linux-gnu/openblas-pthread/libopenblas.so.0",
    "usr/lib/{machine}-linux-gnu/openblas-openmp/libopenblas.so.0",
    "usr/lib64/libopenblasp.so.0",
    "usr/lib64/libopenblaso.so.0",
    "usr/lib64/libopenblas_pthreads.so.0",
    "usr/lib64/libopenblas.so.0",
    "usr/lib/libopenblas.so.0",
)


class BrokenInstallation(ForgeError):
    """A file that belongs to ForgeLLM itself is missing."""

    code = "BROKEN_INSTALLATION"
    status = 500


@dataclass(frozen=True)
class Settings:
    """Absolute folders: the workspace, and the Hugging Face cache that base models are read from. `token` is
    what the servers ask of every request, if anything."""

    workspace: Path
    hub_cache: Path
    token: str | None = field(default=None, repr=False)


def read_settings(workspace: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process. A flag wins over the environment; an empty variable counts as unset."""
    environ = os.environ if environ is None else environ
    chosen = workspace or environ.get("FORGELLM_WORKSPACE") or Path.cwd()
    return Settings(_absolute(chosen), _hub_cache(environ), token=environ.get(_TOKEN) or None)


def find_openblas(
    root: Path = Path("/"),
    by_name: Callable[[str], str | None] = ctypes.util.find_library,
    *,
    system: str = sys.platform,
) -> Path | None:
    """A threaded OpenBLAS to preload on Linux, or None: not installed, or not Linux (macOS has its own).

    The last resort is the dynamic loader's own search, which answers with a bare file name.
    """
    if system != "linux":
        return None
    for place in OPENBLAS_PLACES:
        library = root / place.format(machine=platform.machine())
        if library.is_file():
            return library
    name = by_name("openblas")
    return Path(name) if name else None


def worker_environment(
    environ: Mapping[str, str] | None = None, find: Callable[[], Path | None] = find_openblas
) -> dict[str, str]:
    """The environment for a worker process: everything `environ` has (default: this process's own) but the
    servers' token, and the OpenBLAS that `find` answers with preloaded before anything already in LD_PRELOAD.

    MLX's wheel for Linux links the reference BLAS, which is about ten times slower. Applying this twice
    changes nothing.
    """
    environment = dict(os.environ if environ is None else environ)
    environment.pop(_TOKEN, None)
    library = find()
    if library is not None:
        before = environment.get("LD_PRELOAD", "").replace(":", " ").split()
        others = [entry for entry in before if entry != str(library)]
        environment["LD_PRELOAD"] = ":".join([str(library), *others])
    return environment


def server_environment(token: str | None, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a server process. The token travels here: anyone may read a command line."""
    environment = importing_this(os.environ if environ is None else environ)
    environment.pop(_TOKEN, None)
    return environment if token is None else {**environment, _TOKEN: token}


def model_server_environment(token: str | None) -> dict[str, str]:
    """The environment for a server process that computes, as a worker does."""
    return server_environment(token, worker_environment())


def preloads_as(environment: Mapping[str, str]) -> bool:
    """Whether this process was started with the libraries that `environment` has preloaded."""
    return os.environ.get("LD_PRELOAD", "") == environment.get("LD_PRELOAD", "")


def importing_this(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` for a process that runs a module of this package: this installation of it wins, and no
    file of the current folder can pose as a module.
    """
    before = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    package = str(PACKAGE.parent)
    path = os.pathsep.join([package, *(entry for entry in before if entry != package)])
    return {**environment, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


def has_windows(environ: Mapping[str, str] | None = None, *, system: str = sys.platform) -> bool:
    """Whether a browser can show itself; without a display Linux would start one inside the terminal."""
    environ = os.environ if environ is None else environ
    return system != "linux" or any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def wants_colour() -> bool:
    """Whether what is written to a terminal may have colours (no-color.org)."""
    return not os.environ.get("NO_COLOR")


def packaged(name: str, package: Path = PACKAGE) -> Path:
    """The folder `name` that ships with ForgeLLM (`assets`, `dataset`, `templates`, `static`).

    In a wheel it lies inside the package, in a checkout beside it. Raises BrokenInstallation.
    """
    if (package / name).is_dir():
        return package / name
    checkout = package.parent
    # Without setup.py the parent is site-packages, where a folder of that name is somebody else's.
    if (checkout / "setup.py").is_file() and (checkout / name).is_dir():
        return checkout / name
    raise BrokenInstallation(
        f"The folder {name!r} that ships with ForgeLLM is missing.",
        details={"sought": [str(package / name), str(checkout / name)]},
        # Never by its name: what PyPI has under it is another program.
        suggestion="Install it again from where you got it: its checkout (scripts/quickstart) or its wheel.",
    )


def _hub_cache(environ: Mapping[str, str]) -> Path:
    """Where huggingface_hub keeps models, by its own rules (its `constants` module)."""
    direct = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
    if direct:
        return _absolute(direct)
    cache = environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = environ.get("HF_HOME") or f"{cache}/huggingface"
    return _absolute(home) / "hub"


def _absolute(path: str | Path) -> Path:
    try:
        return Path(path).expanduser().resolve()
    except RuntimeError:
        # `~somebody` who is not known here, or no home at all: taken as it is written.
        return Path(path).resolve()
