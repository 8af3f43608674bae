"""The page about models: what is here and whether it fits, the Hub with its downloads, loading, deleting."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from forgellm.services.samples import MODEL
from forgellm.settings import packaged
from tests.browser.test_frame import grave
from tests.servers import Server, running_server
from tests.services.fake_hub import FakeHub, serving

NAME = "somebody/tiny"


@pytest.fixture(scope="module")
def hub(tiny_model, tmp_path_factory) -> Iterator[FakeHub]:
    folder = tmp_path_factory.mktemp("hub") / "offered"
    shutil.copytree(tiny_model, folder)
    (folder / "README.md").write_text(
        "---\nlicense: mit\n---\n# A tiny model\n\n![](http://evil.example/x)\n"
    )
    # huggingface_hub writes 10 MiB at a time, so that less than that is lost with a connection.
    weights = {**load_file(folder / "model.safetensors"), "more": np.zeros(6_000_000, np.float32)}
    save_file(weights, folder / "model.safetensors")
    made = FakeHub(folder)
    with serving(made) as url:
        made.url = url
        yield made


@pytest.fixture(scope="module")
def server(hub, workspace, worker_environment, built_page, tmp_path_factory) -> Iterator[Server]:
    """A web server with a network, and a cache of its own."""
    cache = tmp_path_factory.mktemp("cache")
    changed = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(cache), "NO_PROXY": "127.0.0.1"}
    environment = {**worker_environment, **changed}
    environment.pop("HF_HUB_OFFLINE")
    with running_server(workspace.root, environment) as running:
        yield running


def test_a_model_is_found_on_the_hub_downloaded_gone_on_with_and_looked_at(visit, hub):
    page = visit().open("/models")
    page.get_by_role("link", name="Get a model").click()
    page.get_by_role("searchbox").fill("tin")
    row = page.get_by_role("row", name="tiny somebody")
    # 2.25 GB of weights, and what loading them takes beyond that.
    assert "2.6 of" in row.inner_text()
    hub.go_on.clear()
    row.get_by_role("button", name="Get somebody/tiny").click()
    downloads = page.get_by_role("listitem").filter(has_text=NAME)
    downloads.get_by_text("of 24 MB").wait_for()
    assert grave(page) == []
    downloads.get_by_role("button", name="Cancel").click()
    downloads.get_by_text("Cancelled").wait_for()
    hub.go_on.set()
    downloads.get_by_role("button", name="Resume").click()
    downloads.get_by_role("link", name="Look at it").click()
    page.get_by_role("heading", name="A tiny model").wait_for()
    assert "mit" in page.locator(".figures").inner_text()
    assert page.locator(".model-page img").count() == 0
    assert grave(page) == []
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete it").click()
    page.wait_for_selector("h1:has-text('Models')")
    page.get_by_text("tiny is deleted").wait_for()
    assert page.get_by_role("rowheader", name="tiny").count() == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_models_are_listed_with_what_they_take_and_axe_finds_nothing_grave(visit, workspace, hub, theme):
    shutil.copytree(workspace.base_models / "tiny", workspace.published / "harbour", dirs_exist_ok=True)
    (workspace.base_models / "half").mkdir(exist_ok=True)
    (workspace.base_models / "half" / "config.json").write_text('{"model_type": "llama"}')
    visitor = visit(theme=theme)
    visitor.expected = ["503"]
    page = visitor.open("/models")
    page.get_by_role("row", name="harbour").get_by_text("Fits").first.wait_for()
    assert "It has no tokenizer.json" in page.get_by_role("row", name="half").inner_text()
    assert grave(page) == []
    page.keyboard.press("/")
    page.keyboard.type("har")
    assert page.get_by_role("rowheader").count() == 1
    assert page.url.endswith("?q=har")
    page.reload()
    page.get_by_role("rowheader", name="harbour").wait_for()
    assert page.get_by_role("rowheader").count() == 1
    hub.broken = True
    page = visitor.open("/models?view=hub")
    page.get_by_role("heading", name="The Hub cannot be reached").wait_for()
    assert grave(page) == []
    hub.broken = False
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("row", name="tiny somebody").wait_for()


def test_what_was_put_into_a_folder_is_there_when_one_comes_back(visit, workspace):
    visitor = visit()
    for path, source, name in (
        ("/models", workspace.base_models / "tiny", "brought"),
        ("/data", workspace.datasets / "domain", "put_there"),
    ):
        page = visitor.open(path)
        page.get_by_role("rowheader", name=source.name).first.wait_for()
        shutil.copytree(source, source.with_name(name))
        page.evaluate("dispatchEvent(new Event('focus'))")
        page.get_by_role("rowheader", name=name).wait_for()


def test_a_model_is_loaded_unloaded_deleted_and_brought_back(visit, workspace, worker_environment):
    with running_server(workspace.root, worker_environment, command="server"):
        page = visit().open("/models?model=models%2Fbase%2Ftiny")
        page.get_by_role("button", name="Load", exact=True).click()
        page.get_by_text("tiny is loaded").wait_for()
        delete = page.get_by_role("button", name="Delete")
        assert delete.is_disabled()
        page.get_by_role("button", name="Unload").click()
        page.get_by_role("button", name="Load", exact=True).wait_for()
        delete.click()
        page.get_by_text("tiny is in the trash").wait_for()
        assert not (workspace.base_models / "tiny").exists()
        page.get_by_role("button", name="Undo").click()
        page.get_by_role("rowheader", name="tiny").wait_for()
        assert (workspace.base_models / "tiny" / "config.json").is_file()
        # It asks how the model server is, which ends now.
        page.goto("about:blank")


def test_what_the_widths_of_a_model_do_not_allow_is_not_offered_for_quantizing(visit, workspace):
    shutil.copytree(packaged("assets") / MODEL, workspace.base_models / MODEL, dirs_exist_ok=True)
    page = visit().open(f"/models?model=models%2Fbase%2F{MODEL}")
    page.get_by_role("button", name="More about this model").click()
    page.get_by_role("menuitem", name="Quantize").click()
    groups = page.get_by_label("Weights that share a scale")
    assert groups.input_value() == "32"
    assert groups.locator("option:disabled").all_inner_texts() == [
        "64: divides the width of no layer",
        "128: divides the width of no layer",
    ]
    assert grave(page) == []


def test_a_model_is_exported_and_quantized_from_its_page(visit):
    page = visit().open("/models?model=models%2Fbase%2Ftiny")
    page.get_by_role("button", name="More about this model").click()
    page.get_by_role("menuitem", name="Export").click()
    page.get_by_label("Format").select_option("zip")
    assert grave(page) == []
    page.get_by_role("dialog").get_by_role("button", name="Export").click()
    page.get_by_role("heading", name="Exported").wait_for()
    page.get_by_text("models/exports/tiny-zip").first.wait_for()
    visited = visit().open("/models?model=models%2Fbase%2Ftiny")
    visited.get_by_role("button", name="More about this model").click()
    visited.get_by_role("menuitem", name="Quantize").click()
    visited.get_by_label("Weights that share a scale").select_option("32")
    visited.get_by_role("dialog").get_by_role("button", name="Quantize").click()
    visited.get_by_role("link", name="Look at it").click()
    visited.get_by_role("heading", name="tiny-4bit", level=1, exact=True).wait_for()
    visited.get_by_role("button", name="More about this model").click()
    visited.get_by_role("menuitem", name="Push to the Hub").click()
    dialog = visited.get_by_role("dialog")
    assert dialog.get_by_role("button", name="Show what will be there").is_disabled()
    dialog.get_by_label("Repository").fill("someone/tiny-4bit")
    dialog.get_by_role("button", name="Show what will be there").click()
    dialog.get_by_role("region", name="The card").filter(has_text="library_name: mlx").wait_for()
    assert grave(visited) == []
    dialog.get_by_role("switch", name="Public").check()
    dialog.get_by_role("button", name="Show what will be there").click()
    dialog.get_by_role("button", name="Push for everybody to see").wait_for()
    dialog.get_by_role("button", name="Cancel").click()
    dialog.wait_for(state="detached")
