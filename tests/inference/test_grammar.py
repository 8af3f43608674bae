"""What a JSON schema leaves to be drawn, token by token."""

import mlx.core as mx
import pytest
from mlx_lm.utils import load_tokenizer

from forgellm.domain.errors import InvalidField
from forgellm.inference.grammar import SchemaProcessor, Vocabulary, check_schema

SIZE = 512
SCHEMA = {"enum": ["rope", "salt"]}


@pytest.fixture
def tokenizer(tiny_model):
    return load_tokenizer(tiny_model)


@pytest.fixture
def left(tokenizer):
    """Which tokens are left behind a prompt of two tokens and `text`."""

    def begin(thought_end=None):
        processor = SchemaProcessor(SCHEMA, Vocabulary(tokenizer), start=2, thought_end=thought_end)

        def ask(tokens):
            logits = processor(mx.array([5, 6, *tokens]), mx.zeros((1, SIZE)))
            return [n for n, value in enumerate(logits[0].tolist()) if value == 0]

        return ask

    return begin


def ids(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False)


def test_only_what_the_schema_can_begin_with_may_be_drawn_first(left, tokenizer):
    assert {tokenizer.decode([n])[0] for n in left()([])} == {'"'}


def test_only_the_end_may_follow_a_whole_text(left, tokenizer):
    assert left()(ids(tokenizer, '"rope"')) == sorted(tokenizer.eos_token_ids)


def test_a_draft_that_was_not_accepted_is_taken_back(left, tokenizer):
    ask = left()
    quote, r, s = ids(tokenizer, '"') + ids(tokenizer, "r") + ids(tokenizer, "s")
    after_r = ask([quote, r])
    assert ask([quote, s]) != after_r
    assert ask([quote, r]) == after_r


def test_a_thought_is_free_until_it_ends(left, tokenizer):
    ask = left(thought_end=9)
    assert len(ask([])) == len(ask([7, 8])) == SIZE
    assert ask([7, 8, 9]) == left()([])


def test_a_schema_that_cannot_be_followed_is_refused(tokenizer):
    check_schema(SCHEMA, tokenizer)
    with pytest.raises(InvalidField, match="cannot be followed"):
        check_schema({"type": "nonsense"}, tokenizer)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    ],
)
def test_a_schema_that_refers_to_itself_alone_is_refused(tokenizer, schema):
    check_schema({"type": "object", "properties": {"child": {"$ref": "#"}}}, tokenizer)
    with pytest.raises(InvalidField, match="no text can begin as it asks"):
        check_schema(schema, tokenizer)


def test_a_schema_nested_too_deeply_is_refused(tokenizer):
    value: object = 1
    for _ in range(200):
        value = [value]
    with pytest.raises(InvalidField, match="cannot be followed: recursion limit"):
        check_schema({"enum": [value]}, tokenizer)
