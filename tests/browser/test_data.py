"""Data: bringing files in, what is said of their rows, and that rows are text whatever they contain."""

from __future__ import annotations

import json
import re

import pytest

from forgellm.data.shapes import PARTS, REQUIRED
from forgellm.services.ingestion import UPLOADED
from tests.browser.test_frame import grave

PAYLOADS = [
    "<script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 1'>",
    "<svg onload='window.pwned = 1'></svg>",
    "<svg><script>window.pwned = 1</script></svg>",
    "<iframe src='javascript:parent.pwned = 1'></iframe>",
    "<a href='javascript:window.pwned = 1'>here</a>",
    "<details open ontoggle='window.pwned = 1'>more</details>",
    "<input autofocus onfocus='window.pwned = 1'>",
    "<form action='https://attacker.example'><button>Go</button></form>",
    "<img src='https://attacker.example/seen.png'>",
    "<link rel=stylesheet href='https://attacker.example/all.css'>",
    "<math><mtext><style><img src=x onerror='window.pwned = 1'></style></mtext></math>",
    "<base href='https://attacker.example/'>",
    "\"'><body onload='window.pwned = 1'>${window.pwned = 1}{{constructor.constructor('pwned = 1')()}}",
]
HOSTILE = "<img src=x onerror='window.pwned = 1'>"
FOREIGN = (
    "script, iframe, object, embed, base, link, form, img, math, [onerror], [onload], [href^='javascript:']"
)


@pytest.fixture(scope="module")
def data(workspace):
    """Datasets with trouble in them: rows that cannot be used, and what tries to be more than text."""
    rows = [{"prompt": f"{mark} asks", "completion": f"{mark} answers"} for mark in PAYLOADS]
    columns = [{"prompt": mark, mark: mark} for mark in PAYLOADS]
    folder = workspace.datasets / "hostile"
    folder.mkdir()
    _write(folder / "train.jsonl", rows)
    _write(folder / f"{HOSTILE}.jsonl", columns)
    (folder / f"{HOSTILE}.md").write_text("\n\n".join(PAYLOADS))
    named = workspace.datasets / HOSTILE
    named.mkdir()
    _write(named / "train.jsonl", rows)
    faulty = workspace.datasets / "faulty"
    faulty.mkdir()
    good = [{"prompt": f"What is {n}?", "completion": f"{n} is a number. " * (1 + n)} for n in range(20)]
    lines = [json.dumps(row) for row in good]
    lines[3:3] = ["{broken"]
    (faulty / "train.jsonl").write_text("\n".join([*lines, lines[0]]) + "\n")
    return workspace.datasets


def _write(path, rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def checked(page):
    page.get_by_text("Every row was checked.").wait_for()


def test_rows_and_names_of_files_stay_text_whatever_they_contain(visit, data):
    page = visit().open("/data")
    page.get_by_role("link", name=HOSTILE).wait_for()
    clean(page)
    page.get_by_role("link", name="hostile").first.click()
    checked(page)
    clean(page)
    page.get_by_role("radio", name="Rows").check()
    page.get_by_label("File").select_option("train.jsonl")
    page.get_by_role("article", name="Line 14").get_by_text("answers").first.wait_for()
    shown = page.inner_text(".rows")
    assert [mark for mark in PAYLOADS if shown.count(f"{mark} asks") != 2] == []
    clean(page)
    page.get_by_label("File").select_option(f"{HOSTILE}.jsonl")
    page.locator(".values dt", has_text="onload").last.wait_for()
    clean(page)
    page.get_by_role("radio", name="As the model sees it").check()
    page.locator(".tokens mark").first.wait_for()
    assert f"{PAYLOADS[0]} asks" in page.locator(".tokens", has_text="asks").first.inner_text()
    clean(page)
    page.go_back()
    page.get_by_role("link", name=HOSTILE).click()
    page.wait_for_selector("h1:has-text('onerror')")
    checked(page)
    clean(page)


def clean(page) -> None:
    assert page.locator("#page").locator(FOREIGN).count() == 0
    assert page.evaluate("window.pwned") is None


def drop(page, files: dict[str, str]) -> None:
    moved = page.evaluate_handle(
        """(files) => Object.entries(files).reduce((all, [name, text]) => {
          all.items.add(new File([text], name));
          return all;
        }, new DataTransfer())""",
        files,
    )
    page.locator(".drop").dispatch_event("drop", {"dataTransfer": moved})


def test_files_are_brought_in_their_columns_named_and_a_part_split_off(visit, data):
    rows = "".join(f"Wie heißt Haus {n}?;Es heißt {n}.\n" for n in range(30))
    page = visit().open("/data")
    drop(page, {"fragen.csv": f"frage;antwort\n{rows}", "run.exe": "MZ"})
    dialog = page.get_by_role("dialog", name="Add a dataset")
    assert "of a kind that is not taken" in dialog.inner_text()
    dialog.get_by_label("Name").fill("questions")
    dialog.get_by_text("There is a dataset of that name").wait_for()
    assert dialog.get_by_role("button", name="Add", exact=True).is_disabled()
    dialog.get_by_label("Name").fill("fragen")
    dialog.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("heading", name="Say what the columns of fragen.csv are").wait_for()
    page.get_by_role("button", name="Columns of fragen.csv").click()
    dialog = page.get_by_role("dialog", name="Columns of fragen.csv")
    dialog.get_by_label("What its rows are").select_option("question_answer")
    dialog.get_by_label("question", exact=True).select_option("frage")
    dialog.get_by_label("answer", exact=True).select_option("antwort")
    dialog.get_by_role("button", name="Use these").click()
    page.locator(".lead", has_text="30 can be used").wait_for()
    assert json.loads((data / "fragen" / ".dataset.json").read_text())["columns"] == {
        "fragen.csv": {"question": "frage", "answer": "antwort"}
    }
    page.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Split off a part").click()
    page.get_by_role("button", name="Write it").click()
    page.wait_for_selector("h1:has-text('fragen-split')")
    checked(page)
    assert (data / "fragen-split" / "valid").is_dir()
    assert (
        page.get_by_role("link", name="Train on this").get_attribute("href") == "/train?dataset=fragen-split"
    )


def test_a_row_that_cannot_be_used_is_named_by_its_line_left_out_and_taken_in_again(visit, data):
    page = visit().open("/data/faulty?length=40")
    problem = page.locator("tr", has_text="line 4")
    problem.get_by_text("Is not JSON").wait_for()
    checked(page)
    assert "cut at 40 tokens" in page.inner_text(".page")
    assert page.locator(".histogram .longer").count() > 0
    assert "1 row is there twice" in page.inner_text(".page")
    problem.get_by_role("button", name="Leave line 4 of train.jsonl out").click()
    problem.wait_for(state="detached")
    checked(page)
    assert page.locator(".figures div", has_text="Left out by hand").inner_text().endswith("1")
    page.get_by_role("button", name="Undo").click()
    problem.wait_for()
    page.get_by_role("radio", name="Rows").check()
    page.get_by_label("Only rows with something wrong").check()
    page.locator(".row").nth(1).wait_for(state="detached")
    assert page.locator(".row").get_attribute("aria-label") == "Line 4"


def test_what_is_learned_and_where_a_row_is_cut_is_seen_without_colour(visit, data):
    page = visit().open("/data/faulty?view=tokens&length=40")
    page.locator(".tokens .cut").first.wait_for()
    first = page.locator(".card .tokens").first
    assert first.locator("mark").first.evaluate("e => getComputedStyle(e).textDecorationLine") == "underline"
    assert "".join(first.locator("mark").all_text_contents()).startswith("0 is a number.")
    assert re.search(r"cut here: \d+ tokens? behind this left out", page.inner_text(".page"))
    page.get_by_role("button", name="Later").click()
    page.get_by_text("6–10").wait_for()


def test_a_folder_is_brought_in_and_what_is_added_later_replaces_nothing(visit, data, tmp_path):
    for name in ("a/notes.md", "b/notes.md", "c.txt", ".hidden.txt", "valid/notes.md"):
        (tmp_path / "town" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "town" / name).write_text(f"What {name} says about the harbour. " * 20)
    visitor = visit()
    visitor.expected = ["409 (CONFLICT)"]
    page = visitor.open("/data")
    page.get_by_label("Choose a folder").set_input_files(tmp_path / "town")
    page.get_by_role("button", name="Add", exact=True).click()
    page.wait_for_selector("h1:has-text('town')")
    assert {p.name for p in (data / "town").glob("[!.]*")} == {"a_notes.md", "b_notes.md", "c.txt", "valid"}
    assert [p.name for p in (data / "town" / "valid").iterdir()] == ["notes.md"]
    page.get_by_role("button", name="Add files").click()
    page.get_by_label("Choose files").set_input_files(tmp_path / "town" / "c.txt")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("alert").get_by_text("town has a file of that name").wait_for()


def test_a_dataset_is_deleted_and_brought_back(visit, data):
    page = visit().open("/data/general")
    page.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.wait_for_selector("h1:text-is('Data')")
    page.get_by_role("link", name="general").wait_for(state="detached")
    assert not (data / "general").exists()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("link", name="general").wait_for()
    assert (data / "general" / "forest.md").exists()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_grave_in_data(visit, data, theme):
    page = visit(theme=theme).open("/data")
    page.get_by_role("link", name="faulty").wait_for()
    assert grave(page) == []
    page = visit(theme=theme).open("/data/faulty?length=40")
    checked(page)
    assert grave(page) == []
    for view, ready in [("Rows", ".row"), ("As the model sees it", ".tokens mark")]:
        page.get_by_role("radio", name=view).check()
        page.locator(ready).first.wait_for()
        assert (view, grave(page)) == (view, [])


def test_the_page_knows_the_kinds_and_shapes_that_the_server_knows(visit, data):
    page = visit().open("/data/faulty")
    page.get_by_role("button", name="Add files").click()
    assert page.get_by_label("Choose files").get_attribute("accept") == ",".join(UPLOADED)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Columns of train.jsonl").click()
    shapes = page.get_by_label("What its rows are")
    shapes.wait_for()
    known = {}
    for shape in shapes.locator("option").evaluate_all("all => all.map((o) => o.value).filter(Boolean)"):
        shapes.select_option(shape)
        known[shape] = page.locator("dialog .columns label").all_inner_texts()
    optional = " (if there is one)"
    assert {shape: {part.removesuffix(optional) for part in parts} for shape, parts in known.items()} == {
        shape: set(parts) for shape, parts in PARTS.items()
    }
    assert {shape: {part for part in parts if optional not in part} for shape, parts in known.items()} == {
        shape: set(parts) for shape, parts in REQUIRED.items()
    }
