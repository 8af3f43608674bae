"""What `scripts/build` asserts of a wheel: every file of the product, nothing else, and that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

TOP_LEVEL = ("dataset", "static", "templates")
START = """
import sys
from pathlib import Path
from forgellm.settings import packaged
home = Path(sys.argv[1])
for name in sys.argv[2:]:
    assert packaged(name).is_relative_to(home), packaged(name)
"""


def expected(root: Path) -> set[str]:
    """The names a wheel of this checkout must have, its metadata aside."""
    names = {name for name in _files(root, "forgellm") if not name.endswith(".pyc")}
    for folder in TOP_LEVEL:
        names |= {f"forgellm/{name}" for name in _files(root, folder)}
    return names


def complaints(found: set[str], wanted: set[str]) -> list[str]:
    """What is wrong with the wheel, one sentence each."""
    own = {name for name in found if not name.split("/")[0].endswith(".dist-info")}
    told = [f"missing: {name}" for name in sorted(wanted - own)]
    told += [f"not the product's: {name}" for name in sorted(own - wanted)]
    if not any(name.endswith("/LICENSE") for name in found):
        told.append("missing: LICENSE")
    if "forgellm/static/dist/manifest.json" not in found:
        told.append("missing: the built page")
    if not any(name.startswith("forgellm/assets/") and name.endswith(".safetensors") for name in found):
        told.append("missing: the weights of the built-in base model")
    return told


def start(wheel: Path) -> None:
    """Unpacks the wheel alone and runs it away from the checkout, on this environment's dependencies."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder).resolve()
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(home)
        folders = [name for name in (*TOP_LEVEL, "assets") if (home / "forgellm" / name).is_dir()]
        environment = {**os.environ, "PYTHONPATH": str(home)}
        for arguments in (["-c", START, str(home), *folders], ["-m", "forgellm", "--help"]):
            command = [sys.executable, *arguments]
            subprocess.run(command, cwd=home, env=environment, stdout=subprocess.DEVNULL, check=True)


def _files(root: Path, folder: str) -> set[str]:
    paths = (path.relative_to(root) for path in (root / folder).rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts)}


def main() -> int:
    wheel = Path(sys.argv[1])
    with zipfile.ZipFile(wheel) as archive:
        found = set(archive.namelist())
    told = complaints(found, expected(Path.cwd()))
    if told:
        print(f"{wheel} is not what was meant to be shipped:", *told, sep="\n  ", file=sys.stderr)
        return 1
    start(wheel)
    print(f"{wheel}: {len(found)} files, {wheel.stat().st_size / 1e6:.1f} MB, starts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
