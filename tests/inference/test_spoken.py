"""An answer that comes back is read as the tokens in which it was said."""

from mlx_lm.utils import load_tokenizer

from forgellm.domain.chat import Message, Sampling
from forgellm.inference.spoken import SpokenAnswers
from tests.inference.conftest import ask

END = "<end>"
FIRST = "user: Hi<end>bot: "
SAID = [101, 102]
QUESTION = "When is the rope market of Alder Quay held?"


def letters(text):
    return [ord(letter) for letter in text]


def answers(**options):
    return SpokenAnswers([END], **options)


def test_an_answer_that_comes_back_keeps_its_tokens():
    known = answers()
    known.remember(FIRST, "Hello", SAID)
    rest = "<end>user: And?<end>bot: "
    assert known.tokens(FIRST + "Hello" + rest, letters) == letters(FIRST) + SAID + letters(rest)


def test_every_answer_of_a_conversation_keeps_its_tokens():
    known = answers()
    known.remember(FIRST, "Hello", SAID)
    second = FIRST + "Hello<end>user: And?<end>bot: "
    known.remember(second, "Yes", [103])
    rest = "<end>user: Why?<end>bot: "
    expected = letters(FIRST) + SAID + letters("<end>user: And?<end>bot: ") + [103] + letters(rest)
    assert known.tokens(second + "Yes" + rest, letters) == expected


def test_an_answer_that_was_changed_or_stands_elsewhere_is_read_anew():
    known = answers()
    known.remember(FIRST, "Hello", SAID)
    for text in (
        FIRST + "Hello!<end>",
        FIRST + "Hell",
        FIRST + "hello<end>",
        "user: Ho<end>bot: Hello<end>",
        "Hello<end>",
        FIRST,
        "",
    ):
        assert known.tokens(text, letters) == letters(text)


def test_of_two_answers_to_one_question_each_keeps_its_own_tokens():
    known = answers()
    known.remember(FIRST, "He", [104])
    known.remember(FIRST, "Hello", SAID)
    assert known.tokens(FIRST + "Hello<end>", letters) == letters(FIRST) + SAID + letters(END)
    assert known.tokens(FIRST + "He<end>", letters) == [*letters(FIRST), 104, *letters(END)]


def test_what_came_up_longest_ago_is_forgotten_first():
    known = answers(at_most=2)
    known.remember(FIRST, "Hello", SAID)
    known.remember(FIRST, "Yes", [103])
    known.tokens(FIRST + "Hello<end>", letters)
    known.remember(FIRST, "No", [105])
    assert known.tokens(FIRST + "Hello<end>", letters) == letters(FIRST) + SAID + letters(END)
    assert known.tokens(FIRST + "Yes<end>", letters) == letters(FIRST + "Yes<end>")


def test_a_conversation_is_known_though_its_answers_are_spelled_unusually(engine, tiny_model):
    first, asked = ask(engine, QUESTION, sampling=Sampling(max_tokens=40, temperature=10.0, seed=3))
    turns = (Message("user", QUESTION), Message("assistant", first), Message("user", "And of Brinmoor?"))
    known = asked.prompt_tokens + asked.completion_tokens
    usual = load_tokenizer(tiny_model).encode(first, add_special_tokens=False)
    assert len(usual) != asked.completion_tokens
    _, finish = ask(engine, messages=turns)
    assert finish.cached_tokens >= known
