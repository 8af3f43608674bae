"""The model server's routes on their own: unknown fields, models by name, runs, and side by side."""

import shutil

import pytest

from forgellm.api.errors import strict_keys
from forgellm.domain.chat import GenerationRequest, Message, Sampling, Target
from forgellm.domain.checkpoints import Checkpoint
from forgellm.inference.local import LocalModel
from forgellm.inference.memory import Room
from forgellm.model_server.app import ROUTES
from forgellm.services.model_host import ModelFixed, ModelHost
from forgellm.storage.checkpoints import checkpoint_path, sha256_of, write_sidecar
from forgellm.storage.models import fingerprint
from forgellm.storage.runs import create_run, run_folder
from tests.inference.conftest import FORMS, make_adapter
from tests.storage.folders import NOON, RunKind

TINY = "models/base/tiny"
ASK = {"messages": [{"role": "user", "content": "Who sells rope?"}], "temperature": 0, "max_tokens": 12}


@pytest.fixture
def run(workspace, tmp_path):
    """Trained on the tiny model, with two checkpoints of which the first is better."""
    run = create_run(
        workspace,
        RunKind.CPT,
        spec={"model_name": TINY},
        name="mine",
        created=NOON,
        versions={},
        base_fingerprint=fingerprint(workspace.base_models / "tiny"),
    )
    folder = run_folder(workspace, run)
    for iteration, loss in ((10, 2.0), (20, 3.0)):
        made = tmp_path / str(iteration)
        made.mkdir()
        make_adapter(workspace.base_models / "tiny", made, FORMS["lora"], seed=iteration)
        path = checkpoint_path(folder, iteration)
        shutil.copy(made / "adapters.safetensors", path)
        shutil.copy(made / "adapter_config.json", folder)
        known = Checkpoint(iteration, "", sha256_of(path), path.stat().st_size, loss)
        write_sidecar(folder, known)
    return run


def said(server, model=None, **options):
    """What a chat with that model answers."""
    answer = server.post("/v1/chat/completions", {"model": model, **ASK, **options})
    assert answer.status_code == 200, answer.json()
    return answer.json()["choices"][0]["message"]["content"]


def resident(server):
    status = server.get("/api/model/status").json()
    return status["model_name"], status["training_id"], status["iteration"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_an_unknown_field_is_refused_at_every_route(serve, route):
    server, _ = serve()
    path = route.path.replace("<path:name>", "thing").replace("<number:model_id>", "1")
    if route.method == "POST":
        refused = server.post(path, {"no_such_field": 1})
    else:
        refused = server.get(path, params={"no_such_field": "1"})
    assert refused.status_code == 400
    assert strict_keys(path) or refused.json()["error_code"] == "INVALID_FIELD"


def test_a_run_means_its_base_with_its_best_checkpoint(server, run):
    best = said(server, run.id)
    assert resident(server) == (TINY, run.id, 10)
    for name in (str(run.number), "mine", "cpt/mine", "models/cpt/mine", f"{run.id}@10", f"{TINY}+{run.id}"):
        assert said(server, name) == best
    assert said(server, f"{run.id}@20") != best
    assert resident(server) == (TINY, run.id, 20)


def test_the_base_of_a_resident_adapter_answers_without_a_change(server, run):
    plain = said(server, TINY)
    adapted = said(server, run.id)
    assert plain != adapted
    assert said(server, TINY) == plain
    assert resident(server) == (TINY, run.id, 10)


def test_a_checkpoint_is_loaded_by_its_run_and_iteration(server, run):
    answer = server.post("/api/model/load", {"training_id": run.id, "iteration": 20}).json()
    assert answer["model_name"] == TINY
    assert answer["adapter_path"] == "models/cpt/mine/0000020_adapters.safetensors"
    server.until("/api/model/status", lambda a: a["loaded"], seconds=10)
    assert resident(server) == (TINY, run.id, 20)
    missing = server.post("/api/model/load", {"training_id": run.id, "iteration": 30})
    assert (missing.status_code, missing.json()["error_code"]) == (404, "CHECKPOINT_NOT_FOUND")


def test_side_by_side_the_base_is_really_the_base(server, run):
    wish = {"prompt": "Who sells rope?", "temperature": 0, "max_tokens": 12}
    base = server.post("/api/model/generate", wish).json()["response"]
    server.post("/api/model/load", {"training_id": run.id})
    adapted = server.post("/api/model/generate", wish).json()["response"]
    plain = server.post("/api/model/generate", {**wish, "use_adapter": False}).json()["response"]
    both = server.post("/api/model/compare", wish).json()
    assert (both["base"]["response"], both["adapter"]["response"]) == (base, adapted)
    assert plain == base != adapted


def test_names_are_listed_with_the_runs(server, run):
    server.post("/api/model/load", {"training_id": run.id, "iteration": 20})
    known = {model["id"]: model["owned_by"] for model in server.get("/v1/models").json()["data"]}
    assert known[TINY] == "base"
    assert known[f"{TINY}+models/cpt/mine/0000020_adapters.safetensors"] == "combination"
    # A run is listed once it has the weights that other tools load.
    assert run.id not in known
    assert server.get(f"/v1/models/{TINY}+{run.id}").json()["id"] == f"{TINY}+{run.id}"
    assert server.get("/v1/models/nothing").status_code == 404


def test_another_model_is_not_loaded_where_that_is_forbidden(serve, run):
    server, _ = serve(auto_load=False)
    refused = server.post("/v1/chat/completions", {"model": TINY, **ASK})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "model_fixed")
    server.post("/api/model/load", {"model_name": TINY})
    assert said(server, TINY)
    assert said(server)
    refused = server.post("/v1/chat/completions", {"model": run.id, **ASK})
    assert (refused.status_code, refused.json()["error"]["param"]) == (409, "model")


class LetGo(LocalModel):
    """Lets go of the model right after the first look at it, as an idle time-out may."""

    looks = 0

    def status(self):
        found = super().status()
        self.looks += 1
        if self.looks == 1:
            self.unload()
        return found


def test_a_model_that_is_let_go_of_in_that_moment_is_loaded_again_for_who_named_it(forge, serve):
    _, app = serve()
    first, second = (
        LetGo(forge.workspace, forge.hub_cache, app.engine, room=lambda: Room(1 << 30)) for _ in range(2)
    )
    host = ModelHost(forge, first)
    host.load(Target(TINY))
    app.engine.wait_until_loaded()
    question = GenerationRequest((Message("user", "Hello"),), sampling=Sampling(max_tokens=2))
    assert list(host.ask_by_name(TINY, question).answer)[-1].finish
    fixed = ModelHost(forge, second, auto_load=False)
    with pytest.raises(ModelFixed):
        fixed.ask_by_name(TINY, question)


def test_a_damaged_model_leaves_the_server_empty_and_says_why(server, workspace):
    broken = workspace.base_models / "broken"
    shutil.copytree(workspace.base_models / "tiny", broken)
    (broken / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer", "chat_template": 5}')
    server.post("/api/model/load", {"model_name": "models/base/broken"})
    status = server.until("/api/model/status", lambda a: not a["is_loading"], seconds=20)
    assert (status["loaded"], status["model_name"]) == (False, None)
    assert status["error"]["error_code"]
    refused = server.post("/api/model/generate", {"prompt": "Hello"})
    assert (refused.status_code, refused.json()["error_code"]) == (422, "MODEL_NOT_LOADED")
    server.post("/api/model/load", {"model_name": TINY})
    assert server.post("/api/model/generate", {"prompt": "Hello", "max_tokens": 3}).status_code == 200
