"""The frame around every page: navigation, addresses, keys, palette, theme, and what it says of trouble."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.conftest import CHECKOUT
from tests.servers import running_server

SOURCE = (CHECKOUT / "static" / "js" / "pages.js").read_text(encoding="utf-8")
PAGES = [*re.findall(r'path: "(/[^":]*)"', SOURCE), "/runs/nothing", "/nothing/here"]
MISSING = "404 (NOT FOUND)"


def grave(page) -> list[str]:
    """What axe finds serious or critical, each with an element."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_grave_on_any_page(visit, theme):
    visitor = visit(theme=theme)
    visitor.expected = [MISSING]
    for path in PAGES:
        assert (path, grave(visitor.open(path))) == (path, [])


def test_axe_finds_nothing_grave_in_dialogs(visit):
    page = visit().open("/runs")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open] h2:has-text('Keyboard')")
    assert grave(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.wait_for_selector("dialog[open] [role=option]")
    assert grave(page) == []


def test_the_navigation_leads_to_every_page_and_the_address_follows(visit):
    page = visit().open("/")
    page.get_by_role("link", name="Runs", exact=True).first.click()
    page.wait_for_selector("h1:has-text('Runs')")
    assert page.url.endswith("/runs")
    assert page.title().startswith("Runs – ")
    page.go_back()
    page.wait_for_selector("h1:has-text('Teach a model')")
    assert page.title().startswith("Home – ")


def test_pages_are_reached_by_keys_alone_and_the_focus_goes_along(visit):
    page = visit().open("/")
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_selector("h1:has-text('Runs')")
    assert page.evaluate("document.activeElement.tagName") == "H1"
    page.keyboard.press("Control+k")
    page.keyboard.type("home")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Teach a model')")
    page.keyboard.press("Control+k")
    page.keyboard.type("dataset ques")
    page.get_by_role("option", name="questions").click()
    page.wait_for_selector("h1:has-text('questions')")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    assert "Go to Runs" in dialog.inner_text()
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")


def test_the_first_tab_leads_past_the_navigation(visit):
    page = visit().open("/runs")
    page.keyboard.press("Tab")
    page.get_by_role("link", name="Skip to the page").press("Enter")
    assert page.evaluate("document.activeElement.id") == "page"
    assert page.url.endswith("/runs")


def test_keys_typed_into_a_field_are_the_fields(visit):
    page = visit().open("/runs")
    page.keyboard.press("Control+k")
    page.keyboard.type("g h?")
    assert page.url.endswith("/runs")
    assert page.get_by_role("combobox").input_value() == "g h?"


def test_a_chosen_theme_stays_and_nothing_is_drawn_in_another_first(visit):
    page = visit(theme="light").open("/")
    page.get_by_role("button", name="Theme: system").click()
    page.get_by_role("button", name="Theme: light").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload(wait_until="commit")
    page.wait_for_selector("body")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_what_is_not_there_says_so_and_leads_out(visit):
    visitor = visit()
    visitor.expected = [MISSING]
    page = visitor.open("/runs/nothing")
    assert "There is no run 'nothing'" in page.inner_text("h1")
    page.get_by_role("link", name="Go to runs").click()
    page.wait_for_selector("h1:has-text('Runs')")
    page = visitor.open("/nothing/here")
    assert page.inner_text("h1") == "There is no such page"
    assert "/nothing/here" in page.inner_text("#page")
    page.get_by_role("link", name="Go to the start").click()
    page.wait_for_selector("h1:has-text('Teach a model')")


def test_a_page_that_could_not_be_read_says_so_until_it_can_be(visit):
    """What it watches, as the runs here, is not drawn over the reason; it comes by itself once it can."""
    visitor = visit()
    visitor.expected = ["ERR_FAILED"]
    page, fails = visitor.page, [True]
    page.route("**/api/models", lambda route: route.abort() if fails else route.continue_())
    page.clock.install()
    page.goto(visitor.server.url)
    reason = page.get_by_role("heading", name="The web server does not answer", level=1)
    reason.wait_for()
    with page.expect_response("**/api/runs?*"):
        page.clock.fast_forward(11_000)
    reason.wait_for()
    fails.clear()
    with page.expect_response("**/api/models"):
        page.clock.fast_forward(11_000)
    page.wait_for_selector("h1:has-text('Teach a model')")


@pytest.mark.parametrize("width", [800, 1280, 1920])
def test_nothing_is_wider_than_the_window(visit, width):
    page = visit(width=width).open("/")
    page.get_by_text("GB free").first.wait_for(state="attached")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (
        page.evaluate("const bar = document.getElementById('status'); bar.scrollWidth - bar.clientWidth") <= 0
    )


def test_a_server_that_is_gone_is_told_of_and_found_again(visit, workspace, worker_environment):
    with running_server(workspace.root, worker_environment) as first:
        visitor = visit(at=first)
        visitor.expected = ["ERR_CONNECTION_REFUSED", "WebSocket", "ERR_SOCKET_NOT_CONNECTED"]
        page = visitor.open("/runs")
        port = int(first.url.rsplit(":", 1)[1])
    alert = page.get_by_role("alert")
    alert.get_by_text("The web server does not answer").wait_for()
    with running_server(workspace.root, worker_environment, port=port):
        alert.wait_for(state="detached")
