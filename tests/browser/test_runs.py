"""Runs on screen: watched, listed, chosen, compared, published. Real runs of the tiny model."""

from __future__ import annotations

import json
import math
import re
import shutil
from datetime import datetime, timezone
from pathlib import Path

import pytest
from playwright.sync_api import expect

from forgellm.domain.runs import RunKind
from forgellm.domain.spec import parse_spec, to_dict
from forgellm.jobs.launcher import stop
from forgellm.storage.events import EventLog
from forgellm.storage.files import HeldLock
from forgellm.storage.runs import create_run, run_folder
from tests.browser.test_frame import MISSING, grave
from tests.storage.folders import new_run, noon

SPEC = {
    "model_name": "models/base/tiny",
    "training_type": "cpt",
    "dataset": "domain",
    "general_dataset": "general",
    "data_mixture_ratio": 0.8,
    "learning_rate": 1e-3,
    "max_seq_length": 32,
    "validation_tokens": 256,
    "batch_size": 1,
}
POINTS = 200_000
LONG = "cpt_20260101_000000"
OVER = ("completed", "stopped", "failed", "paused")


def begin(server, **values) -> str:
    """The id of a run that was started."""
    answer = server.post("/api/training/start", {**SPEC, **values}).json()
    assert answer["success"], answer
    return answer["training_id"]


def ended(server, run: str) -> str:
    """Its state once it is over or paused."""
    answer = server.until(f"/api/runs/{run}", lambda found: found["run"]["state"] in OVER)
    return answer["run"]["state"]


@pytest.fixture(scope="module")
def workspace(workspace):
    """With a run of 200,000 iterations that has ended before a server could take it for one that waits."""
    run = create_run(
        workspace,
        RunKind.CPT,
        spec=to_dict(parse_spec({**SPEC, "max_iterations": POINTS})),
        name="long",
        created=datetime(2026, 1, 1, tzinfo=timezone.utc),
        versions={},
        base_fingerprint=None,
    )
    assert run.id == LONG
    with (run_folder(workspace, run) / "events.jsonl").open("w") as file:
        for seq in range(1, POINTS + 1):
            loss = 5 * math.exp(-seq / 20_000) + (9 if seq == 123_456 else 0)
            event = {"seq": seq, "time": "2026-01-01T00:00:00Z", "type": "train", "iteration": seq}
            file.write(json.dumps({**event, "training_loss": loss, "learning_rate": 1e-4}) + "\n")
        end = {"seq": POINTS + 1, "time": "2026-01-01T00:00:00Z", "type": "completed"}
        file.write(json.dumps({**end, "iteration": POINTS}) + "\n")
    return workspace


@pytest.fixture(scope="module")
def short(server) -> str:
    """A run that has completed: 12 iterations, two checkpoints, two prompts."""
    prompts = ["The market of", "Every day"]
    run = begin(server, max_iterations=12, save_every=6, eval_every=3, sample_prompts=prompts)
    assert ended(server, run) == "completed"
    return run


@pytest.fixture(scope="module")
def other(server, short) -> str:
    """The same on other settings."""
    run = begin(server, max_iterations=8, save_every=8, learning_rate=2e-3)
    assert ended(server, run) == "completed"
    return run


def saved(page, button: str) -> Path:
    """The file that a click on that button saves."""
    with page.expect_download() as download:
        page.get_by_role("button", name=button, exact=True).click()
    return Path(download.value.path())


def test_a_run_is_watched_until_it_completes_and_nothing_is_lost_by_a_reload(visit, server):
    run = begin(server, max_iterations=60, save_every=20, eval_every=10, sample_prompts=["The market of"])
    page = visit().open(f"/runs/{run}")
    page.wait_for_selector(".bar progress")
    page.wait_for_selector(".lead .badge:has-text('Completed')")
    page.wait_for_selector("table[aria-label=Checkpoints] tbody tr:nth-child(3)")
    page.wait_for_selector(".samples li:nth-child(4)")
    assert page.locator(".events li:has-text('Completed')").count() == 1
    assert page.title().startswith("Completed: tiny on domain")
    lines = saved(page, "CSV").read_text().splitlines()
    assert lines[0].startswith("iteration,training_loss,validation_loss")
    assert [line.split(",")[0] for line in lines[1:]] == [str(n) for n in range(61)]
    page.reload()
    page.wait_for_selector(".samples li:nth-child(4)")
    assert saved(page, "CSV").read_text().splitlines() == lines
    assert saved(page, "PNG").read_bytes().startswith(b"\x89PNG")


def test_a_run_is_paused_resumed_and_stopped_from_its_page(visit, server):
    run = begin(server, max_iterations=5000, save_every=5000, eval_every=5000)
    server.until(f"/api/runs/{run}", lambda found: found["run"]["iteration"] > 2)
    page = visit().open(f"/runs/{run}")
    page.locator("#page").get_by_role("button", name="Pause").click()
    page.wait_for_selector(".lead .badge:has-text('Paused')")
    page.get_by_role("button", name="Resume").click()
    page.wait_for_selector(".lead .badge:has-text('Running')")
    page.get_by_role("button", name="Stop and save").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop the run").click()
    page.wait_for_selector(".lead .badge:has-text('Stopped')")
    page.wait_for_selector("table[aria-label=Checkpoints] tbody tr")
    page.get_by_role("radio", name="Log", exact=True).check()
    page.wait_for_selector("pre.log")


def test_a_page_that_is_left_while_it_reads_complains_of_nothing(visit, server):
    run = begin(server, max_iterations=5000, save_every=5000, eval_every=5000)
    page = visit().open(f"/runs/{run}")
    page.wait_for_selector(".bar progress")
    unanswered = []
    page.route(f"**/api/runs/{run}", lambda route: unanswered.append(route))
    with page.expect_request(f"**/api/runs/{run}"):
        page.locator("#page").get_by_role("button", name="Pause").click()
    page.get_by_role("link", name="Runs", exact=True).first.click()
    page.get_by_role("heading", name="Runs", exact=True).wait_for()
    assert ended(server, run) == "paused"


def test_a_run_that_failed_says_why_and_how_to_go_on(visit, server):
    run = begin(server, learning_rate=1e30, optimizer="sgd", max_grad_norm=None, max_iterations=20)
    assert ended(server, run) == "failed"
    page = visit(theme="dark").open(f"/runs/{run}")
    told = page.get_by_role("group", name="Failure").inner_text()
    assert "Training diverged" in told
    assert "Lower learning_rate" in told
    assert (
        page.get_by_role("link", name="Train again with changes").get_attribute("href")
        == f"/train?from={run}"
    )
    expect(page.locator(".run-figures")).to_contain_text(re.compile(r"Ran for\s*\d+ s"))
    assert grave(page) == []


def test_a_run_that_failed_before_it_began_shows_why_and_no_empty_charts(visit, server):
    run = begin(server, hosts=["elsewhere=192.0.2.7", "127.0.0.1"], batch_size=2)
    assert ended(server, run) == "failed"
    page = visit().open(f"/runs/{run}")
    told = page.get_by_role("group", name="Failure")
    expect(told).to_contain_text("elsewhere at 192.0.2.7, is not this one")
    page.get_by_role("heading", name="Activity").wait_for()
    expect(page.get_by_text("Nothing measured yet")).to_have_count(0)
    expect(page.get_by_role("link", name="Go on without other machines")).to_have_count(0)


@pytest.fixture
def lost(workspace, server, short):
    """The id of a run with checkpoints on two machines, one of which went away."""
    source = server.get(f"/api/runs/{short}").json()
    run = create_run(
        workspace,
        RunKind.CPT,
        spec={
            **source["spec"],
            "hosts": ["mac1.local=10.0.0.1", "mac2.local"],
            "batch_size": 2,
            "general_dataset": None,
            "data_mixture_ratio": 1.0,
        },
        name="lost",
        created=noon(),
        versions={},
        base_fingerprint=None,
    )
    folder = run_folder(workspace, run)
    for file in (workspace.root / source["run"]["folder"]).glob("*adapter*"):
        shutil.copy(file, folder)
    log = EventLog(folder, noon)
    log.append("started", resume=False)
    log.append("train", iteration=12, training_loss=2.5, memory_usage_gb=1.0)
    said = {
        "code": "HOST_LOST",
        "error": "machine 2 of the run, mac2.local, went away",
        "suggestion": "Resume.",
    }
    log.append("failed", **said)
    return run.id


def test_a_run_that_lost_a_machine_names_them_and_can_go_on_alone(visit, lost):
    page = visit(theme="dark").open(f"/runs/{lost}")
    expect(page.locator(".lead")).to_contain_text("on 2 machines: mac1.local, mac2.local")
    expect(page.locator(".run-figures")).to_contain_text("1.0 GB here")
    expect(page.get_by_role("button", name="Resume")).to_have_class("button primary")
    # It was measured on no general data.
    expect(page.locator(".legend").first).to_contain_text("Validation")
    expect(page.locator(".legend").get_by_text("On general data")).to_have_count(0)
    assert grave(page) == []
    page.get_by_role("link", name="Go on without other machines").click()
    page.locator("#train-start:enabled").wait_for()
    page.get_by_role("switch", name="All settings").check()
    expect(page.locator("[name=hosts]")).to_have_value("")
    expect(page.locator("[name=start_from]")).to_have_value(lost)
    expect(page.locator("[name=batch_size]")).to_have_value("2")


def test_a_checkpoint_is_published_step_by_step_and_measured_again(visit, short):
    visitor = visit()
    visitor.expected = ["400 (BAD REQUEST)"]
    page = visitor.open(f"/runs/{short}")
    page.get_by_role("button", name="Publish checkpoint 12").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Name").fill("../no")
    dialog.get_by_role("textbox", name="Name").press("Enter")
    refusal = page.get_by_role("alert").filter(has_text="Nothing was published")
    refusal.get_by_role("button", name="Close").click()
    refusal.wait_for(state="detached")
    dialog.get_by_role("textbox", name="Name").fill("first")
    dialog.get_by_role("textbox", name="Name").press("Enter")
    page.wait_for_selector(".publish-steps li[data-state=done]:nth-child(3)")
    losses = dialog.get_by_role("table", name="Measured losses").locator("tbody tr")
    assert losses.locator("th").all_inner_texts() == [
        "Before training",
        "The checkpoint",
        "The published model",
    ]
    assert "models/published/first" in dialog.inner_text()
    picture = page.locator(".published-picture img")
    expect(picture).to_have_js_property("naturalWidth", 1600)
    dialog.locator("summary").click()
    page.wait_for_selector(".published-card .markdown:has-text('What was measured')")
    assert grave(page) == []


def test_the_best_of_a_run_is_published_from_its_head_and_the_way_back_closes_the_dialog(visit, short):
    page = visit().open("/runs")
    page.locator(f"a[href='/runs/{short}']").click()
    page.get_by_role("button", name="Publish the best").click()
    page.get_by_role("dialog", name="Publish checkpoint 12").wait_for()
    page.go_back()
    page.wait_for_selector("h1:has-text('Runs')")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_who_deletes_a_run_by_keyboard_goes_on_beside_it(visit, workspace):
    for _ in range(2):
        run = new_run(workspace, spec={**SPEC, "dataset": "side_by_side"})
        EventLog(run_folder(workspace, run), noon).append("stopped", iteration=0)
    page = visit().open("/runs?q=side_by_side")
    rows = page.locator("table[aria-label=Runs] tbody tr")
    rows.first.get_by_role("button").focus()
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="Delete").press("Enter")
    expect(rows).to_have_count(1)
    expect(rows.get_by_role("link")).to_be_focused()


def test_runs_are_found_named_deleted_and_brought_back(visit, server, other):
    page = visit().open("/runs")
    page.wait_for_selector(".runs-curve svg")
    before = page.locator("tbody tr").count()
    row = page.locator(f"tr:has(a[href='/runs/{other}'])")
    row.get_by_role("button", name="More about").click()
    page.get_by_role("menuitem", name="Name and notes").click()
    page.get_by_role("textbox", name="Name").fill("A better one")
    page.get_by_role("textbox", name="Tags").fill("keep, second")
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector("th b:has-text('A better one')")
    page.keyboard.press("/")
    page.keyboard.type("second")
    expect(page.locator("tbody tr")).to_have_count(1, timeout=60_000)
    assert "q=second" in page.url
    page.get_by_role("checkbox").check()
    page.locator(".selection").get_by_role("button", name="Delete").click()
    page.wait_for_selector(".toast:has-text('in the trash')")
    assert server.get(f"/api/runs/{other}").status_code == 404
    page.get_by_role("button", name="Undo").click()
    page.wait_for_selector(".toast:has-text('The run is back')")
    page.get_by_role("searchbox").fill("")
    expect(page.locator("tbody tr")).to_have_count(before, timeout=60_000)


@pytest.fixture
def queued(workspace):
    """The ids of three runs that wait, since something else trains; they are stopped at the end."""
    training = HeldLock.acquire(workspace.training_lock)
    assert training is not None
    runs = [
        create_run(
            workspace,
            RunKind.CPT,
            spec=to_dict(parse_spec(SPEC)),
            name=None,
            created=datetime(2026, 1, 2, tzinfo=timezone.utc),
            versions={},
            base_fingerprint=None,
        )
        for _ in range(3)
    ]
    yield [run.id for run in runs]
    for run in runs:
        stop(workspace, run)
    training.release()


def test_the_queue_is_put_into_another_order_by_keyboard(visit, server, queued):
    first, second, third = queued
    page = visit().open("/runs")
    place = {run: page.locator(f"tr:has(a[href='/runs/{run}'])") for run in queued}
    expect(place[third]).to_contain_text("after 2 others")
    place[third].get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Name and notes")).to_be_focused()
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Start next")).to_be_focused()
    page.keyboard.press("Enter")
    expect(place[third]).to_contain_text("In the queue next")
    expect(place[first]).to_contain_text("after 1 other")
    page.goto(f"{server.url}/runs/{second}")
    page.get_by_text("In the queue: starts after 2 others").wait_for()
    page.get_by_role("button", name="More about this run").click()
    page.get_by_role("menuitem", name="Move up in the queue").click()
    page.get_by_text("In the queue: starts after 1 other").wait_for()
    assert server.get("/api/runs").json()["waiting"] == [third, second, first]


def test_chosen_runs_are_compared_ranked_and_left_out(visit, short, other):
    page = visit().open("/runs")
    for run in (short, other):
        page.locator(f"tr:has(a[href='/runs/{run}'])").get_by_role("checkbox").check()
    page.locator(".selection").get_by_role("button", name="Compare").click()
    page.wait_for_selector("table[aria-label=Ranking] tbody tr:nth-child(2)")
    settings = page.get_by_role("table", name="Different settings").inner_text()
    assert "Learning rate\t0.001\t0.002" in settings
    assert saved(page, "PNG").read_bytes().startswith(b"\x89PNG")
    page.get_by_role("radio", name="Training loss").check()
    assert len(saved(page, "CSV").read_text().splitlines()) == 13
    assert grave(page) == []
    page.locator(".chips").get_by_role("button").first.click()
    page.wait_for_selector("text=Add another run to see where they differ.")
    assert page.url.endswith(f"/compare?runs={other}")


def test_a_comparison_leaves_out_a_run_that_is_no_more(visit, short, other):
    visitor = visit()
    visitor.expected = [MISSING]
    page = visitor.open(f"/compare?runs={short},cpt_gone,{other}")
    page.get_by_text("There is no run cpt_gone any more").wait_for()
    expect(page.get_by_role("table", name="Ranking").locator("tbody tr")).to_have_count(2)
    assert page.url.endswith(f"/compare?runs={short},{other}".replace(",", "%2C"))


def test_a_long_name_pushes_nothing_out_of_the_list_of_runs(visit, workspace):
    run = new_run(workspace, spec={**SPEC, "dataset": "a_dataset_of_many_words_" * 5})
    log = EventLog(run_folder(workspace, run), noon)
    log.append("started", resume=False)
    log.append("stopped", iteration=0)
    page = visit().open("/runs?q=many_words")
    page.locator("table[aria-label=Runs] tbody tr").wait_for()
    assert page.evaluate("(e => e.scrollWidth - e.clientWidth)(document.querySelector('.table-scroll'))") <= 0


def test_a_comparison_goes_on_after_a_request_that_failed(visit, short, other):
    visitor = visit()
    visitor.expected = ["ERR_FAILED"]
    page, asked = visitor.page, []

    def answer(route):
        """As if one of the runs went on; the second time there is no server."""
        asked.append(route.request.url)
        if len(asked) == 2:
            return route.abort()
        response = route.fetch()
        found = response.json()
        if len(asked) < 3:
            found["runs"][0]["state"] = "running"
        return route.fulfill(response=response, json=found)

    page.route("**/api/runs/compare?*", answer)
    page.clock.install()
    visitor.open(f"/compare?runs={short},{other}")
    ranking = page.get_by_role("table", name="Ranking")
    expect(ranking).to_contain_text("Running")
    with page.expect_event("requestfailed"):
        page.clock.fast_forward(6000)
    with page.expect_response("**/api/runs/compare?*"):
        page.clock.fast_forward(6000)
    expect(ranking).not_to_contain_text("Running")
    assert len(asked) == 3


def test_200_000_points_are_drawn_smoothed_zoomed_and_read(visit):
    page = visit().open(f"/runs/{LONG}")
    page.wait_for_selector(".plot canvas")
    plot = page.get_by_role("slider", name="Losses: read values")
    # The one that stands out is drawn, and it alone makes the axis that long.
    assert float(plot.get_attribute("aria-valuemax")) == POINTS - 1
    plot.focus()
    page.keyboard.press("Home")
    expect(plot).to_have_attribute("aria-valuetext", re.compile("^iteration 1: Training 4.9998"))
    page.get_by_label("Smoothing").fill("0.9")
    page.get_by_role("button", name="Clip outliers").click()
    page.get_by_role("button", name="Logarithmic").click()
    box = page.locator(".plot-area").first.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 60, steps=3)
    page.mouse.up()
    page.get_by_role("button", name="Show all").first.click()
    page.get_by_role("radio", name="Perplexity").check()
    page.get_by_role("slider", name="Perplexity: read values").focus()
    page.keyboard.press("End")
    reading = page.get_by_role("slider", name="Perplexity: read values")
    expect(reading).to_have_attribute("aria-valuetext", re.compile("^iteration 200,000: Training 1.0002"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_grave_on_the_pages_of_runs(visit, short, other, theme):
    visitor = visit(theme=theme)
    for path in ("/runs", f"/runs/{short}", "/compare", f"/compare?runs={short},{other}"):
        page = visitor.open(path)
        page.wait_for_load_state("networkidle")
        assert (path, grave(page)) == (path, [])


def test_what_lm_eval_found_is_shown_with_the_base_beside_it(visit, workspace):
    asked = {"task": "arc_easy", "metric": "acc", "filter": "none", "count": 40, "shots": 0}
    end = {
        "tasks": [{**asked, "value": 0.75, "standard_error": 0.0693}],
        "base_tasks": [{**asked, "value": 0.5, "standard_error": None}],
    }
    run = new_run(workspace, RunKind.EVALUATE, spec={"model_name": SPEC["model_name"], "tasks": ["arc_easy"]})
    EventLog(run_folder(workspace, run), noon).append("completed", **end)
    page = visit().open(f"/runs/{run.id}")
    row = page.get_by_role("table", name="Tasks").locator("tbody tr")
    expect(row.locator("td")).to_have_text(["arc_easy", "acc", "0.5000", "0.7500 ± 0.0693", "40"])
    assert page.get_by_role("table", name="Measured").count() == 0
