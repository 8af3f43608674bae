"""What stands at the top of the checkout is described and shipped."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def scripts():
    return sorted(
        path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and os.access(path, os.X_OK)
    )


def top_level_folders():
    """The folders that setup.py says to carry into the package."""
    setup = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    return next(
        ast.literal_eval(node.value)
        for node in setup.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "TOP_LEVEL"
    )


def shipped(folder):
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {
        path.as_posix()
        for path in paths
        if not any(part.startswith((".", "__pycache__")) for part in path.parts)
    }


def run_setup(*arguments):
    command = [sys.executable, "setup.py", "--quiet", *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The package as setup.py lays it out for a wheel."""
    folder = tmp_path_factory.mktemp("build")
    run_setup("build", "--build-base", folder, "--build-lib", folder / "lib")
    return folder / "lib" / "forgellm"


@pytest.mark.parametrize("name", scripts())
def test_every_script_has_a_line_in_the_readme(name):
    assert f"scripts/{name}" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", scripts())
def test_every_script_says_what_it_does(name):
    first, second, *_ = (ROOT / "scripts" / name).read_text(encoding="utf-8").splitlines()
    assert first.startswith("#!")
    assert second.startswith(("# ", '"""'))


@pytest.mark.parametrize("name", top_level_folders())
def test_the_wheel_carries_every_file_of_a_top_level_folder(built, name):
    here = shipped(ROOT / name)
    assert {path for path in here if not (built / name / path).is_file()} == set()


def test_the_wheel_carries_the_package_and_its_assets(built):
    here = shipped(ROOT / "forgellm")
    assert "py.typed" in here
    assert {path for path in here if not (built / path).is_file()} == set()


def test_the_wheel_carries_nothing_else(built):
    assert {path.name for path in built.parent.iterdir()} == {"forgellm"}


def test_there_is_one_version():
    version = run_setup("--version").split()[-1]
    package = (ROOT / "forgellm" / "__init__.py").read_text(encoding="utf-8")
    assert f'__version__ = "{version}"' in package
