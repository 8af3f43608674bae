"""Home: the first visit, the demo one click away, and what stands there afterwards."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from forgellm.storage.workspace import Workspace
from tests.jobs.sample_worker import end_all
from tests.servers import running_server


@pytest.fixture
def empty(tmp_path, worker_environment, built_page):
    """A server in a workspace that has nothing yet."""
    with running_server(tmp_path, worker_environment) as server:
        yield server
    end_all(Workspace.open(tmp_path))


def test_from_an_empty_workspace_to_a_run_that_is_watched_and_stopped(empty, visit):
    page = visit(at=empty).open("/")
    page.get_by_role("heading", name="A model (to do)").wait_for()
    page.get_by_role("button", name="Start the demo").click()
    page.wait_for_selector("h1:has-text('lough-tiny on tamberlough')")
    page.locator(".legend b", has_text=re.compile(r"\d")).first.wait_for()
    status = page.get_by_role("contentinfo")
    status.get_by_text("lough-tiny on tamberlough").first.wait_for()
    expect(page).to_have_title(re.compile("% · lough-tiny on tamberlough – "))
    page.get_by_role("link", name="Runs", exact=True).first.click()
    status.get_by_role("button", name="Stop the run").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop the run").click()
    toast = page.get_by_role("status").filter(has_text="lough-tiny on tamberlough: stopped")
    toast.get_by_text("Open").click()
    page.locator(".page .badge", has_text="Stopped").first.wait_for()
    status.get_by_text("No run is going on").wait_for()
    page.get_by_role("link", name="Home").first.click()
    page.get_by_role("heading", name="Recent runs").wait_for()
    page.get_by_role("link", name="Publish its best checkpoint").wait_for()


def test_steps_that_are_done_are_marked_and_what_there_is_is_named(visit):
    page = visit().open("/")
    page.get_by_role("heading", name="Your data (done)").wait_for()
    page.get_by_role("heading", name="A model (done)").wait_for()
    page.get_by_role("heading", name="Train (to do)").wait_for()
    assert "domain, general, questions" in page.inner_text(".steps")
