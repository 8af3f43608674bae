"""The routes of chats, asked as a client asks them."""

import requests

MESSAGES = [
    {"id": "q", "role": "user", "content": "Who are you?"},
    {
        "id": "a",
        "parent": "q",
        "role": "assistant",
        "content": "A model.",
        "facts": {"model_name": "m", "finish_reason": "stop", "tokens_per_second": 12.5},
    },
]


def ask(url, method, path, body=None, *, status=200):
    answer = requests.request(method, url + path, json=body, timeout=10)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_chat_that_was_exported_is_taken_in_as_it_was(url):
    settings = {"system_prompt": "Be brief.", "parameters": {"seed": 7, "stop": ["END"]}}
    chat = {"title": "First", "settings": settings, "messages": MESSAGES}
    made = ask(url, "POST", "/api/chats", chat)["chat"]
    assert (made["title"], made["messages"]) == ("First", 2)
    exported = ask(url, "GET", "/api/chats/export")["chats"][0]
    taken = {key: exported[key] for key in ("title", "settings", "leaf", "messages")}
    again = ask(url, "POST", "/api/chats", taken)["chat"]
    shown = ask(url, "GET", f"/api/chats/{again['id']}")["chat"]
    assert {key: shown[key] for key in taken} == taken
    assert shown["settings"]["parameters"]["seed"] == 7
    assert shown["messages"][1]["facts"]["tokens_per_second"] == 12.5


def test_a_chat_is_changed_searched_and_deleted(url):
    made = ask(url, "POST", "/api/chats", {"messages": MESSAGES})["chat"]
    path = f"/api/chats/{made['id']}"
    more = {"id": "q2", "role": "user", "content": "And the harbour?"}
    ask(url, "POST", f"{path}/messages", {"messages": [more]})
    ask(url, "PATCH", path, {"title": "Harbours", "leaf": "a"})
    shown = ask(url, "GET", path)["chat"]
    assert (shown["title"], shown["leaf"], len(shown["messages"])) == ("Harbours", "a", 3)
    found = ask(url, "GET", "/api/chats?q=the+harbour")["chats"]
    assert [(one["id"], one["excerpt"]) for one in found] == [(made["id"], "And the harbour?")]
    ask(url, "DELETE", path)
    assert ask(url, "GET", path, status=404)["error_code"] == "CHAT_NOT_FOUND"
    assert ask(url, "POST", f"{path}/restore")["chat"]["title"] == "Harbours"


def test_what_no_chat_can_have_is_refused(url):
    for wrong in (
        {"messages": [{"id": "a b", "role": "user", "content": ""}]},
        {"messages": [{"id": "a", "role": "tool", "content": ""}]},
        {"messages": [{"id": "a", "parent": "z", "role": "user", "content": ""}]},
        {"messages": MESSAGES, "leaf": "z"},
        {"settings": {"parameters": {"temperature": -1}}},
        {"settings": {"colour": "red"}},
        {"title": "x" * 201},
    ):
        assert ask(url, "POST", "/api/chats", wrong, status=400)["error_code"] == "INVALID_FIELD"
    assert ask(url, "GET", "/api/chats")["chats"] == []


def test_presets_of_chats_are_kept_and_examples_saved(url):
    values = {"system_prompt": "Be brief.", "parameters": {"temperature": 0}}
    ask(url, "PUT", "/api/chats/presets/Mine", {"values": values})
    kept = ask(url, "GET", "/api/chats/presets")["presets"][-1]
    assert (kept["name"], kept["values"]["parameters"]["temperature"], kept["built_in"]) == ("Mine", 0, False)
    ask(url, "DELETE", "/api/chats/presets/Mine")
    turns = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    saved = ask(url, "POST", "/api/datasets/mine/examples", {"messages": turns})
    assert (saved["file"], saved["examples"]) == ("dataset/mine/chats.jsonl", 1)
