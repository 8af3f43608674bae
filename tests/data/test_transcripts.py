"""Who says what in a plain transcript, and where a conversation ends."""

from __future__ import annotations

import pytest

from forgellm.data.transcripts import extract_conversations
from forgellm.domain.errors import InvalidField

SPEECH = (
    ("user", "Hello?"),
    ("assistant", "Yes.\n\nTwo paragraphs."),
    ("user", "And?"),
    ("assistant", "Done."),
)

USUAL = {
    "bold": (
        "**User**: Hello?\n\n**Assistant**: Yes.\n\nTwo paragraphs.\n\n**User**: And?\n**Assistant**: Done.\n"
    ),
    "bold with the colon inside": (
        "**Human:** Hello?\n**AI:** Yes.\n\nTwo paragraphs.\n**Human:** And?\n**AI:** Done.\n"
    ),
    "plain": "Human: Hello?\nAssistant: Yes.\n\nTwo paragraphs.\nHuman: And?\nAssistant: Done.",
    "upper case": "USER: Hello?\nASSISTANT: Yes.\n\nTwo paragraphs.\nUSER: And?\nASSISTANT: Done.",
    "questions": "Q: Hello?\nA: Yes.\n\nTwo paragraphs.\n\nQ: And?\nA: Done.",
    "headings": (
        "# Chat\n\n## User\n\nHello?\n\n## ChatGPT\n\nYes.\n\nTwo paragraphs.\n\n## User\nAnd?\n"
        "## ChatGPT\nDone."
    ),
    "headings with a colon": (
        "### Human:\nHello?\n### Assistant:\nYes.\n\nTwo paragraphs.\n### Human:\nAnd?\n### Assistant:\nDone."
    ),
    "with times": (
        "[10:31] You: Hello?\n[10:32] Bot: Yes.\n\nTwo paragraphs.\nYou (10:33): And?\nBot (10:34): Done."
    ),
    "with rules between all turns": (
        "**You:**\nHello?\n\n---\n\n**ChatGPT:**\nYes.\n\nTwo paragraphs.\n\n---\n\n**You:**\nAnd?\n\n---\n\n"
        "**ChatGPT:**\nDone.\n"
    ),
    "tags": (
        "<|user|>\nHello?\n<|assistant|>\nYes.\n\nTwo paragraphs.<|end|>\n<|user|>\nAnd?\n"
        "<|assistant|>\nDone.<|end|>"
    ),
    "ChatML": (
        "<|im_start|>user\nHello?<|im_end|>\n<|im_start|>assistant\nYes.\n\nTwo paragraphs.<|im_end|>\n"
        "<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\nDone.<|im_end|>\n"
    ),
}


def said(text, patterns=None):
    return [tuple((m.role, m.content) for m in one) for one in extract_conversations(text, patterns)]


@pytest.mark.parametrize("name", USUAL)
def test_the_usual_ways_to_write_a_conversation_are_recognised(name):
    assert said(USUAL[name]) == [SPEECH]


def test_names_may_be_given_and_are_no_patterns_of_another_language():
    text = "Tom (1.): Hello?\nAda> Yes.\n\nTwo paragraphs.\nUser: nobody\nTom (1.): And?\nAda> Done."
    wanted = (SPEECH[0], ("assistant", "Yes.\n\nTwo paragraphs.\nUser: nobody"), *SPEECH[2:])
    assert said(text, {"user": ["Tom (1.):"], "assistant": ["Ada>"]}) == [wanted]


@pytest.mark.parametrize("patterns", [{}, {"user": []}, {"human": ["a"]}, {"user": [" "]}])
def test_patterns_without_a_role_or_a_text_are_refused(patterns):
    with pytest.raises(InvalidField, match="say by role how turns begin"):
        said("User: a\nAssistant: b", patterns)


def test_what_looks_like_a_speaker_inside_an_answer_is_part_of_it():
    text = (
        "**User**: How?\n**Assistant**: So:\n\n```\nUser: x\n**User**: y\n```\n\nAnswer: 3\n\n"
        "**User**: Ah.\n**Assistant**: Yes."
    )
    [conversation] = said(text)
    assert conversation[1] == ("assistant", "So:\n\n```\nUser: x\n**User**: y\n```\n\nAnswer: 3")


def test_a_rule_or_a_title_before_a_question_begins_another_conversation():
    ruled = "User: a\nAssistant: b\nUser: c\nAssistant: d\n\n---\n\nUser: e\nAssistant: f"
    titled = "# One\n\nUser: a\nAssistant: b\n\n# Two\n\nUser: e\nAssistant: f"
    assert [len(one) for one in said(ruled)] == [4, 2]
    assert said(titled) == [(("user", "a"), ("assistant", "b")), (("user", "e"), ("assistant", "f"))]


def test_a_heading_that_ends_the_last_answer_is_part_of_it():
    assert said("User: a\nAssistant: b\n\n# End") == [(("user", "a"), ("assistant", "b\n\n# End"))]


def test_a_system_turn_begins_a_conversation():
    text = "System: Be kind.\nUser: a\nAssistant: b\nSystem: Be short.\nUser: c\nAssistant: d"
    assert [one[0] for one in said(text)] == [("system", "Be kind."), ("system", "Be short.")]


def test_turns_of_the_same_speaker_are_one_and_a_last_question_is_left_out():
    text = "Preface.\nUser: a\nUser: b\nAssistant: c\nUser: nobody answers"
    assert said(text) == [(("user", "a\n\nb"), ("assistant", "c"))]


@pytest.mark.parametrize(
    "text", ["", "Only prose, and a colon: there.", "User: a\nUser: b", "Answer: 42\nAnswer: 43"]
)
def test_nothing_comes_out_where_nobody_asks_and_answers(text):
    assert said(text) == []
