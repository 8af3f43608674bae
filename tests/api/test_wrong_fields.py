"""What a client is told of fields that do not fit, also of those deep inside a body."""

from __future__ import annotations

import pytest

from forgellm.api.http import parse
from forgellm.api.openai.chat_fields import Chat
from forgellm.api.openai.completions import Completion
from forgellm.api.sienn.jobs import Start
from forgellm.domain.errors import InvalidField

IMAGE = [{"type": "image_url", "image_url": {"url": "x"}}]


@pytest.mark.parametrize(
    ("model", "values", "field", "said"),
    [
        (Start, {"model_name": "m", "config": {"epochs": 3}}, "config.epochs", "Did you mean num_epochs?"),
        (Start, {"model_name": "m", "config": {"max_length": 1}}, "config.max_length", "model's context"),
        (Start, {"model": "m"}, "model_name", "Give model_name: a Hub id"),
        (Start, {"model_name": "m", "dataset": "d"}, "dataset", "Did you mean dataset_id?"),
        (Chat, {"messages": [{"role": "user", "content": IMAGE}]}, "messages.0.content.0.type", "'text'"),
        (Chat, {"messages": [{"role": "user", "content": 5}]}, "messages.0.content", "string"),
        (Chat, {"messages": [{"rôle": "user", "content": ""}]}, "messages.0.role", "missing"),
        (Completion, {"prompt": [1, 2]}, "prompt.0", "string"),
        (Completion, {"prompt": "", "stop": 3}, "stop", "string"),
    ],
)
def test_a_field_is_named_where_the_client_wrote_it(model, values, field, said):
    with pytest.raises(InvalidField) as caught:
        parse(model, values)
    error = caught.value
    assert error.details["field"] == field
    assert field in [problem["field"] for problem in error.details["problems"]]
    assert said in f"{error.message} {error.suggestion}"


def test_the_nearest_name_is_one_of_its_own_place():
    with pytest.raises(InvalidField) as caught:
        parse(Start, {"model_name": "m", "config": {"learningrate": 1.0}})
    assert caught.value.details["nearest"] == "config.learning_rate"


def test_an_answer_is_taken_back_with_all_that_openais_client_writes_into_it():
    answer = {"role": "assistant", "content": "Yes.", "refusal": None, "annotations": None, "audio": None}
    parse(Chat, {"messages": [{**answer, "function_call": None, "tool_calls": None}]})
