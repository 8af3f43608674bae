import pytest

from forgellm.cli.answers import Reply
from forgellm.cli.chats import Chats
from forgellm.cli.conversation import Conversation
from forgellm.domain.chat import Finish
from forgellm.domain.errors import InvalidField, PathNotFound

DONE = Finish("stop", 10, 0, 3, 0.1, 0.2, 20.0)


def talk(conversation, *pairs):
    for question, text in pairs:
        conversation.ask(question)
        conversation.add(question, Reply(text, "", DONE))


@pytest.fixture
def chat():
    made = Conversation(completes=False, system="Be brief.")
    talk(made, ("A", "a"), ("B", "b"))
    return made


def roles_and_words(request):
    return [(message.role, message.content) for message in request.messages]


def test_a_question_is_asked_after_all_that_was_said(chat):
    assert roles_and_words(chat.ask("C")) == [
        ("system", "Be brief."),
        ("user", "A"),
        ("assistant", "a"),
        ("user", "B"),
        ("assistant", "b"),
        ("user", "C"),
    ]


def test_a_completion_goes_on_with_its_own_text_alone(chat):
    chat.set("mode", "complete")
    request = chat.ask("The town of")
    assert (request.prompt, request.messages) == ("The town of", ())


def test_undo_takes_the_last_question_back_with_its_answer(chat):
    assert chat.undo() == "B"
    assert roles_and_words(chat.ask("C"))[-2:] == [("assistant", "a"), ("user", "C")]


def test_a_question_without_an_answer_is_taken_back_alone(chat):
    chat.ask("C")
    chat.add("C", Reply("", "", None))
    assert chat.last()[0] == "C"
    assert chat.undo() == "C"
    assert chat.undo() == "B"
    assert [chat.undo(), chat.undo()] == ["A", None]


def test_an_answer_that_was_stopped_is_kept_as_far_as_it_came(chat):
    chat.ask("C")
    chat.add("C", Reply("half an ans", "", None))
    assert roles_and_words(chat.ask("D"))[-2:] == [("assistant", "half an ans"), ("user", "D")]


def test_clearing_keeps_the_system_prompt_and_the_settings(chat):
    chat.set("temperature", "0.25")
    chat.clear()
    request = chat.ask("C")
    assert roles_and_words(request) == [("system", "Be brief."), ("user", "C")]
    assert request.sampling.temperature == 0.25


def test_settings_reach_the_request_and_can_be_taken_back(chat):
    chat.set("seed", "7")
    chat.set("stop", "\n")
    chat.set("stop", "END")
    request = chat.ask("C")
    assert (request.sampling.seed, request.stop) == (7, ("\n", "END"))
    chat.set("seed", "none")
    chat.set("stop", "none")
    request = chat.ask("C")
    assert (request.sampling.seed, request.stop) == (None, ())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("temperature", "hot"),
        ("temperature", "-1"),
        ("temperature", "nan"),
        ("top_p", "0"),
        ("max_tokens", "0"),
        ("max_tokens", "1.5"),
        ("mode", "talk"),
        ("tempeature", "1"),
        ("max_tokens", "none"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_its_name(chat, name, text):
    before = chat.settings()
    with pytest.raises(InvalidField, match=name):
        chat.set(name, text)
    assert chat.settings() == before


def test_a_saved_conversation_goes_on_as_it_was(chat, tmp_path):
    chat.set("seed", "3")
    chat.set("stop", "none of it")
    Chats(tmp_path / "chats").save("one", chat.as_values())
    chats, other = Chats(tmp_path / "chats"), Conversation(completes=True)
    assert chats.names() == ["one"]
    other.restore(chats.load("one"))
    assert other.ask("C") == chat.ask("C")


@pytest.mark.parametrize(
    "values",
    [
        [],
        {},
        None,
        {"system": None, "settings": {}, "turns": []},
        {"system": None, "settings": {"stop": [], "mode": "chat"}, "turns": [{"question": "A"}]},
    ],
)
def test_what_is_no_conversation_changes_nothing(chat, values):
    before = chat.as_values()
    with pytest.raises(InvalidField):
        chat.restore(values)
    assert chat.as_values() == before


def test_a_saved_conversation_is_not_written_over_by_another(chat, tmp_path):
    mine = Chats(tmp_path)
    mine.save("one", chat.as_values())
    mine.save("one", chat.as_values())
    with pytest.raises(InvalidField, match="already"):
        Chats(tmp_path).save("one", {})


@pytest.mark.parametrize("name", ["../one", "", "a/b", ".hidden", "x" * 101])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(InvalidField):
        Chats(tmp_path).save(name, {})


def test_a_damaged_or_missing_conversation_is_named(tmp_path):
    (tmp_path / "torn.json").write_text('{"system":')
    with pytest.raises(InvalidField, match="torn"):
        Chats(tmp_path).load("torn")
    with pytest.raises(PathNotFound, match="absent"):
        Chats(tmp_path).load("absent")
