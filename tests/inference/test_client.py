"""The client against a small server that speaks what the model server speaks."""

import threading

import pytest

from forgellm.domain.chat import Finish, GenerationRequest, Message, Sampling, Target, TokenProbability
from forgellm.domain.errors import InvalidField, ModelBusy, ModelNotFound, ModelNotLoaded
from forgellm.inference.client import RemoteModel, ServerUnreachable
from tests.inference.speaker import FINISH, STATUS, Speaker, serving

QUESTION = GenerationRequest(messages=(Message("user", "When?"),))


@pytest.fixture
def speaker():
    return Speaker()


@pytest.fixture
def remote(speaker):
    with serving(speaker) as url:
        yield RemoteModel(url, "secret")


def test_the_status_is_what_the_server_holds(remote, speaker):
    status = remote.status()
    assert (status.target, status.loaded, status.model_type) == (Target("models/base/tiny"), True, "instruct")
    assert (status.memory_bytes, status.context_length, status.active_requests) == (250_000_000, 512, 1)
    assert speaker.asked[0][3]["Authorization"] == "Bearer secret"


def test_an_empty_server_has_no_target_and_says_why(remote, speaker):
    error = {"error": "it is damaged", "error_code": "INVALID_MODEL", "suggestion": "Copy it again."}
    speaker.answers["/api/model/status"] = {**STATUS, "loaded": False, "model_name": None, "error": error}
    status = remote.status()
    assert status.target is None
    assert (status.error["code"], status.error["error"]) == ("INVALID_MODEL", "it is damaged")


def test_loading_sends_the_target_and_a_wrong_name_is_said(remote, speaker):
    speaker.answers["/api/model/load"] = {"success": True}
    remote.load(Target("models/base/tiny", "models/cpt/run"))
    assert speaker.asked[0][2] == {"model_name": "models/base/tiny", "adapter_path": "models/cpt/run"}
    refused = {
        "error": "there is no model 'tinny'",
        "error_code": "MODEL_NOT_FOUND",
        "suggestion": "List them.",
    }
    speaker.answers["/api/model/load"] = (404, refused)
    with pytest.raises(ModelNotFound, match="tinny") as caught:
        remote.load(Target("tinny"))
    assert caught.value.suggestion == "List them."


def test_an_answer_comes_piece_by_piece(remote, speaker):
    token = {"token": "Every", "logprob": -0.5, "top": [{"token": "Every", "logprob": -0.5}]}
    speaker.answers["/api/model/generate"] = [
        {"text": "", "thinking": "Hm."},
        None,
        {"text": "Every", "thinking": "", "logprobs": [token]},
        {"text": " Monday.", "thinking": ""},
        {"done": True, **FINISH},
    ]
    chunks = list(remote.generate(QUESTION))
    assert [(chunk.text, chunk.thinking) for chunk in chunks[:-1]] == [
        ("", "Hm."),
        ("Every", ""),
        (" Monday.", ""),
    ]
    assert chunks[1].tokens == (TokenProbability("Every", -0.5, (("Every", -0.5),)),)
    assert chunks[-1].finish == Finish("stop", 20, 12, 4, 0.1, 0.5, 10.0)


def test_a_chat_is_sent_as_history_and_question(remote, speaker):
    speaker.answers["/api/model/generate"] = [{"done": True, **FINISH}]
    turns = (
        Message("system", "Be brief."),
        Message("user", "A"),
        Message("assistant", "B"),
        Message("user", "C"),
    )
    request = GenerationRequest(turns, sampling=Sampling(12, 0.0, seed=7), stop=("\n",), plain_base=True)
    list(remote.generate(request))
    sent = speaker.asked[0][2]
    assert sent["prompt"] == "C"
    assert [turn["role"] for turn in sent["history"]] == ["system", "user", "assistant"]
    assert (sent["max_tokens"], sent["temperature"], sent["seed"], sent["stop"]) == (12, 0.0, 7, ["\n"])
    assert (sent["use_adapter"], sent["is_base_model"], sent["streaming"]) == (False, False, True)


def test_a_completion_is_sent_as_it_stands(remote, speaker):
    speaker.answers["/api/model/generate"] = [{"done": True, **FINISH}]
    list(remote.generate(GenerationRequest(prompt="The town of", logprobs=2)))
    sent = speaker.asked[0][2]
    assert (sent["prompt"], sent["is_base_model"], sent["logprobs"]) == ("The town of", True, 2)
    assert "history" not in sent
    assert "seed" not in sent


@pytest.mark.parametrize(
    "request_",
    [
        GenerationRequest((Message("user", "A"),), tools=({"type": "function"},)),
        GenerationRequest((Message("user", "A"), Message("assistant", "B"))),
    ],
)
def test_what_cannot_be_sent_is_refused(remote, request_):
    with pytest.raises(InvalidField, match="cannot be sent"):
        remote.generate(request_)


def test_an_error_before_the_answer_keeps_its_name(remote, speaker):
    speaker.answers["/api/model/generate"] = (503, {"error": "too many", "error_code": "MODEL_BUSY"})
    with pytest.raises(ModelBusy, match="too many"):
        remote.generate(QUESTION)


def test_an_error_within_the_answer_keeps_its_name(remote, speaker):
    failed = {"success": False, "error": "no model is loaded", "error_code": "MODEL_NOT_LOADED"}
    speaker.answers["/api/model/generate"] = [{"text": "Every"}, failed]
    with pytest.raises(ModelNotLoaded):
        list(remote.generate(QUESTION))


def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(remote, speaker):
    speaker.answers["/api/model/generate"] = [{"text": "Every"}]
    with pytest.raises(ServerUnreachable, match="in the middle"):
        list(remote.generate(QUESTION))


def endless(proceed):
    while True:
        yield {"text": "on and on "}
        proceed.wait(0.01)


def test_leaving_an_answer_closes_the_connection(remote, speaker):
    speaker.answers["/api/model/generate"] = endless(threading.Event())
    for chunk in remote.generate(QUESTION):
        assert chunk.text
        break
    assert speaker.left.wait(5)


def test_another_thread_can_cancel_an_answer_that_says_nothing(remote, speaker):
    proceed = threading.Event()
    speaker.answers["/api/model/generate"] = (event for event in _silent(proceed))
    answer = remote.generate(QUESTION)
    pieces = iter(answer)
    assert next(pieces).text == "first"
    ended = threading.Event()
    reader = threading.Thread(target=lambda: (list(pieces), ended.set()))
    reader.start()
    answer.cancel()
    assert ended.wait(5)
    proceed.set()
    reader.join()


def _silent(proceed):
    yield {"text": "first"}
    proceed.wait(10)


def test_where_nothing_listens_the_way_out_is_said():
    with pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:9") as caught:
        RemoteModel("127.0.0.1:9").status()
    assert "forgellm start" in caught.value.suggestion


def test_what_is_no_model_server_is_named_so(remote, speaker):
    speaker.answers["/api/model/status"] = (404, {"detail": "Not Found"})
    with pytest.raises(ServerUnreachable, match="no model server"):
        remote.status()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", "http://127.0.0.1:port", ""])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(InvalidField, match="not the address"):
        RemoteModel(url)
