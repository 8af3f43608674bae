"""A real browser at a real server. Whatever a page complains of on the way fails its test.

`page.wait_for_function` evaluates text, which the content security policy forbids: wait for locators.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest

from forgellm.storage.workspace import Workspace
from tests.conftest import make_workspace
from tests.jobs.sample_worker import end_all
from tests.servers import Server, running_server

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

if CHROMIUM is None:
    collect_ignore_glob = ["test_*.py"]

# Milliseconds; a busy machine shows what it is asked for late, and a page that is wrong never.
PATIENCE = 60_000

# Reports a violation of the content security policy where the console is read.
_WATCH_POLICY = """document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));"""


def pytest_terminal_summary(terminalreporter):
    if CHROMIUM is None:
        terminalreporter.section("NO BROWSER", yellow=True)
        terminalreporter.line(
            "tests/browser did not run: no chromium is installed (Debian: apt install chromium)"
        )


class Visitor:
    """A page of the browser at the server; `errors` is what it complained of, `expected` what it may."""

    def __init__(self, page, server: Server) -> None:
        self.page = page
        self.server = server
        self.errors: list[str] = []
        self.expected: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.add_init_script(_WATCH_POLICY)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(f"{error}\n{error.stack}"))
        page.on("request", self._request)

    def open(self, path: str = "/"):
        """Go there; the page, once its heading stands."""
        self.page.goto(self.server.url + path)
        self.page.wait_for_selector("h1, .empty")
        return self.page

    def _console(self, message) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _request(self, request) -> None:
        known = (self.server.url, self.server.url.replace("http", "ws"), "blob:", "data:")
        if not request.url.startswith(known):
            self.errors.append(f"a request off the origin: {request.url}")

    def unforeseen(self) -> list[str]:
        return [error for error in self.errors if not any(part in error for part in self.expected)]


@pytest.fixture(scope="session")
def browser():
    # Playwright costs half a second; only where there is a browser is it needed.
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)

    with pytest.MonkeyPatch.context() as patch:
        # The suite runs with OpenBLAS preloaded, which neither node nor a browser survives.
        patch.delenv("LD_PRELOAD", raising=False)
        playwright = sync_playwright().start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    yield browser
    browser.close()
    playwright.stop()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, tiny_model) -> Workspace:
    """As everywhere, but one for all tests of a file: they share what the others did."""
    return make_workspace(tmp_path_factory.mktemp("browser") / "workspace", tiny_model)


@pytest.fixture(scope="module")
def server(workspace, worker_environment, built_page) -> Iterator[Server]:
    """`forgellm web` in that workspace; runs that it leaves are stopped."""
    with running_server(workspace.root, worker_environment) as running:
        yield running
    end_all(workspace)


@pytest.fixture
def visit(browser, server) -> Iterator[Callable[..., Visitor]]:
    """Opens a window: `visit(width=1280, theme="dark")`; afterwards nothing may have gone wrong in any."""
    contexts, visitors = [], []

    def begin(*, width: int = 1280, height: int = 800, theme: str = "light", at: Server = server) -> Visitor:
        size = {"width": width, "height": height}
        contexts.append(browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce"))
        visitors.append(Visitor(contexts[-1].new_page(), at))
        return visitors[-1]

    yield begin
    for context in contexts:
        context.close()
    assert [error for visitor in visitors for error in visitor.unforeseen()] == []
