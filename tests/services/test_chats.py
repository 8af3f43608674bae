"""Chats on the server: their trees, what survives a kill, searching, and examples to train on."""

import json
import threading

import pytest

from forgellm.data.example_files import row_files
from forgellm.data.records import read_examples
from forgellm.domain.chat import Message
from forgellm.domain.errors import ChatNotFound, InvalidField, PresetNotFound
from forgellm.services import chat_presets, chats
from forgellm.services.examples import save_example
from forgellm.storage.chats import ChatMessage, find_head, list_heads, read_messages, restore_chat, trash_chat
from forgellm.storage.decisions import Decisions


def message(id, parent=None, *, role="user", content="", **more):
    return ChatMessage(id=id, parent=parent, role=role, content=content or id, created="", **more)


def started(forge, *messages, title="A chat"):
    return chats.start(forge, title=title, settings={}, messages=messages, leaf=None)


def contents(forge, chat):
    return {m.id: m.content for m in read_messages(forge.workspace, chat.id)}


def test_an_edited_question_is_another_branch_and_the_first_one_stays(forge):
    chat = started(forge, message("q"), message("a", "q", role="assistant"))
    after = chats.add(forge, chat.id, [message("q2"), message("a2", "q2", role="assistant")])
    assert (after.leaf, after.messages) == ("a2", 4)
    assert chats.change(forge, chat.id, chats.Change(leaf="a")).leaf == "a"
    assert set(contents(forge, chat)) == {"q", "a", "q2", "a2"}


def test_an_answer_that_goes_on_takes_the_place_of_what_it_was(forge):
    chat = started(forge, message("q"), message("a", "q", role="assistant", content="One"))
    after = chats.add(forge, chat.id, [message("a", "q", role="assistant", content="One and two")])
    assert after.messages == 2
    assert contents(forge, chat)["a"] == "One and two"


@pytest.mark.parametrize(
    "wrong",
    [
        message("x", "nobody"),
        message("x", "x"),
        message("x", "q", role="assistant", beside="nobody"),
        message("a", None, role="assistant"),
        message("a", "q"),
    ],
)
def test_a_message_that_hangs_on_nothing_or_becomes_another_is_refused(forge, wrong):
    chat = started(forge, message("q"), message("a", "q", role="assistant"))
    with pytest.raises(InvalidField):
        chats.add(forge, chat.id, [wrong])
    assert len(contents(forge, chat)) == 2


def test_two_windows_that_write_at_once_lose_nothing(forge):
    chat = started(forge, message("root"))
    windows = [
        threading.Thread(
            target=lambda w=w: [chats.add(forge, chat.id, [message(f"{w}-{n}", "root")]) for n in range(10)]
        )
        for w in range(4)
    ]
    for window in windows:
        window.start()
    for window in windows:
        window.join()
    assert len(contents(forge, chat)) == 41
    assert find_head(forge.workspace, chat.id).messages == 41


def test_a_line_that_a_kill_cut_off_costs_that_message_alone(forge):
    chat = started(forge, message("q"), message("a", "q", role="assistant"))
    with open(forge.workspace.private / "chats" / chat.id / "messages.jsonl", "ab") as file:
        file.write(b'{"id": "torn", "parent": "a", "role": "us')
    assert set(contents(forge, chat)) == {"q", "a"}
    chats.add(forge, chat.id, [message("next", "a")])
    assert set(contents(forge, chat)) == {"q", "a", "next"}


def test_what_somebody_else_wrote_there_is_no_chat(forge):
    folder = forge.workspace.private / "chats"
    for name, text in (("chat_20250101_000000", "[]"), ("chat_20250101_000001", "{"), ("other", "{}")):
        (folder / name).mkdir(parents=True)
        (folder / name / "chat.json").write_text(text)
    assert list_heads(forge.workspace) == []
    for name in ("../x", "chat_20250101_000000", "chat_20250101_000009", ""):
        with pytest.raises(ChatNotFound):
            find_head(forge.workspace, name)


def test_the_search_finds_words_in_titles_and_texts(forge):
    first = started(forge, message("q", content="Where does the River Mersow end?"), title="Rivers")
    second = started(forge, message("q", content="Ünder the bridge"), title="Bridges")
    found = list(chats.search(forge, "river END"))
    assert [one.head.id for one in found] == [first.id]
    assert "Mersow" in found[0].excerpt
    assert [one.head.id for one in chats.search(forge, "ünder bridges")] == [second.id]
    assert [one.head.id for one in chats.search(forge, "")] == [second.id, first.id]
    assert list(chats.search(forge, "lighthouse")) == []


def test_a_deleted_chat_comes_back_as_it_was(forge):
    chat = started(forge, message("q"))
    trash_chat(forge.workspace, chat.id)
    assert list_heads(forge.workspace) == []
    with pytest.raises(ChatNotFound):
        trash_chat(forge.workspace, chat.id)
    assert started(forge, message("q")).id != chat.id
    assert restore_chat(forge.workspace, chat.id).title == "A chat"
    with pytest.raises(ChatNotFound):
        restore_chat(forge.workspace, chat.id)


def test_a_saved_exchange_is_an_example_that_training_reads(forge):
    turns = [Message("system", "Be brief."), Message("user", "Who?\n“Me”"), Message("assistant", "You.")]
    assert save_example(forge, "good answers", turns) == 1
    assert save_example(forge, "good answers", turns[1:]) == 2
    files = row_files(forge.workspace.datasets / "good answers")
    examples = list(read_examples(files, decisions=Decisions()))
    assert [example.messages for example in examples] == [tuple(turns), tuple(turns[1:])]
    assert save_example(forge, "questions", turns) == 1


@pytest.mark.parametrize("name", ["../x", ".hidden", "a/b", "", " a", "x" * 90, "domain"])
def test_no_example_goes_where_none_belongs(forge, name):
    with pytest.raises(InvalidField):
        save_example(forge, name, [Message("user", "Q"), Message("assistant", "A")])


@pytest.mark.parametrize(
    "roles", [["user"], ["assistant"], ["user", "user"], ["system", "assistant"], ["system"]]
)
def test_what_ends_with_no_answer_is_no_example(forge, roles):
    with pytest.raises(InvalidField):
        save_example(forge, "mine", [Message(role, "text") for role in roles])
    with pytest.raises(InvalidField):
        save_example(forge, "mine", [Message("user", "Q"), Message("assistant", " ")])
    assert not (forge.workspace.datasets / "mine").exists()


def test_chat_presets_lie_beside_those_of_training(forge):
    chat_presets.save(forge, "Mine", description="", values={"system_prompt": "Be brief."})
    assert chat_presets.presets(forge)[-1].values == {"system_prompt": "Be brief."}
    kept = json.loads((forge.workspace.private / "presets" / "chat.json").read_text())
    assert list(kept) == ["Mine"]
    with pytest.raises(InvalidField):
        chat_presets.save(forge, "Exact", description="", values={})
    chat_presets.remove(forge, "Mine")
    with pytest.raises(PresetNotFound):
        chat_presets.remove(forge, "Mine")
