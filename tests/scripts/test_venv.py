"""The virtual environment that the scripts share: which Python makes it, when it is installed into."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

OLD = "#!/bin/sh\nexit 1\n"
THIS = f'exec {sys.executable} "$@"\n'
WITHOUT_ENSUREPIP = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\n' + THIS
NOTING_PIP = '#!/bin/sh\ncase "$*" in *"-m pip"*) echo "$*" >>pip.log; exit $PIP ;; esac\n' + THIS

# A Python as it is on a Mac.
ON_A_MAC = """
import platform, sys
sys.platform = "darwin"
platform.machine = lambda: "{machine}"
platform.mac_ver = lambda: ("{version}", ("", "", ""), "{machine}")
"""


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path):
    """A checkout with the shared piece and one script that only makes the environment."""
    for name in ("setup.py", "pyproject.toml", "scripts/_venv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    program(tmp_path / "scripts/prepare", '#!/bin/sh\n. "$(dirname "$0")/_venv"\nensure_venv "$1"\n')
    return tmp_path


def prepare(checkout, extra="base", **environ):
    return subprocess.run(
        ["scripts/prepare", extra], cwd=checkout, env=os.environ | environ, capture_output=True, text=True
    )


def installations(checkout, extra="base", pip="0"):
    """How often pip ran for this environment, after preparing it once more."""
    prepare(checkout, extra, PIP=pip)
    return len((checkout / "pip.log").read_text().splitlines())


def test_a_python_that_is_too_old_is_refused_by_name(checkout):
    program(checkout / "old-python", OLD)
    run = prepare(checkout, PYTHON="./old-python")
    assert run.returncode == 1
    assert "needs Python 3.11 or newer" in run.stderr
    assert "./old-python" in run.stderr


def on_a_mac(checkout, machine, version, text):
    """A program that is a Python of that machine on that macOS."""
    (checkout / "mac").mkdir()
    (checkout / "mac/sitecustomize.py").write_text(ON_A_MAC.format(machine=machine, version=version))
    return text.replace("exec ", f"exec env PYTHONPATH={checkout}/mac ")


@pytest.mark.parametrize(("machine", "version"), [("x86_64", "15.1"), ("arm64", "13.6.1")])
def test_a_python_of_a_mac_that_mlx_is_not_made_for_is_refused_by_name(checkout, machine, version):
    program(checkout / "mac-python", "#!/bin/sh\n" + on_a_mac(checkout, machine, version, THIS))
    run = prepare(checkout, PYTHON="./mac-python")
    assert run.returncode == 1
    assert "macOS 14 or newer, and an arm64 Python" in run.stderr
    assert f"./mac-python is an {machine} Python on macOS {version}." in run.stderr


@pytest.mark.parametrize("version", ["14.0", "26.1"])
def test_a_python_of_a_mac_that_mlx_is_made_for_is_taken(checkout, version):
    program(checkout / ".venv/bin/python", on_a_mac(checkout, "arm64", version, NOTING_PIP))
    assert installations(checkout) == 1


def test_a_python_without_ensurepip_is_told_which_package_is_missing(checkout):
    program(checkout / "bare-python", WITHOUT_ENSUREPIP)
    run = prepare(checkout, PYTHON="./bare-python")
    assert run.returncode == 1
    assert f"apt install python{sys.version_info.major}.{sys.version_info.minor}-venv" in run.stderr


def test_an_installation_is_repeated_only_when_the_metadata_changed(checkout):
    program(checkout / ".venv/bin/python", NOTING_PIP)
    assert installations(checkout) == 1
    assert installations(checkout) == 1
    with (checkout / "setup.py").open("a") as setup:
        setup.write("# one more dependency\n")
    assert installations(checkout) == 2


def test_the_test_extra_is_added_to_a_base_installation_and_then_serves_for_both(checkout):
    program(checkout / ".venv/bin/python", NOTING_PIP)
    assert installations(checkout) == 1
    assert installations(checkout, "test") == 2
    (checkout / ".venv/installed-base").unlink()
    assert installations(checkout) == 2


def test_a_failed_installation_is_tried_again(checkout):
    program(checkout / ".venv/bin/python", NOTING_PIP)
    assert prepare(checkout, PIP="1").returncode == 1
    assert installations(checkout) == 2
