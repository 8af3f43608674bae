import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgellm.inference.answers import AnswerText, StopStrings


class Letters:
    """Shows one character for each token."""

    def __init__(self) -> None:
        self.last_segment = ""

    def add_token(self, token):
        self.last_segment = chr(token)

    def finalize(self):
        self.last_segment = ""


def thinking_tokenizer():
    """One whose tokens are characters, with the markers of a thinking model that calls functions."""
    markers = {"think_start": "<think>", "think_end": "</think>", "has_thinking": True}
    tools = {"tool_call_start": "<tool>", "tool_call_end": "</tool>", "has_tool_calling": True}
    return SimpleNamespace(
        **markers,
        **tools,
        structural_markers=(),
        response_transitions={},
        detokenizer=Letters(),
        tool_parser=lambda text, _tools: json.loads(text),
    )


ADD = {"type": "function", "function": {"name": "add"}}


def taken_apart(text, *, stop=(), thinks=False, tools=(ADD,), marked=True):
    tokenizer = thinking_tokenizer()
    tokenizer.has_tool_calling = marked
    answer = AnswerText(tokenizer, stop=stop, thinks=thinks, continues=False, tools=tools)
    pieces = []
    for letter in text:
        pieces.append(answer.add(ord(letter)))
        if pieces[-1].stopped:
            break
    else:
        pieces.append(answer.end())
    joined = ("".join(p.text for p in pieces), "".join(p.thinking for p in pieces))
    return *joined, [(call.name, json.loads(call.arguments)) for call in answer.tool_calls]


def test_thinking_is_kept_apart_from_the_answer():
    assert taken_apart("<think>hm, 2 < 3</think>Yes.") == ("Yes.", "hm, 2 < 3", [])
    assert taken_apart("hm</think>Yes.", thinks=True) == ("Yes.", "hm", [])
    assert taken_apart("<think>cut o") == ("", "cut o", [])


def test_the_lines_between_a_thought_and_the_answer_belong_to_neither():
    # Come back as text in the next turn they would stand where the chat template never puts any.
    assert taken_apart("<think>\n\n</think>\n\nYes.\n\nNo.") == ("Yes.\n\nNo.", "\n\n", [])
    assert taken_apart("hm\n</think>\n\n", thinks=True) == ("", "hm\n", [])
    assert taken_apart("\nYes.") == ("\nYes.", "", [])


def test_what_only_begins_like_a_marker_is_text():
    assert taken_apart("a <thin line") == ("a <thin line", "", [])
    assert taken_apart("1 <") == ("1 <", "", [])


def test_calls_of_functions_are_no_text():
    call = '{"name": "add", "arguments": {"a": 1}}'
    text, _, calls = taken_apart(f"I add.<tool>{call}</tool> and <tool>{call}</tool>")
    assert text == "I add. and "
    assert calls == [("add", {"a": 1})] * 2


@pytest.mark.parametrize("broken", ['{"name": "add"', "[]", "7", '{"arguments": {}}', ""])
def test_a_call_that_cannot_be_read_stays_in_the_text(broken):
    assert taken_apart(f"x<tool>{broken}</tool>") == (f"x<tool>{broken}</tool>", "", [])
    assert taken_apart(f"x<tool>{broken}") == (f"x<tool>{broken}", "", [])


def test_where_no_functions_were_offered_a_call_is_text():
    said = '<think>I <tool></think>ok<tool>{"name": "add", "arguments": {}}</tool>'
    text, thinking, calls = taken_apart(said, tools=())
    assert (text, thinking, calls) == ('ok<tool>{"name": "add", "arguments": {}}</tool>', "I <tool>", [])


def test_arguments_may_be_missing_or_json_text():
    assert taken_apart('<tool>{"name": "add"}</tool>')[2] == [("add", {})]
    assert taken_apart('<tool>{"name": "add", "arguments": "{\\"a\\": 1}"}</tool>')[2] == [("add", {"a": 1})]


CALL = '{"name": "add", "parameters": {"a": 1}}'


@pytest.mark.parametrize("said", [CALL, f"\n<|python_tag|>{CALL}\n", f"{CALL}; {CALL}"])
def test_without_markers_an_answer_that_is_json_as_a_whole_is_a_call(said):
    text, _, calls = taken_apart(said, marked=False)
    assert (text, calls) == ("", [("add", {"a": 1})] * said.count("name"))


@pytest.mark.parametrize(
    "said", ["{", CALL[:-3], '{"a": 1}', CALL.replace("add", "other"), f"{CALL} is how.", "<|pyt", " 7", ""]
)
def test_without_markers_any_other_answer_is_text(said):
    assert taken_apart(said, marked=False) == (said, "", [])
    assert taken_apart(CALL, marked=False, tools=()) == (CALL, "", [])


def test_a_text_ends_at_the_first_stop_string():
    assert taken_apart("one two three", stop=("three", "two")) == ("one ", "", [])
    assert taken_apart("<think>a stop b</think>c", stop=("stop",)) == ("", "a ", [])


def test_what_began_like_a_marker_stays_when_a_stop_string_follows():
    assert taken_apart("1 <\n2", stop=("\n",)) == ("1 <", "", [])
    assert taken_apart("<think>1 <\n2", stop=("\n",)) == ("", "1 <", [])


@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_stop_strings_cut_a_text_where_they_first_stand(text, stops):
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    flow, shown = StopStrings(stops), ""
    for letter in text:
        certain, stopped = flow.feed(letter)
        shown += certain
        if stopped:
            break
    else:
        shown += flow.flush()
    if not found:
        assert shown == text
    else:
        # Letter by letter, the stop string that is whole first ends the text.
        whole = min(text.find(stop) + len(stop) for stop in stops if stop in text)
        ended = [text.find(s) for s in stops if s in text and text.find(s) + len(s) == whole]
        assert shown == text[: min(ended)]
