"""The conversation at a terminal, with a server that says what is wanted; once with a real model."""

import threading

import pytest

from tests.cli.conftest import COMMAND
from tests.cli.terminals import CTRL_C, CTRL_D, Terminal
from tests.inference.conftest import FORMS, make_adapter
from tests.inference.speaker import FINISH, STATUS, Speaker, serving

GENERATE = "/api/model/generate"


@pytest.fixture
def speaker():
    made = Speaker()
    made.answers["/api/model/load"] = {"success": True}
    made.answers[GENERATE] = [{"text": "Every Monday."}, {"done": True, **FINISH}]
    with serving(made) as url:
        made.url = url
        yield made


@pytest.fixture
def open_terminal(workspace, worker_environment):
    terminals = []

    def begin(*arguments):
        command = [*COMMAND, "cli", "generate", *arguments]
        terminals.append(Terminal(command, cwd=workspace.root, environment=worker_environment))
        terminals[-1].until(">>> ")
        return terminals[-1]

    yield begin
    for terminal in terminals:
        terminal.__exit__()


@pytest.fixture
def terminal(speaker, open_terminal):
    return open_terminal("--server", speaker.url)


def asked(speaker):
    """The bodies of all questions."""
    return [body for _, path, body, _ in speaker.asked if path == GENERATE]


def ask(terminal, line):
    """Enter it; all that is shown up to the next prompt, without the line itself."""
    terminal.say(line)
    terminal.until("\n")
    return terminal.until(">>> ").removesuffix(">>> ")


def test_a_conversation_goes_on_with_all_that_was_said(terminal, speaker):
    assert ask(terminal, "When?") == "Every Monday.\n"
    ask(terminal, "And then?")
    assert [turn["content"] for turn in asked(speaker)[1]["history"]] == ["When?", "Every Monday."]
    terminal.say("/q")
    assert terminal.end() == 0


@pytest.mark.parametrize("leaving", ["/q\n", "/exit\n", CTRL_D])
def test_leaving_ends_the_command(terminal, leaving):
    terminal.type(leaving)
    assert terminal.end() == 0
    assert "Traceback" not in terminal.seen


def test_help_names_every_command(terminal):
    said = ask(terminal, "/help")
    for word in "help q exit stats system clear set show retry undo edit save load adapter compare".split():
        assert f"  /{word} " in said


def test_the_system_prompt_and_the_settings_are_sent(terminal, speaker):
    assert "Be brief." in ask(terminal, "/system Be brief.")
    assert "0.25" in ask(terminal, "/set temperature 0.25")
    ask(terminal, "When?")
    assert asked(speaker)[0]["history"] == [{"role": "system", "content": "Be brief."}]
    assert asked(speaker)[0]["temperature"] == 0.25
    shown = ask(terminal, "/show")
    assert "models/base/tiny (instruct, context of 512 tokens)" in shown
    assert "System prompt: Be brief." in shown
    assert "> When?\nEvery Monday." in shown


def test_what_cannot_be_set_is_explained_and_the_conversation_goes_on(terminal):
    assert "temperature is a number from 0 to 10" in ask(terminal, "/set temperature hot")
    assert "/help lists them" in ask(terminal, "/nothing")
    assert ask(terminal, "When?") == "Every Monday.\n"


def test_a_question_is_answered_again_taken_back_or_put_otherwise(terminal, speaker):
    ask(terminal, "When?")
    ask(terminal, "/retry")
    assert [body["history"] for body in asked(speaker)] == [[], []]
    assert ask(terminal, "/edit Where?") == "Every Monday.\n"
    assert (asked(speaker)[2]["prompt"], asked(speaker)[2]["history"]) == ("Where?", [])
    assert "Taken back: Where?" in ask(terminal, "/undo")
    assert "nothing to answer again" in ask(terminal, "/retry")


def test_editing_begins_with_the_last_question(terminal, speaker):
    ask(terminal, "When?")
    terminal.say("/edit")
    terminal.until("edit> When?")
    terminal.type(" And where?\n")
    terminal.until(">>> ")
    assert asked(speaker)[1]["prompt"] == "When? And where?"


def test_several_lines_are_one_question(terminal, speaker):
    terminal.say('"""one')
    terminal.until("... ")
    terminal.say("/two")
    terminal.until("... ")
    ask(terminal, 'three"""')
    assert asked(speaker)[0]["prompt"] == "one\n/two\nthree"


def test_the_figures_of_the_session_are_added_up(terminal):
    assert "Nothing" in ask(terminal, "/stats")
    ask(terminal, "When?")
    ask(terminal, "And then?")
    said = ask(terminal, "/stats")
    assert "2 in 1.0 s" in said
    assert "8 answered, 40 of prompts (24 known" in said
    assert "10.0 on average" in said


def test_a_conversation_can_be_saved_and_gone_on_with(terminal, speaker, workspace, open_terminal):
    ask(terminal, "When?")
    assert "one.json" in ask(terminal, "/save one")
    assert "already" not in ask(terminal, "/save one")
    assert "cannot name" in ask(terminal, "/save ../../one")
    later = open_terminal("--server", speaker.url)
    assert "one" in ask(later, "/load")
    ask(later, "/load one")
    ask(later, "And then?")
    assert [turn["content"] for turn in asked(speaker)[1]["history"]] == ["When?", "Every Monday."]
    assert (workspace.private / "chats" / "one.json").is_file()


def test_what_was_asked_comes_back_another_time(terminal, speaker, workspace, open_terminal):
    ask(terminal, "When was that?")
    terminal.say("/q")
    terminal.end()
    history = workspace.private / "chat_history"
    assert history.stat().st_mode & 0o077 == 0
    later = open_terminal("--server", speaker.url)
    later.type("\x1b[A\x1b[A")
    later.until("When was that?")


def test_ctrl_c_stops_the_answer_and_not_the_conversation(terminal, speaker):
    proceed = threading.Event()

    def endless():
        while True:
            yield {"text": "on and on "}
            proceed.wait(0.01)

    speaker.answers[GENERATE] = endless()
    terminal.say("Tell me.")
    terminal.until("on and on on and on")
    terminal.type(CTRL_C)
    terminal.until("[stopped]")
    assert speaker.left.wait(5)
    speaker.answers[GENERATE] = [{"text": "Yes."}, {"done": True, **FINISH}]
    terminal.until(">>> ")
    assert ask(terminal, "Still there?") == "Yes.\n"
    assert asked(speaker)[1]["history"][1]["content"].startswith("on and on")


def test_ctrl_c_at_the_prompt_forgets_the_line_and_says_how_to_leave(terminal, speaker):
    terminal.type("half a quest")
    terminal.until("half a quest")
    terminal.press_until(CTRL_C, "Ctrl-D or /q leaves.")
    terminal.until(">>> ")
    assert ask(terminal, "When?") == "Every Monday.\n"
    assert asked(speaker)[0]["prompt"] == "When?"


def test_a_thought_is_told_apart_and_control_characters_do_not_reach_the_terminal(terminal, speaker):
    speaker.answers[GENERATE] = [
        {"text": "", "thinking": "Hm."},
        {"text": "Now\x1b]0;pwned\x07 or never.", "thinking": ""},
        {"done": True, **FINISH},
    ]
    assert ask(terminal, "When?") == "Hm.\n\nNow]0;pwned or never.\n"


def test_an_answer_that_was_cut_says_how_to_get_more(terminal, speaker):
    speaker.answers[GENERATE] = [{"text": "Every"}, {"done": True, **FINISH, "finish_reason": "length"}]
    assert "[cut after 4 tokens: /set max_tokens]" in ask(terminal, "When?")


def test_a_failure_is_shown_and_the_question_can_be_asked_again(terminal, speaker):
    whole = speaker.answers[GENERATE]
    speaker.answers[GENERATE] = (503, {"error": "3 requests wait", "error_code": "MODEL_BUSY"})
    assert "Error: 3 requests wait" in ask(terminal, "When?")
    speaker.answers[GENERATE] = whole
    assert ask(terminal, "/retry") == "Every Monday.\n"


def test_a_base_model_goes_on_with_the_text(speaker, open_terminal):
    speaker.answers["/api/model/status"] = {**STATUS, "model_type": "base"}
    terminal = open_terminal("--server", speaker.url)
    ask(terminal, "The town of")
    ask(terminal, "/set mode chat")
    ask(terminal, "When?")
    assert [body["is_base_model"] for body in asked(speaker)] == [True, False]


def test_base_and_adapter_are_compared_on_a_real_model(open_terminal, workspace, tiny_model):
    folder = workspace.models / "cpt" / "mine"
    folder.mkdir(parents=True)
    make_adapter(tiny_model, folder, FORMS["lora"])
    terminal = open_terminal("--model", "models/base/tiny", "--max-tokens", "6", "--temperature", "0")
    base = ask(terminal, "When?").splitlines()[0]
    assert "There is no adapter" in ask(terminal, "/compare")
    assert "models/cpt/absent" in ask(terminal, "/adapter models/cpt/absent")
    assert "models/base/tiny + models/cpt/mine (instruct" in ask(terminal, "/adapter models/cpt/mine")
    _, before, after = ask(terminal, "/compare").split("--- ")
    assert before.splitlines()[:2] == ["models/base/tiny", base]
    assert after.splitlines()[0] == "models/cpt/mine"
    assert after.splitlines()[1] != base
    assert ask(terminal, "/adapter none").startswith("models/base/tiny (instruct")
    terminal.type(CTRL_D)
    assert terminal.end() == 0
