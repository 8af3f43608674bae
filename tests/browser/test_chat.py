"""The chat page: a life with the real model, and what no real model can be trusted to say or do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from forgellm.storage.files import HeldLock
from forgellm.storage.model_server import Record, server_lock, write_record
from tests.browser.test_frame import MISSING, grave
from tests.inference.speaker import FINISH, STATUS, Speaker, serving
from tests.servers import running_server

HIT = "window.hit = (window.hit || 0) + 1"
PAYLOADS = [
    f"<script>{HIT}</script>",
    f"<img src=x onerror='{HIT}'>",
    f"<svg onload='{HIT}'><script>{HIT}</script><use href='https://evil.invalid/x.svg#a'/></svg>",
    f"<iframe srcdoc='<script>parent.{HIT}</script>' src='https://evil.invalid/'></iframe>",
    f"<form action='https://evil.invalid/'><button formaction='javascript:{HIT}'>Go</button></form>",
    "<meta http-equiv=refresh content='0;url=https://evil.invalid/'>",
    f"[click](javascript:{HIT}) [two](JaVaScRiPt&colon;{HIT}) <a href=' javascript:{HIT}'>three</a>",
    f"[page](data:text/html,<script>{HIT}</script>) <a href='data:text/html;base64,PHNjcmlwdD4='>x</a>",
    "![picture](https://evil.invalid/pixel.png) ![two](//evil.invalid/pixel.gif)",
    "<style>@import 'https://evil.invalid/a.css'; body { background: url(https://evil.invalid/b) }</style>",
    "<base href='https://evil.invalid/'><link rel=stylesheet href='https://evil.invalid/c.css'>",
    f"<object data='https://evil.invalid/'></object><embed src='javascript:{HIT}'>",
    "<math><mtext><table><mglyph><style><!--</style>"
    f"<img title='--&gt;&lt;img src=1 onerror={HIT}&gt;' src=1 onerror='{HIT}'></table></math>",
    f"<template><script>{HIT}</script></template><noscript><p title='</noscript><img src=x onerror={HIT}>'>",
    f"<p onclick='{HIT}' style='background:url(https://evil.invalid/d)'>text</p>"
    f"<details open ontoggle='{HIT}'><summary>s</summary></details><input autofocus onfocus='{HIT}'>"
    f"<video><source onerror='{HIT}' src='https://evil.invalid/v'></video>",
    f'```html"><img src=x onerror={HIT}>\n<script>{HIT}</script>\n```',
    f'[a]: javascript:{HIT}\n\n[a] and <https://example.com/?q="onmouseover={HIT}>',
]
# Whatever a message may consist of; anything else in it is a hole.
ALLOWED = (
    "p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong del a table thead tbody tr th td "
    "sup sub div span button"
).split()
FOREIGN = """(allowed) => [...document.querySelectorAll(".answer-text *")].flatMap((e) => [
  ...(allowed.includes(e.localName) ? [] : [e.outerHTML.slice(0, 200)]),
  ...[...e.attributes].filter((a) => /^(on|style|src|action|formaction|data$)/.test(a.name))
    .map((a) => a.name),
  ...(e.localName === "a" && !/^(https?|mailto):/.test(e.getAttribute("href") ?? "") ? [e.outerHTML] : []),
])"""


# Counts what changes in turns other than the one that is being answered.
WATCH_CHANGES = """() => {
  const open = document.querySelector(".answer[aria-busy=true]"), text = open.querySelector(".answer-text");
  for (const block of text.children) block.seen = true;
  window.blocks = () => [...text.children].map((block) => block.seen === true);
  window.elsewhere = 0;
  const told = (changes) => (window.elsewhere += changes.filter((one) => !open.contains(one.target)).length);
  const what = { subtree: true, childList: true, characterData: true };
  new MutationObserver(told).observe(document.querySelector(".thread"), what);
}"""


@pytest.fixture
def speaker(workspace) -> Iterator[Speaker]:
    """Stands where the model server is, and says what the test wants."""
    workspace.private.mkdir(exist_ok=True)
    lock = HeldLock.acquire(server_lock(workspace))
    speaking = Speaker()
    with serving(speaking) as url:
        write_record(workspace, Record(url, None))
        yield speaking
    lock.release()


def says(*pieces: str, thinking: str = "", wait=None) -> Iterator[dict[str, object]]:
    """An answer in these pieces; before the last one it waits."""
    if thinking:
        yield {"text": "", "thinking": thinking}
    for number, piece in enumerate(pieces):
        if wait is not None and number == len(pieces) - 1:
            wait.wait(20)
        yield {"text": piece, "thinking": ""}
    yield {"done": True, **FINISH, "response": "".join(pieces), "thinking": thinking}


def ask(page, text: str) -> None:
    page.get_by_role("textbox", name="Message").fill(text)
    page.keyboard.press("Enter")


def answered(page) -> None:
    page.get_by_role("button", name="Send").wait_for()


def message(id: str, parent: str | None, content: str, **more: object) -> dict[str, object]:
    role = "user" if id.startswith("q") else "assistant"
    return {"id": id, "parent": parent, "role": role, "content": content, **more}


def test_nothing_that_a_model_says_runs_or_leaves_the_page(visit, server, speaker):
    stored, parent = [], None
    for number, payload in enumerate(PAYLOADS):
        stored.append(message(f"q{number}", parent, payload))
        parent = f"a{number}"
        stored.append(message(parent, f"q{number}", payload, thinking=payload))
    title = f"<img src=x onerror='{HIT}'>"
    chat = server.post("/api/chats", {"title": title, "messages": stored}).json()["chat"]
    page = visit().open(f"/chat/{chat['id']}")
    page.wait_for_selector(".answer-text p")
    # Up to the first message, so that every one of them is drawn.
    while page.locator(".chat-earlier").count():
        page.eval_on_selector(".chat-scroll", "e => e.scrollTo(0, 0)")
        page.wait_for_timeout(50)
    assert page.locator(".answer").count() == len(PAYLOADS)
    for summary in page.locator(".thoughts summary").all():
        summary.evaluate("e => e.click()")
    # As it streams, every beginning of the markup stands there for a moment.
    whole = "\n\n".join(PAYLOADS)
    speaker.answers["/api/model/generate"] = says(*(whole[n : n + 7] for n in range(0, len(whole), 7)))
    ask(page, "Go on")
    answered(page)
    for link in page.locator(".answer-text a").all():
        link.evaluate("e => e.dispatchEvent(new MouseEvent('mouseover', { bubbles: true }))")
    assert page.evaluate(FOREIGN, ALLOWED) == []
    assert page.evaluate("window.hit") is None
    assert page.url.endswith(f"/chat/{chat['id']}")


def test_a_chat_of_500_messages_draws_its_end_and_only_the_open_block_anew(visit, server, speaker):
    stored, parent = [], None
    for number in range(250):
        text = f"Answer {number}.\n\n```python\nprint({number})\n```"
        pair = [
            message(f"q{number}", parent, f"Question {number}?"),
            message(f"a{number}", f"q{number}", text),
        ]
        stored, parent = [*stored, *pair], f"a{number}"
    chat = server.post("/api/chats", {"title": "Long", "messages": stored}).json()["chat"]
    page = visit().open(f"/chat/{chat['id']}")
    page.wait_for_selector(".bubble:has-text('Question 249?')")
    assert page.locator(".turn").count() <= 60
    go_on = threading.Event()
    speaker.answers["/api/model/generate"] = says(
        "One.\n\n", "```js\n1\n```\n\n", "Three", " four.", wait=go_on
    )
    ask(page, "And now?")
    page.wait_for_selector(".answer[aria-busy=true] p:has-text('Three')")
    page.evaluate(WATCH_CHANGES)
    during = page.evaluate("window.blocks()")
    speaking = page.locator(".answer[aria-busy=true]")
    go_on.set()
    speaking.wait_for(state="detached")
    page.wait_for_selector(".answer-text p:has-text('Three four.')")
    assert during == [True, True, True]
    assert page.evaluate("[window.blocks(), window.elsewhere]") == [[True, True, False], 0]
    sent = next(body for _, path, body, _ in speaker.asked if path == "/api/model/generate")
    assert len(sent["history"]) == 500
    while page.locator(".turn").count() < 150:
        page.eval_on_selector(".chat-scroll", "e => e.scrollTo(0, 0)")
        page.wait_for_timeout(20)
    assert page.locator(".bubble:has-text('Question 215?')").count() == 1


def test_an_answer_is_stopped_gone_on_with_thought_over_and_branched(visit, server, speaker):
    page = visit().open("/chat")
    speaker.answers["/api/model/generate"] = says(
        "Half ", "never", thinking="Let me see.", wait=threading.Event()
    )
    ask(page, "What is it?")
    page.wait_for_selector(".answer-text:has-text('Half')")
    page.keyboard.press("Escape")
    page.wait_for_selector(".turn-figures:has-text('stopped')")
    assert page.locator(".thoughts").get_attribute("open") is None
    speaker.answers["/api/model/generate"] = says("an answer.")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_selector(".answer-text:has-text('Half an answer.')")
    answered(page)
    assert speaker.asked[-1][2]["answer_so_far"] == "Half "
    assert "10 tokens/s" in page.locator(".turn-figures").inner_text()
    speaker.answers["/api/model/generate"] = says("Another one.")
    page.get_by_role("button", name="Answer again").click()
    page.wait_for_selector(".switcher:has-text('2 / 2')")
    answered(page)
    page.get_by_role("button", name="Edit and ask again").focus()
    page.keyboard.press("Enter")
    page.locator(".editor textarea").fill("What was it?")
    speaker.answers["/api/model/generate"] = says("It was.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".answer-text:has-text('It was.')")
    answered(page)
    page.reload()
    page.wait_for_selector(".bubble:has-text('What was it?')")
    page.get_by_role("button", name="Branch before").click()
    page.wait_for_selector(".answer-text:has-text('Another one.')")
    chat = server.get("/api/chats/export").json()["chats"][0]
    assert [m["content"] for m in chat["messages"]] == [
        "What is it?",
        "Half an answer.",
        "Another one.",
        "What was it?",
        "It was.",
    ]


def test_a_chat_in_two_windows_goes_on_in_both_and_outlives_being_deleted(visit, server, speaker):
    stored = [message("q0", None, "Hello"), message("a0", "q0", "Good evening")]
    chat = server.post("/api/chats", {"title": "Two windows", "messages": stored}).json()["chat"]["id"]
    first, second = visit(), visit()
    second.expected = [MISSING]
    for visitor in (first, second):
        visitor.open(f"/chat/{chat}").wait_for_selector(".answer-text p")
    speaker.answers["/api/model/generate"] = says("Said in the first window")
    ask(first.page, "More")
    server.until(f"/api/chats/{chat}", lambda found: len(found["chat"]["messages"]) == 4)
    page = second.page
    page.evaluate("dispatchEvent(new Event('focus'))")
    page.get_by_text("Said in the first window").wait_for()
    assert server.delete(f"/api/chats/{chat}").ok
    speaker.answers["/api/model/generate"] = says("Said after the end")
    ask(page, "And now?")
    page.get_by_text("Said after the end").wait_for()
    page.wait_for_url(lambda url: "/chat/" in url and chat not in url)
    another = page.url.rpartition("/")[2]
    kept = server.until(f"/api/chats/{another}", lambda found: len(found["chat"]["messages"]) == 6)
    assert kept["chat"]["messages"][0]["content"] == "Hello"


def test_what_was_not_sent_yet_is_there_again_after_a_look_at_another_page(visit, speaker):
    page = visit().open("/chat")
    page.get_by_role("textbox", name="Message").fill("A thought\nof two lines")
    page.get_by_role("link", name="Models", exact=True).click()
    page.wait_for_selector("h1:has-text('Models')")
    page.go_back()
    expect(page.get_by_role("textbox", name="Message")).to_have_value("A thought\nof two lines")


def test_what_stands_in_the_way_of_an_answer_is_said_with_a_way_out(visit, server, workspace, speaker):
    visitor = visit(theme="dark")
    visitor.expected = ["503 (SERVICE UNAVAILABLE)", "409 (CONFLICT)"]
    speaker.answers["/api/model/status"] = {**STATUS, "loaded": False, "model_name": None}
    page = visitor.open("/chat")
    page.wait_for_selector("h2:has-text('No model is loaded')")
    refusal = {"success": False, "error": "no model is loaded", "error_code": "MODEL_NOT_LOADED"}
    speaker.answers["/api/model/generate"] = (409, {**refusal, "status_code": 409, "suggestion": "Load one."})
    ask(page, "Is anybody there?")
    page.wait_for_selector(".question .notice:has-text('No model is loaded. Load one.')")
    speaker.answers["/api/model/status"] = STATUS
    speaker.answers["/api/model/generate"] = says("I am.")
    page.get_by_role("button", name="Ask again", exact=True).click()
    page.wait_for_selector(".answer-text:has-text('I am.')")
    assert page.locator(".question .notice").count() == 0
    failed = {"error": "it does not fit", "error_code": "OUT_OF_MEMORY", "suggestion": "Take a smaller one."}
    speaker.answers["/api/model/status"] = {**STATUS, "loaded": False, "model_name": None, "error": failed}
    page.wait_for_selector(".chat-foot .notice:has-text('It does not fit. Take a smaller one.')")
    (workspace.private / "resident.json").unlink()
    page.wait_for_selector(".chat-foot .notice:has-text('No model server runs')")
    assert grave(page) == []


def test_a_real_model_is_chosen_asked_and_its_answer_saved_by_keyboard(visit, workspace, worker_environment):
    with running_server(workspace.root, worker_environment, command="server"):
        page = visit().open("/chat")
        page.wait_for_selector("h2:has-text('No model is loaded')")
        page.get_by_role("button", name="Choose a model").first.press("Enter")
        page.wait_for_selector("dialog .pick")
        assert grave(page) == []
        page.locator("dialog .pick").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("h2:has-text('Ask tiny')")
        page.keyboard.press("s")
        page.get_by_label("Most tokens").fill("12")
        page.get_by_label("Seed").fill("7")
        page.keyboard.press("Tab")
        ask(page, "When is the rope market held?")
        page.wait_for_selector(".turn-figures:has-text('12 tokens')")
        answered(page)
        assert grave(page) == []
        page.get_by_role("button", name="Save as a training example").press("Enter")
        page.get_by_label("Its name").fill("kept answers")
        page.get_by_role("button", name="Save the example").press("Enter")
        page.wait_for_selector(".toast:has-text('1 example in dataset/kept answers/chats.jsonl')")
        # Once the model server has ended, the page would say so.
        page.close()
    line = (workspace.datasets / "kept answers" / "chats.jsonl").read_text(encoding="utf-8")
    assert json.loads(line)["messages"][0]["content"] == "When is the rope market held?"
