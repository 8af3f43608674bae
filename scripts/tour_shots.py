"""The pictures of the tour: where each is taken, what is done there first, and what has to stand there."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import Page, expect
from tour_workspace import Server, run_called, run_of_kind

ROOT = Path(__file__).resolve().parents[1]
DRAFTS = ("first-draft", "second-draft")
DEADLINE = 120_000
"""Milliseconds for one thing to come on screen."""

Act = Callable[[Page], None]


@dataclass(frozen=True)
class Shot:
    """`name` is PAGE-STATE; at `path`, `act` is done, then `ready` is waited for. `words` tell what it is."""

    name: str
    words: str
    path: str
    ready: str
    act: Act | None = None
    after: Callable[[], None] | None = None
    width: int = 1280


def asks_both(other: str, *questions: str) -> Act:
    """Ask the resident model and `other` beside it, without chance."""

    def act(page: Page) -> None:
        page.wait_for_selector("h2:has-text('Ask tamberlough')")
        page.locator("select[name=beside]").select_option("pick")
        page.locator("dialog .pick", has_text=other).click()
        _set_up(page, {"Temperature": "0", "Most tokens": "24"})
        for number, question in enumerate(questions, 1):
            page.get_by_role("textbox", name="Message").fill(question)
            page.keyboard.press("Enter")
            page.locator(".turn-figures", has_text="tokens").nth(2 * number - 1).wait_for()

    return act


def _set_up(page: Page, values: dict[str, str]) -> None:
    page.get_by_role("button", name="Settings of the chat").click()
    for label, value in values.items():
        page.get_by_label(label).fill(value)
        page.keyboard.press("Tab")
    page.get_by_role("button", name="Settings of the chat").click()


def answers_slowly(answering: psutil.Process) -> Act:
    """An answer stands still in the middle: the small model would have ended it before it is taken."""

    def act(page: Page) -> None:
        page.wait_for_selector("h2:has-text('Ask lough-tiny')")
        page.wait_for_selector(".model-loading", state="detached")
        page.get_by_role("button", name="Settings of the chat").click()
        page.get_by_role("radio", name="Text", exact=True).check()
        page.get_by_label("Temperature").fill("0")
        page.keyboard.press("Tab")
        page.get_by_role("textbox", name="Message").fill("The harbour of")
        page.keyboard.press("Enter")
        words = page.locator(".answer[aria-busy=true] .answer-text", has_text=re.compile(r"\w+ \w+ \w+"))
        words.wait_for()
        answering.suspend()

    return act


def publishes(name: str, *, done: bool) -> Act:
    """Publish the best checkpoint of the run that is shown, and wait for the end or its second step."""

    def act(page: Page) -> None:
        page.locator(
            "table[aria-label=Checkpoints] tr", has=page.get_by_text("Best", exact=True)
        ).get_by_role("button", name="Publish checkpoint").click()
        page.get_by_role("textbox", name="Name").fill(name)
        page.get_by_role("textbox", name="Name").press("Enter")
        if done:
            picture = page.locator(".published-picture img")
            expect(picture).to_have_js_property("naturalWidth", 1600, timeout=DEADLINE)

    return act


def chooses(*entry: str) -> Act:
    """Open the menu of the model that is shown, and choose an entry of it."""

    def act(page: Page) -> None:
        page.get_by_role("button", name="More about this model").click()
        for name in entry:
            page.get_by_role("menuitem", name=name, exact=True).click()

    return act


def shows(what: str) -> Act:
    """Bring into sight what lies below the fold."""
    return lambda page: page.locator(what).first.scroll_into_view_if_needed()


def names_machines(page: Page) -> None:
    """Bring the machines that share a run into the middle, two of them named."""
    page.get_by_role("switch", name="All settings").check()
    field = page.get_by_role("textbox", name="Machines")
    field.fill("mac1.local\nmac2.local")
    page.locator(".train-findings").wait_for()
    field.evaluate("e => e.closest('.card').scrollIntoView({ block: 'center' })")


def brings(page: Page) -> None:
    """Choose files, one of them of a kind that is not taken."""
    files = [*sorted((ROOT / "dataset" / "everyday").glob("*.md"))[:9], ROOT / "setup.cfg"]
    page.get_by_label("Choose files").first.set_input_files([file for file in files if file.exists()])


def empty_workspace() -> list[Shot]:
    return [
        Shot("home-empty", "The first visit: three steps, and the demo one click away", "/", ".steps"),
        Shot("models-empty", "No model yet", "/models", ".empty"),
        Shot("data-empty", "No dataset yet", "/data", ".kinds"),
        Shot("train-empty", "Nothing to train, nothing to train on", "/train", ".train-none"),
        Shot("runs-empty", "No run yet", "/runs", ".empty"),
        Shot("compare-empty", "Nothing to compare yet", "/compare", ".empty"),
        Shot("chat-empty", "No model is loaded", "/chat", "h2:has-text('No model is loaded')"),
    ]


def full_workspace(server: Server) -> list[Shot]:
    cpt = run_of_kind(server, "cpt")
    three = ",".join(
        run_called(server, name) for name in ("LoRA, rank 8", "LoRA, rank 32", "LoRA, a careful rate")
    )
    published = [model["name"] for model in server.ask("GET", "/api/models")["published_models"]]
    guide = next(name for name in published if "answers" in name)
    # What is published stays in the workspace that is kept.
    draft, other = (
        next(n for n in (word, f"{word}-{len(published)}") if n not in published) for word in DRAFTS
    )
    answering = server.child("server")
    curves = ".plot canvas"
    train = "/train?dataset=tamberlough&model_name=models/base/lough-tiny&general_dataset=everyday"
    answers = asks_both(
        "models/base/lough-tiny",
        "Which river flows past the houses of Tamberlough?",
        "For what work do people go to Ysolt Brannagh?",
    )
    chat = f"/chat?model=models/published/{guide}"
    return [
        Shot("home-full", "Recent runs, what to do next, the resident model, the disk", "/", ".recent svg"),
        Shot("home-wide", "The same at 1920 pixels", "/", ".recent svg", width=1920),
        Shot(
            "models-full",
            "What is here, what it takes, what fits; a folder that cannot be used says why",
            "/models",
            "text=half-copied",
        ),
        Shot(
            "models-tools",
            "What else can be made of a model",
            f"/models?model=models/published/{guide}",
            ".menu-list:popover-open",
            chooses(),
        ),
        Shot(
            "models-quantize",
            "A copy in fewer bits",
            f"/models?model=models/published/{guide}",
            "dialog select[name=quantize-bits]",
            chooses("Quantize"),
        ),
        Shot("data-full", "All datasets", "/data", "table[aria-label=Datasets]:not(:has(td .quiet))"),
        Shot("data-busy", "Files that are about to be added", "/data", "dialog .brought", brings),
        Shot("dataset-full", "A dataset, checked", "/data/tamberlough", "text=Every row was checked."),
        Shot(
            "dataset-tokens",
            "What is learned of each row, token by token",
            "/data/tamberlough_questions?view=tokens",
            ".card .tokens mark",
        ),
        Shot(
            "dataset-failed",
            "Rows that cannot be used, by file and line",
            "/data/parish-records",
            "table[aria-label=Problems]",
        ),
        Shot("train-full", "A run before it is started", train, "#train-start:enabled"),
        Shot(
            "train-machines",
            "A run that several machines share, named one per line",
            train,
            ".train-findings",
            names_machines,
        ),
        Shot(
            "train-failed",
            "What would go wrong is named, and keeps it from starting",
            "/train?dataset=parish-records&training_type=ift&model_name=models/base/lough-tiny",
            ".train-findings",
        ),
        Shot("runs-full", "All runs with their curves", "/runs", ".runs-curve svg"),
        Shot("run-full", "A run that has completed", f"/runs/{cpt}", curves),
        Shot("run-wide", "The same at 1920 pixels", f"/runs/{cpt}", curves, width=1920),
        Shot(
            "run-failed",
            "Training diverged: why, and the way out",
            f"/runs/{run_called(server, 'A rate far too high')}",
            curves,
        ),
        Shot(
            "run-interrupted",
            "Its process was killed: it goes on from its last state",
            f"/runs/{run_called(server, 'Cut off at night')}",
            curves,
        ),
        Shot(
            "run-measured",
            "A published model, measured on the questions that were held out",
            f"/runs/{run_of_kind(server, 'evaluate', newest=True)}",
            "table[aria-label=Measured]",
            shows("table[aria-label=Measured]"),
        ),
        Shot(
            "run-made",
            "A quantized copy, and what it lost",
            f"/runs/{run_of_kind(server, 'quantize')}",
            ".published-path",
            shows(".published-path"),
        ),
        Shot(
            "compare-full",
            "Three runs over each other",
            f"/compare?runs={three}",
            "table[aria-label=Ranking] tbody tr:nth-child(3)",
        ),
        Shot(
            "compare-wide",
            "The same at 1920 pixels",
            f"/compare?runs={three}",
            "table[aria-label=Ranking] tbody tr:nth-child(3)",
            width=1920,
        ),
        Shot(
            "publish-busy",
            "Publishing, step by step",
            f"/runs/{cpt}",
            ".publish-steps li[data-state=done]",
            publishes(draft, done=False),
        ),
        Shot(
            "publish-full",
            "Published, and measured again",
            f"/runs/{cpt}",
            "dialog .publish-losses",
            publishes(other, done=True),
        ),
        Shot(
            "publish-failed",
            "A name that is taken",
            f"/runs/{cpt}",
            ".toast[data-tone=bad]",
            publishes(guide, done=False),
        ),
        Shot("chat-full", "What was trained answers beside its base model", chat, ".turn-figures", answers),
        Shot(
            "chat-busy",
            "An answer as it comes, beside the settings",
            "/chat?model=models/base/lough-tiny",
            ".answer[aria-busy=true]",
            answers_slowly(answering),
            answering.resume,
        ),
    ]


def busy_workspace(server: Server, running: str, waiting: list[str]) -> list[Shot]:
    last = f"tr:has(a[href='/runs/{waiting[-1]}'])"
    return [
        Shot("run-busy", "A run as it goes on", f"/runs/{running}", ".samples li"),
        Shot(
            "run-queued",
            "A run that waits for another one",
            f"/runs/{waiting[0]}",
            "text=In the queue: starts next",
        ),
        Shot("home-busy", "What trains is in the bar below, on every page", "/", ".recent svg"),
        Shot("runs-busy", "One runs, the others wait", "/runs", ".runs-curve svg"),
        Shot(
            "runs-queue",
            "The queue is put into another order",
            "/runs",
            ".menu-list:popover-open",
            lambda page: page.locator(last).get_by_role("button").press("Enter"),
        ),
        Shot(
            "train-busy",
            "Another run trains: this one is queued",
            "/train?dataset=tamberlough&model_name=models/base/lough-tiny",
            "button:has-text('Queue'):enabled",
        ),
        Shot(
            "compare-busy",
            "A run that goes on beside one that is over",
            f"/compare?runs={running},{run_called(server, 'LoRA, rank 32')}",
            ".plot canvas",
        ),
    ]


def without_model_server(server: Server) -> list[Shot]:
    first = server.ask("GET", "/api/chats")["chats"][-1]["id"]
    return [
        Shot(
            "chat-failed", "No model server runs: what was said stays", f"/chat/{first}", ".chat-foot .notice"
        ),
    ]


def without_servers(server: Server) -> list[Shot]:
    def end(page: Page) -> None:
        page.wait_for_selector(".recent svg")
        server.process.terminate()

    return [Shot("home-failed", "No server answers: the page says so and waits", "/", ".banner", end)]
