"""Where the workspace, the model cache, OpenBLAS and the packaged folders are found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from forgellm.settings import (
    PACKAGE,
    BrokenInstallation,
    find_openblas,
    has_windows,
    packaged,
    read_settings,
    server_environment,
    worker_environment,
)


def none_by_name(name):
    return None


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_the_workspace_is_the_current_folder_unless_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_settings(environ={}).workspace == tmp_path.resolve()


def test_a_flag_wins_over_the_environment(tmp_path):
    environ = {"FORGELLM_WORKSPACE": str(tmp_path / "named")}
    assert read_settings(environ=environ).workspace == (tmp_path / "named").resolve()
    assert read_settings(tmp_path / "flag", environ).workspace == (tmp_path / "flag").resolve()


def test_an_empty_variable_counts_as_unset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_settings(environ={"FORGELLM_WORKSPACE": ""}).workspace == tmp_path.resolve()


def test_the_workspace_is_absolute_and_free_of_tilde_and_dots(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_settings("~/a/../b", {}).workspace == (tmp_path / "b").resolve()


def test_the_token_comes_from_the_environment_and_is_not_shown(tmp_path):
    assert read_settings(tmp_path, {}).token is None
    assert read_settings(tmp_path, {"FORGELLM_TOKEN": ""}).token is None
    settings = read_settings(tmp_path, {"FORGELLM_TOKEN": "correct-horse"})
    assert settings.token == "correct-horse"
    assert "horse" not in repr(settings)


def test_a_server_gets_the_token_and_this_package_and_a_worker_gets_no_token():
    environ = {"A": "1", "FORGELLM_TOKEN": "old", "PYTHONPATH": f"/elsewhere{os.pathsep}{PACKAGE.parent}"}
    served = server_environment("new-token", environ)
    assert (served["A"], served["FORGELLM_TOKEN"], served["PYTHONSAFEPATH"]) == ("1", "new-token", "1")
    assert served["PYTHONPATH"].split(os.pathsep) == [str(PACKAGE.parent), "/elsewhere"]
    assert "FORGELLM_TOKEN" not in server_environment(None, environ)
    assert "FORGELLM_TOKEN" not in worker_environment(environ, lambda: None)


def test_a_browser_needs_somewhere_to_show_itself():
    assert has_windows({}, system="darwin")
    assert not has_windows({"DISPLAY": "", "TERM": "xterm"}, system="linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        assert has_windows({name: ":0"}, system="linux")


def test_settings_cannot_be_changed(tmp_path):
    with pytest.raises(AttributeError):
        read_settings(tmp_path, {}).workspace = tmp_path


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HOME": "/h", "HF_HOME": "/elsewhere/hf"},
        {"HF_HUB_CACHE": "/c/hub", "HF_HOME": "/ignored"},
        {"HUGGINGFACE_HUB_CACHE": "/old/hub"},
        {"XDG_CACHE_HOME": "/xdg"},
    ],
)
def test_the_model_cache_is_where_huggingface_hub_looks(environ, tmp_path):
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING", "XDG_"))
    }
    environ = {**clean, "HOME": str(tmp_path), **environ}
    answer = subprocess.run(
        [sys.executable, "-c", "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)"],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", environ["HOME"])
        assert read_settings(environ=environ).hub_cache == Path(answer.stdout.strip()).resolve()


def test_a_threaded_openblas_is_preferred_to_a_serial_one(tmp_path):
    put(tmp_path / "usr/lib64/libopenblas.so.0")
    threaded = put(tmp_path / "usr/lib64/libopenblasp.so.0")
    assert find_openblas(tmp_path, none_by_name, system="linux") == threaded


def test_the_loader_is_asked_when_no_known_place_has_openblas(tmp_path):
    assert find_openblas(tmp_path, lambda name: f"lib{name}.so.0", system="linux") == Path("libopenblas.so.0")
    assert find_openblas(tmp_path, none_by_name, system="linux") is None


def test_a_mac_needs_no_openblas(tmp_path):
    put(tmp_path / "usr/lib64/libopenblasp.so.0")
    assert find_openblas(tmp_path, none_by_name, system="darwin") is None


def test_a_worker_preloads_openblas_before_what_was_preloaded_already():
    environment = worker_environment({"LD_PRELOAD": "/one.so /two.so"}, lambda: Path("/blas.so"))
    assert environment["LD_PRELOAD"] == "/blas.so:/one.so:/two.so"


def test_a_worker_that_starts_a_worker_preloads_openblas_once():
    first = worker_environment({"LD_PRELOAD": "/one.so"}, lambda: Path("/blas.so"))
    assert worker_environment(first, lambda: Path("/blas.so")) == first


def test_without_openblas_nothing_is_preloaded():
    assert "LD_PRELOAD" not in worker_environment({}, lambda: None)
    assert worker_environment({"LD_PRELOAD": "/one.so"}, lambda: None)["LD_PRELOAD"] == "/one.so"


def test_a_worker_keeps_what_the_user_had_set():
    given = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true", "PATH": "/bin"}
    assert worker_environment(given, lambda: None) == given


def test_a_folder_inside_the_package_is_found_before_one_beside_it(tmp_path):
    package = tmp_path / "forgellm"
    put(package / "dataset/inside")
    put(tmp_path / "dataset/beside")
    put(tmp_path / "setup.py")
    assert packaged("dataset", package) == package / "dataset"


def test_a_checkout_finds_the_folder_beside_the_package(tmp_path):
    put(tmp_path / "dataset/beside")
    put(tmp_path / "setup.py")
    assert packaged("dataset", tmp_path / "forgellm") == tmp_path / "dataset"


def test_a_strangers_folder_in_site_packages_is_not_taken_for_ours(tmp_path):
    put(tmp_path / "dataset/__init__.py")
    with pytest.raises(BrokenInstallation, match="'dataset'"):
        packaged("dataset", tmp_path / "forgellm")


def test_this_installation_has_its_folders():
    for name in ("static", "templates"):
        assert packaged(name).is_dir()
