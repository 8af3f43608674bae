"""The page that a run is set up on: what is chosen, what the run will be, and that it is started."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_frame import grave

PRESET = "Nightly run"


def field(page, name):
    return page.locator(f"[name={name}]")


def start_button(page):
    return page.get_by_role("button", name="Start", exact=True)


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1920)])
def test_what_is_missing_and_wrong_is_said_where_it_is_mended(visit, theme, width):
    page = visit(theme=theme, width=width).open("/train")
    page.get_by_text("Choose a dataset first.").wait_for()
    assert start_button(page).is_disabled()
    assert "tiny" in field(page, "model_name").locator("option:checked").inner_text()
    page.get_by_role("button", name="Choose a dataset").click()
    page.locator("select[name=dataset]:focus").select_option("domain")
    page.locator("#train-start:enabled").wait_for()
    field(page, "batch_size").fill("-3")
    page.keyboard.press("Tab")
    page.get_by_text("Batch size must be at least 1").first.wait_for()
    assert field(page, "batch_size").get_attribute("aria-invalid") == "true"
    assert start_button(page).is_disabled()
    assert grave(page) == []
    page.get_by_role("button", name="Batch size: back to the default").click()
    page.locator("#train-start:enabled").wait_for()
    expect(field(page, "batch_size")).to_have_value("2")
    page.get_by_role("switch", name="All settings").check()
    field(page, "epochs").fill("3")
    page.keyboard.press("Tab")
    page.locator(".train-lengths dd").nth(1).filter(has_text=re.compile("^3")).wait_for()
    expect(field(page, "max_iterations")).to_have_value("")
    assert grave(page) == []


def test_settings_are_kept_as_a_preset_and_travel_as_yaml(visit, server):
    page = visit().open("/train?dataset=questions&training_type=ift&preset=ift quick")
    page.locator("#train-start:enabled").wait_for()
    expect(field(page, "max_iterations")).to_have_value("100")
    field(page, "lora_rank").fill("4")
    field(page, "sample_prompts").fill("Who is there?\nWhat now?\n")
    page.get_by_role("button", name="Keep as preset").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill(PRESET)
    assert grave(page) == []
    dialog.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_role("button", name=f"Delete the preset {PRESET}").wait_for()
    kept = next(p for p in server.get("/api/presets").json()["presets"] if p["name"] == PRESET)
    assert kept["values"]["lora_rank"] == 4
    assert kept["values"]["sample_prompts"] == ["Who is there?", "What now?"]
    assert kept["training_type"] == "ift"
    assert "dataset" not in kept["values"]
    page.get_by_role("button", name="YAML").click()
    text = dialog.get_by_role("textbox")
    written = text.input_value()
    assert "lora_rank: 4" in written
    assert grave(page) == []
    text.fill(written.replace("lora_rank: 4", "lora_rank: 6"))
    dialog.get_by_role("button", name="Use these settings").click()
    page.locator("dialog").wait_for(state="detached")
    expect(field(page, "lora_rank")).to_have_value("6")
    field(page, "preset").select_option(PRESET)
    expect(field(page, "lora_rank")).to_have_value("4")
    page.get_by_role("button", name=f"Delete the preset {PRESET}").click()
    dialog.get_by_role("button", name="Delete it").click()
    page.get_by_text(f"{PRESET} is deleted").wait_for()
    expect(field(page, "preset")).to_have_value("")


def test_preferences_are_chosen_by_a_preset_and_learned(visit, server, workspace):
    folder = workspace.datasets / "pairs"
    folder.mkdir()
    row = {"chosen": "At ten past seven, from quay 2.", "rejected": "Nobody knows."}
    rows = [json.dumps({**row, "prompt": f"When does boat {n} leave?"}) for n in range(20)]
    (folder / "train.jsonl").write_text("\n".join(rows))
    page = visit().open("/train?dataset=pairs&training_type=ift&preset=ift preferences")
    expect(field(page, "objective")).to_have_value("dpo")
    expect(field(page, "dpo_beta")).to_have_value("0.1")
    page.get_by_role("switch", name="All settings").check()
    for name, value in {"epochs": "", "max_iterations": "2", "eval_every": "2", "save_every": "2"}.items():
        field(page, name).fill(value)
        page.keyboard.press("Tab")
    page.locator("#train-start:enabled").click()
    page.wait_for_url("**/runs/ift_*")
    page.get_by_text("Completed").first.wait_for()
    # Before training no pair is preferred: the loss is log 2.
    expect(page.locator(".run-figures")).to_contain_text("0.6931")
    page.get_by_role("slider", name="Reward margin: read values").wait_for()
    run = server.get(f"/api/runs/{page.url.rsplit('/', 1)[1]}").json()
    assert (run["spec"]["objective"], run["best_checkpoints"]) == ("dpo", [2])
    page.get_by_role("button", name="Publish checkpoint").first.wait_for()


def test_a_run_is_started_by_keys_another_is_queued_and_both_can_be_begun_anew(visit, server):
    page = visit().open("/train?dataset=domain")
    field(page, "max_iterations").fill("100000")
    field(page, "save_every").fill("50000")
    page.keyboard.press("Tab")
    page.locator("#train-start:enabled").wait_for()
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/runs/cpt_*")
    first = page.url.rsplit("/", 1)[1]
    page.goto(f"{server.url}/train?from={first}")
    page.get_by_role("button", name="Queue", exact=True).wait_for()
    expect(field(page, "max_iterations")).to_have_value("100000")
    expect(field(page, "dataset")).to_have_value("domain")
    page.get_by_role("button", name="Queue", exact=True).click()
    page.wait_for_url(lambda url: "/runs/cpt_" in url and not url.endswith(first))
    second = page.url.rsplit("/", 1)[1]
    assert server.get(f"/api/runs/{second}").json()["run"]["state"] == "pending"
    for run in (second, first):
        server.post("/api/training/stop", {"training_id": run})


def test_what_does_not_fit_into_memory_is_made_to_fit_with_one_press(visit):
    page = visit().open("/train?dataset=domain&training_type=cpt")
    page.locator("#train-start:enabled").wait_for()
    page.get_by_role("switch", name="All settings").check()
    for name, value in (("batch_size", "4096"), ("max_seq_length", "512")):
        field(page, name).fill(value)
        page.keyboard.press("Tab")
    page.get_by_text("Too large", exact=True).wait_for()
    ways = page.locator(".train-ways")
    expect(ways.get_by_role("listitem").first).to_contain_text("Batch size")
    assert grave(page) == []
    ways.get_by_role("button").first.click()
    ways.wait_for(state="detached")
    assert int(field(page, "batch_size").input_value()) < 4096


def test_machines_are_named_line_by_line_or_with_commas_and_memory_is_that_of_one(visit):
    page = visit(theme="dark").open("/train?dataset=domain&training_type=cpt")
    page.locator("#train-start:enabled").wait_for()
    page.get_by_role("switch", name="All settings").check()
    machines = field(page, "hosts")
    expect(machines).to_have_attribute("placeholder", "mac1.local\nmac2.local")
    machines.fill("mac1.local")
    page.get_by_text("One machine is named").first.wait_for()
    # What else is known of the run stays on the page.
    expect(page.get_by_role("heading", name=re.compile("^Memory"))).to_contain_text("Fits")
    for written in ("mac1.local,mac2.local", "mac1.local\nmac2.local\n"):
        machines.fill("")
        machines.fill(written)
        page.get_by_text("each of the others needs about as much").wait_for()
        assert machines.get_attribute("aria-invalid") == "false"
        expect(page.locator(".train-terminal pre")).to_contain_text("--hosts mac1.local,mac2.local")
    assert grave(page) == []


def test_what_is_being_typed_is_left_alone_when_the_page_is_drawn_again(visit):
    page = visit().open("/train?dataset=domain&training_type=cpt")
    page.locator("#train-start:enabled").wait_for()
    page.get_by_role("switch", name="All settings").check()
    field(page, "batch_size").fill("3")
    # Drawn anew by an answer that was asked for before, as by any that comes while somebody types.
    with page.expect_response("**/api/training/preflight"):
        field(page, "lr_schedule").evaluate(
            "(choice) => { choice.value = 'constant'; choice.dispatchEvent(new Event('change')); }"
        )
    expect(page.locator("[name=lr_schedule]")).to_have_value("constant")
    page.get_by_text("Nothing speaks against it.").or_(page.locator(".train-findings")).wait_for()
    expect(field(page, "batch_size")).to_have_value("3")
    page.keyboard.press("Tab")
    expect(field(page, "batch_size")).to_have_value("3")
