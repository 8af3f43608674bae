"""The whole main job on the built-in model as a person walks it: from an empty workspace to a published model
that answers, while the page is reloaded, the web server is killed and a worker is killed.

What stands on screen is waited for; nothing here depends on how fast the machine is.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from forgellm.storage.runs import find_run, run_folder
from forgellm.storage.workspace import Workspace
from tests.browser.test_runs import saved
from tests.cli.conftest import COMMAND, heed_interrupts
from tests.cli.servers import child_of, read_addresses
from tests.conftest import CHECKOUT
from tests.jobs.sample_worker import end_all
from tests.journeys.lives import pid_of, reach
from tests.servers import Server

DEADLINE = 60_000
"""Milliseconds for one thing to come on screen, on a machine that many share."""
DOCUMENTS = sorted((CHECKOUT / "dataset" / "tamberlough").glob("*.md"))[:8]
MUCH, LITTLE = 100_000, 160
"""Iterations: a run that ends only when it is told to, and one that ends by itself."""
SETTINGS = {
    "max_iterations": MUCH,
    "save_every": 50,
    "eval_every": 50,
    "batch_size": 1,
    "max_seq_length": 32,
    "validation_tokens": 256,
}

# What the browser says of a server that is gone, and nothing else.
GONE = ["net::ERR_CONNECTION_", "net::ERR_EMPTY_RESPONSE", "net::ERR_INCOMPLETE", "WebSocket connection to"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    """One that has nothing yet."""
    return Workspace.open(tmp_path_factory.mktemp("walk"))


@pytest.fixture(scope="module")
def server(workspace, worker_environment, built_page) -> Iterator[Server]:
    """`forgellm start`: both servers, and what starts them again."""
    process = subprocess.Popen(
        [*COMMAND, "start", "--no-browser", "--web-port", "0", "--server-port", "0"],
        cwd=workspace.root,
        env=worker_environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    web, _ = read_addresses(process)
    yield Server(f"http://127.0.0.1:{web}", process)
    process.terminate()
    process.wait(60)
    process.stdout.close()
    end_all(workspace)


@pytest.mark.timeout(900)
def test_from_an_empty_workspace_to_a_published_model_that_answers(visit, server, workspace):
    visitor = visit()
    visitor.expected = GONE
    visitor.page.set_default_timeout(DEADLINE)
    page = visitor.open("/")
    take_the_built_in_model(page)
    bring_documents(page)
    set_up_and_start(page)
    endless = watch_through_a_reload_and_a_dead_web_server(page, server)
    stop_and_save(page)
    train_again(page, endless)
    lose_the_worker_and_resume(page, server, workspace)
    publish_the_best(page)
    ask_it(page)


def take_the_built_in_model(page: Page) -> None:
    for step in ("A model", "Your data", "Train"):
        page.get_by_role("heading", name=f"{step} (to do)").wait_for()
    page.get_by_role("link", name="Choose a model").click()
    page.get_by_role("button", name="Use the built-in model").click()
    page.get_by_role("rowheader", name="lough-tiny").wait_for()


def bring_documents(page: Page) -> None:
    page.get_by_role("link", name="Home").first.click()
    page.get_by_role("heading", name="A model (done)").wait_for()
    page.get_by_role("link", name="Add documents").click()
    page.get_by_label("Choose files").set_input_files(DOCUMENTS)
    page.get_by_role("dialog").get_by_label("Name").fill("town")
    page.get_by_role("dialog").get_by_role("button", name="Add", exact=True).click()
    page.wait_for_selector("h1:has-text('town')")
    page.get_by_text("Every row was checked.").wait_for()


def set_up_and_start(page: Page) -> None:
    page.get_by_role("link", name="Train on this").click()
    page.get_by_role("switch", name="All settings").check()
    for name, value in SETTINGS.items():
        page.locator(f"[name={name}]").fill(str(value))
        page.keyboard.press("Tab")
    start(page)


def start(page: Page) -> None:
    page.locator("#train-start:enabled").click()
    page.wait_for_url("**/runs/cpt_*")


def watch_through_a_reload_and_a_dead_web_server(page: Page, server: Server) -> str:
    """Its address, once all of that has been overcome."""
    grows(page)
    page.reload()
    grows(page)
    with page.expect_websocket(timeout=DEADLINE):
        child_of(server.process).kill()
    grows(page)
    grows(page)
    return page.url


def iteration(page: Page):
    """The place on screen that says how many iterations are done."""
    return page.locator(".run-figures div", has_text="Iteration").first.locator("dd")


def grows(page: Page) -> None:
    """Wait until the number of iterations on screen is another one than now."""
    expect(iteration(page)).to_have_text(re.compile(r"^[1-9]"), timeout=DEADLINE)
    expect(iteration(page)).not_to_have_text(iteration(page).inner_text(), timeout=DEADLINE)


def stop_and_save(page: Page) -> None:
    page.get_by_role("button", name="Stop and save").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop the run").click()
    state(page, "Stopped")
    page.wait_for_selector("table[aria-label=Checkpoints] tbody tr")
    rows = [int(line.split(",")[0]) for line in saved(page, "CSV").read_text().splitlines()[1:]]
    assert rows == list(range(len(rows)))


def state(page: Page, word: str, *, timeout: int = DEADLINE) -> None:
    page.wait_for_selector(f".lead .badge:has-text('{word}')", timeout=timeout)


def train_again(page: Page, before: str) -> None:
    page.get_by_role("button", name="More about this run").click()
    page.get_by_role("menuitem", name="Train again with changes").click()
    field = page.locator("[name=max_iterations]")
    expect(field).to_have_value(str(MUCH), timeout=DEADLINE)
    field.fill(str(LITTLE))
    page.keyboard.press("Tab")
    start(page)
    assert page.url != before


def lose_the_worker_and_resume(page: Page, server: Server, workspace: Workspace) -> None:
    run = find_run(workspace, page.url.rsplit("/", 1)[1])
    folder = run_folder(workspace, run)
    # The page would tell too late of a run that is over within a second.
    server.until(f"/api/runs/{run.id}", lambda found: found["run"]["iteration"] > 0)
    # Its state is saved by then.
    reach(folder, 51)
    os.kill(pid_of(folder), signal.SIGKILL)
    page.get_by_role("heading", name="The run was interrupted").wait_for()
    page.get_by_role("button", name="Resume").click()
    state(page, "Completed", timeout=2 * DEADLINE)
    assert iteration(page).inner_text().startswith(str(LITTLE))
    page.get_by_text("Went on from iteration 50").wait_for()


def publish_the_best(page: Page) -> None:
    best = page.locator("table[aria-label=Checkpoints] tr", has=page.get_by_text("Best", exact=True))
    best.get_by_role("button", name="Publish checkpoint").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Name").fill("harbour-master")
    dialog.get_by_role("button", name="Publish", exact=True).click()
    dialog.locator(".published-path", has_text="models/published/harbour-master").wait_for()
    assert dialog.get_by_role("table", name="Measured losses").locator("tbody tr").count() == 3


def ask_it(page: Page) -> None:
    page.get_by_role("dialog").get_by_role("link", name="Chat with it").click()
    page.get_by_role("heading", name="Ask harbour-master").wait_for()
    page.get_by_role("textbox", name="Message").fill("Where is the harbour?")
    page.keyboard.press("Enter")
    answer = page.get_by_role("article", name="Answer of harbour-master")
    answer.locator(".turn-figures", has_text="tokens").wait_for()
    expect(answer.locator(".answer-text")).to_have_text(re.compile(r"\w"), timeout=DEADLINE)
