"""The page and its sources, read as text: what they refer to, and what would break a strict policy."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from werkzeug.test import Client

from forgellm.api.access import access
from forgellm.api.errors import STRICT
from forgellm.forge import Forge
from forgellm.settings import Settings
from forgellm.web.app import create_app
from forgellm.web.pages import PAGES

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "static"
MODULES = sorted((STATIC / "js").rglob("*.js"))
SHEETS = sorted((STATIC / "css").rglob("*.css"))
SCRIPT_LIMIT = 300_000
MODULE_MOST = 400

# What makes markup or code of text, and what the content security policy would refuse.
_UNSAFE = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    r"|unsafeHTML|unsafeSVG|styleMap|\sstyle=|setAttribute\(.style"
)
# Where a link may lead that a person follows.
_LINKED = "https://huggingface.co/"
_ORIGIN = re.compile(r"(?:https?:)?//[\w.-]+\.\w|@import \"(?!\./)|url\(")


def named(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.relative_to(STATIC).as_posix())


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def values(self, name):
        return [attributes[name] for _, attributes in self.found if name in attributes]


@pytest.fixture
def ask(tmp_path, hub_cache, built_page):
    """Asks for a path as a browser does, in a workspace whose name is hostile."""
    workspace = tmp_path / "<img src=x onerror=alert(1)>"
    workspace.mkdir()
    forge = Forge(Settings(workspace=workspace, hub_cache=hub_cache))
    client = Client(create_app(forge, access("127.0.0.1", 5002, allow=(), token=None)).wsgi)
    headers = {"Host": "127.0.0.1:5002", "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    return lambda path, **more: client.get(path, headers={**headers, **more})


def test_the_page_loads_what_was_built_and_its_icon_alone(ask):
    tags = Tags(ask("/").text)
    links = [link for link in tags.values("src") + tags.values("href") if link != "#page"]
    assert len(links) > 4
    assert [ask(link).status_code for link in links] == [200] * len(links)
    assert all(link.startswith("/static/dist/") or link == "/static/icon.svg" for link in links)


def test_built_files_are_kept_for_ever_and_the_page_is_not(ask):
    script = next(link for link in Tags(ask("/").text).values("src") if "main" in link)
    assert "immutable" in ask(script).headers["Cache-Control"]
    assert ask("/").headers["Cache-Control"] == "no-store"


def test_the_page_has_no_inline_script_style_or_handler(ask):
    tags = Tags(ask("/").text)
    assert all(attributes.get("src") for tag, attributes in tags.found if tag == "script")
    assert "style" not in {tag for tag, _ in tags.found}
    names = {name for _, attributes in tags.found for name in attributes}
    assert {name for name in names if name == "style" or name.startswith("on")} == set()


def test_the_name_of_a_workspace_is_text_on_the_page(ask):
    page = ask("/").text
    assert "&lt;img src=x" in page
    assert "img" not in {tag for tag, _ in Tags(page).found}


@pytest.mark.parametrize("address", PAGES)
def test_every_address_of_the_page_is_the_page_for_browsers_and_nothing_for_others(ask, address):
    path = re.sub("<[a-z_]+>", "some%20one", address)
    assert ask(path).text == ask("/").text
    refused = ask(path, Accept="application/json")
    assert (refused.status_code, refused.json["error_code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["/nothing/here", "/runs/a/b", "/models.html", "/%00"])
def test_where_nothing_is_browsers_get_the_page_which_says_so_and_programs_the_error(ask, path):
    shown = ask(path)
    assert (shown.status_code, shown.mimetype) == (404, "text/html")
    assert shown.text == ask("/").text
    assert "Content-Security-Policy" in shown.headers
    assert shown.headers["Cache-Control"] == "no-store"
    for accept in ("application/json", "*/*", "image/png"):
        refused = ask(path, Accept=accept)
        assert (refused.status_code, refused.json["error_code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("first", ["api", "v1", "static", "docs", "ws", *(key.strip("/") for key in STRICT)])
def test_where_programs_ask_an_error_has_its_shape_also_in_a_browser(ask, first):
    for path in (f"/{first}/nothing", f"/{first}/nothing/here"):
        refused = ask(path)
        assert (refused.status_code, refused.mimetype) == (404, "application/json")


def test_a_link_on_another_site_may_open_a_page_and_nothing_else(ask):
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert ask("/runs/cpt_1", **followed).status_code == 200
    for path in ("/api/runs/cpt_1", "/runs/cpt_1/log", "/static/icon.svg", "/runs/../api/health"):
        assert ask(path, **followed).status_code == 403


def test_the_whole_script_is_small(built_page):
    assert sum(path.stat().st_size for path in built_page.glob("*.js")) < SCRIPT_LIMIT


def test_every_package_in_the_page_has_its_licence_with_it(built_page):
    notices = (built_page / "THIRD_PARTY_NOTICES.txt").read_text(encoding="utf-8")
    packages = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert [name for name in packages if f"{name} " not in notices] == []


def test_the_lock_names_no_registry():
    assert "resolved" not in (ROOT / "package-lock.json").read_text(encoding="utf-8")


@named([*MODULES, *SHEETS])
def test_a_file_of_the_page_asks_no_other_origin(path):
    assert _ORIGIN.findall(path.read_text(encoding="utf-8").replace(f"href=${{`{_LINKED}", "")) == []


@named(MODULES)
def test_a_module_makes_no_markup_of_text_and_sets_no_style(path):
    assert _UNSAFE.findall(path.read_text(encoding="utf-8")) == []


@named([*MODULES, *SHEETS])
def test_a_file_of_the_page_opens_with_what_it_covers_and_is_not_too_long(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith(("// ", "/* "))
    assert len(text.splitlines()) <= MODULE_MOST
