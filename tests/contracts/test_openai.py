"""The official OpenAI client against the model server and against the web server before it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import openai
import pytest

from tests.contracts.hub import MODEL, put_into_hub
from tests.servers import running_server

QUESTION = [{"role": "user", "content": "Who sells rope in the market?"}]


@pytest.fixture(scope="module")
def servers(worker_environment, tmp_path_factory, tiny_model):
    """The two servers of a workspace with a second model."""
    cache, root = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("workspace")
    put_into_hub(cache)
    shutil.copytree(tiny_model, root / "models" / "base" / "tiny")
    environment = {**worker_environment, "HF_HUB_CACHE": str(cache)}
    with (
        running_server(root, environment, command="server") as model_server,
        running_server(root, environment) as web_server,
    ):
        yield {"model server": model_server, "web server": web_server}


@pytest.fixture(scope="module", params=["model server", "web server"])
def client(servers, request):
    url = servers[request.param].url
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def chat(client):
    """Asks the question, deterministically unless told otherwise."""

    def ask(**options):
        given = {"model": MODEL, "messages": QUESTION, "temperature": 0, "max_tokens": 24, **options}
        return client.chat.completions.create(**given)

    return ask


def test_the_models_are_listed(client):
    names = {model.id: model for model in client.models.list()}
    assert MODEL in names
    assert names[MODEL].owned_by == "base"
    assert client.models.retrieve(MODEL).created == names[MODEL].created > 0


def test_a_chat_loads_the_model_it_names(chat):
    answer = chat()
    assert (answer.object, answer.model) == ("chat.completion", MODEL)
    (choice,) = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason in ("stop", "length")
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert 0 < usage.completion_tokens <= 24


def test_what_is_known_of_a_prompt_is_told(chat):
    chat()
    assert chat().usage.prompt_tokens_details.cached_tokens > 0


def test_a_stream_is_the_same_answer_in_pieces(chat):
    whole = chat()
    *chunks, last = list(chat(stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert len({chunk.id for chunk in chunks}) == 1
    assert last.choices == []
    assert last.usage.completion_tokens == whole.usage.completion_tokens


def test_without_the_option_a_stream_has_no_usage(chat):
    assert all(chunk.usage is None and chunk.choices for chunk in chat(stream=True))


@pytest.mark.parametrize("as_list", [False, True])
def test_a_stop_string_ends_the_answer_before_it(chat, as_list):
    text = chat().choices[0].message.content
    stop = text[len(text) // 2 :][:3]
    stopped = chat(stop=[stop, "never said"] if as_list else stop).choices[0]
    assert stopped.message.content == text[: text.index(stop)]
    assert stopped.finish_reason == "stop"


def test_a_seed_repeats_the_text(chat):
    texts = {chat(temperature=1.5, seed=-7).choices[0].message.content for _ in range(3)}
    others = {chat(temperature=1.5, seed=n).choices[0].message.content for n in range(6)}
    assert len(texts) == 1
    assert len(others) > 1


def test_logprobs(chat):
    answer = chat(logprobs=True, top_logprobs=3)
    tokens = answer.choices[0].logprobs.content
    assert tokens
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 3 for token in tokens)
    assert tokens[0].top_logprobs[0].token == tokens[0].token
    streamed = [
        token
        for chunk in chat(stream=True, logprobs=True, top_logprobs=3)
        if chunk.choices[0].logprobs
        for token in chunk.choices[0].logprobs.content
    ]
    assert [token.token for token in streamed] == [token.token for token in tokens]


def test_a_completion_goes_on_with_the_text(client):
    given = {"model": MODEL, "prompt": "The rope of", "temperature": 0, "logprobs": 2}
    whole = client.completions.create(**given)
    (choice,) = whole.choices
    assert whole.object == "text_completion"
    assert whole.usage.completion_tokens <= 16
    known = choice.logprobs
    assert len(known.tokens) == len(known.token_logprobs) == len(known.text_offset)
    assert all(len(top) == 2 for top in known.top_logprobs)
    pieces = list(client.completions.create(**given, stream=True))
    assert "".join(piece.choices[0].text for piece in pieces) == choice.text
    assert pieces[-1].choices[0].finish_reason == choice.finish_reason


def test_another_model_is_loaded_because_it_is_named(chat):
    assert chat(model="models/base/tiny").model == "models/base/tiny"
    assert chat().model == MODEL


def test_text_parts_and_the_developer_are_understood(chat):
    parts = [{"type": "text", "text": "Who sells rope "}, {"type": "text", "text": "in the market?"}]
    assert chat(messages=[{"role": "user", "content": parts}]).choices == chat().choices
    told = [{"role": "developer", "content": "Be brief."}, *QUESTION]
    asked = [{"role": "system", "content": "Be brief."}, *QUESTION]
    assert chat(messages=told).choices == chat(messages=asked).choices


def test_an_answer_is_a_turn_of_the_next_question_as_the_client_writes_it(chat):
    message = chat().choices[0].message
    for turn in (message, message.model_dump(), message.to_dict()):
        assert chat(messages=[*QUESTION, turn, *QUESTION]).choices


def test_what_changes_no_answer_is_accepted(chat):
    answer = chat(
        user="me",
        store=False,
        metadata={"a": "b"},
        n=1,
        service_tier="auto",
        parallel_tool_calls=True,
        tool_choice="auto",
        response_format={"type": "text"},
        modalities=["text"],
        logit_bias={},
        prompt_cache_key="k",
        safety_identifier="s",
        extra_body={"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.0},
    )
    assert answer.choices == chat().choices


SCHEMA = {
    "type": "object",
    "properties": {
        "goods": {"enum": ["rope", "salt"]},
        "days": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "maxItems": 2},
    },
    "required": ["goods", "days"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("model", [MODEL, "models/base/tiny"])
@pytest.mark.parametrize("temperature", [0, 2])
def test_an_answer_follows_the_schema_whatever_the_model_would_say(chat, model, temperature):
    wish = {"type": "json_schema", "json_schema": {"name": "sale", "schema": SCHEMA, "strict": True}}
    answer = chat(model=model, response_format=wish, max_tokens=200, temperature=temperature)
    sale = json.loads(answer.choices[0].message.content)
    assert sale["goods"] in ("rope", "salt")
    assert len(sale["days"]) <= 2
    assert answer.choices[0].finish_reason == "stop"


def test_a_whole_answer_has_the_places_that_a_streamed_one_has(chat):
    """A program that is handed a path uses it."""
    place = f"{Path.home()}/x"
    known = {"properties": {"path": {"const": place}}, "additionalProperties": False}
    schema = {"type": "object", "required": ["path"], **known}
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}
    asked = {"response_format": form, "max_tokens": 100}
    whole = chat(**asked).choices[0].message.content
    streamed = "".join(piece.choices[0].delta.content or "" for piece in chat(**asked, stream=True))
    assert place in whole
    assert whole == streamed


def test_an_answer_can_be_any_object(chat):
    text = chat(response_format={"type": "json_object"}, max_tokens=60).choices[0].message.content
    assert text.startswith("{")


def test_a_schema_that_cannot_be_followed_is_refused(chat):
    wish = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
    with pytest.raises(openai.BadRequestError) as caught:
        chat(response_format=wish)
    assert caught.value.param == "response_format"


def test_an_unknown_model_is_not_found_and_the_names_there_are_told(chat):
    with pytest.raises(openai.NotFoundError) as caught:
        chat(model="gpt-9")
    error = caught.value
    assert (error.code, error.type, error.param) == ("model_not_found", "invalid_request_error", None)
    assert MODEL in error.response.json()["details"]["known"]
    assert error.response.json()["error_code"] == "MODEL_NOT_FOUND"


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"n": 2}, "n"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"max_completion_tokens": 5}, "max_completion_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"extra_body": {"temprature": 1}}, "temprature"),
        ({"extra_body": {"chat_template_kwargs": {"messages": "x"}}}, "chat_template_kwargs.messages"),
    ],
)
def test_a_bad_parameter_is_named(chat, options, param):
    with pytest.raises(openai.BadRequestError) as caught:
        chat(**options)
    assert caught.value.param == param
    assert caught.value.response.json()["details"]["field"] == param


def test_every_failure_below_v1_has_openais_shape(servers):
    for server in servers.values():
        for answer in (
            server.get("/v1/nothing"),
            server.get("/v1/chat/completions"),
            server.get("/v1/models", headers={"Origin": "http://evil.example"}),
            server.post("/v1/completions", {}),
        ):
            body = answer.json()
            assert body["error"].keys() == {"message", "type", "param", "code"}
            assert body["error"]["message"] == body["detail"]
            assert body["status_code"] == answer.status_code
