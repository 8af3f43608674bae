"""The page and its files, read as text: what they refer to, and what would break a strict policy."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from werkzeug.test import Client

from forgellm.api.access import access
from forgellm.forge import Forge
from forgellm.settings import Settings
from forgellm.web.app import create_app

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "static"
PAGE = (ROOT / "templates/index.html").read_text(encoding="utf-8")
MODULES = sorted((STATIC / "js").glob("*.js"))
SHEETS = sorted((STATIC / "css").glob("*.css"))

_IMPORT = re.compile(r'from "\./([\w-]+\.js)"')
# What makes markup or code of text.
_UNSAFE = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc")
_ORIGIN = re.compile(r"(?:https?:)?//[\w.-]+\.\w|@import|url\(")
_SVG_NAMESPACE = "http://www.w3.org/2000/svg"


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


TAGS = Tags(PAGE)


def referred():
    """The files under static/ that the page loads, itself or through its modules."""
    paths = [value for name in ("src", "href") for value in TAGS.values(name) if value.startswith("/static/")]
    found = {STATIC / path.removeprefix("/static/") for path in paths}
    waiting = [path for path in found if path.suffix == ".js"]
    while waiting:
        source = waiting.pop().read_text(encoding="utf-8")
        new = {STATIC / "js" / name for name in _IMPORT.findall(source)} - found
        found |= new
        waiting += new
    return found


def test_the_page_loads_every_file_of_its_folder_and_no_other():
    kept = {path for path in STATIC.rglob("*") if path.is_file() and not path.name.startswith(".")}
    assert referred() == kept


def test_the_page_links_to_nothing_but_its_files_and_itself():
    links = TAGS.values("src") + TAGS.values("href")
    assert [link for link in links if not link.startswith(("/static/", "#"))] == []


def test_the_page_has_no_inline_script_style_or_handler():
    scripts = [attributes for tag, attributes in TAGS.found if tag == "script"]
    assert all(attributes.get("src") for attributes in scripts)
    assert "style" not in {tag for tag, _ in TAGS.found}
    names = {name for _, attributes in TAGS.found for name in attributes}
    assert {name for name in names if name == "style" or name.startswith("on")} == set()


@pytest.mark.parametrize("path", [*MODULES, *SHEETS], ids=lambda path: path.name)
def test_a_file_of_the_page_asks_no_other_origin(path):
    assert _ORIGIN.findall(path.read_text(encoding="utf-8").replace(_SVG_NAMESPACE, "")) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_makes_no_markup_of_text(path):
    assert _UNSAFE.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", [*MODULES, *SHEETS], ids=lambda path: path.name)
def test_a_file_of_the_page_opens_with_what_it_covers(path):
    assert path.read_text(encoding="utf-8").startswith(("// ", "/* "))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_an_element_that_a_module_asks_for_is_on_the_page(path):
    asked = set(re.findall(r'byId\("([\w-]+)"\)', path.read_text(encoding="utf-8")))
    assert asked - set(TAGS.values("id")) == set()


def test_every_reference_within_the_page_leads_somewhere():
    names = [name for key in ("aria-labelledby", "aria-describedby") for name in TAGS.values(key)]
    assert set(names) - set(TAGS.values("id")) == set()


def test_no_two_elements_of_the_page_have_one_id():
    assert len(TAGS.values("id")) == len(set(TAGS.values("id")))


def test_the_name_of_a_workspace_is_text_on_the_page(tmp_path, hub_cache):
    workspace = tmp_path / "<img src=x onerror=alert(1)>"
    workspace.mkdir()
    forge = Forge(Settings(workspace=workspace, hub_cache=hub_cache))
    app = create_app(forge, access("127.0.0.1", 5002, allow=(), token=None))
    headers = {"Host": "127.0.0.1:5002", "Accept": "text/html"}
    page = Client(app.wsgi).get("/", headers=headers).get_data(as_text=True)
    assert "&lt;img src=x" in page
    assert "img" not in {tag for tag, _ in Tags(page).found}
