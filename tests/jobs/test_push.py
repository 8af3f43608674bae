"""What is pushed arrives on the Hub whole, private and with its card, and the token is nowhere else."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from huggingface_hub import HfApi, ModelCard

from forgellm.domain.errors import (
    ForgeError,
    HubForbidden,
    HubNameTaken,
    HubTokenRefused,
    HubUnreachable,
    InvalidField,
    InvalidModel,
    NoHubToken,
    PathNotFound,
)
from forgellm.domain.runs import Run
from forgellm.exporting.hub_files import adapter_on_hub, model_on_hub
from forgellm.forge import Forge
from forgellm.jobs import launcher, push
from forgellm.jobs.push_process import Push, hub_push_errors
from forgellm.services import pushing, runs
from forgellm.services.parts import Parts
from forgellm.services.pushing import PushWish
from forgellm.storage.model_files import whole_files
from forgellm.storage.runs import list_runs, run_folder
from tests.jobs.conftest import PUBLISHED
from tests.services.receiving_hub import STORAGE_TOKEN, TOKEN, ReceivingHub, receiving

REPO = "somebody/town"
WISH = PushWish(PUBLISHED, REPO)
_poll = threading.Event()


@pytest.fixture
def hub() -> Iterator[ReceivingHub]:
    with receiving() as made:
        yield made


@pytest.fixture
def parts(town: Forge, hub: ReceivingHub, worker_environment: dict[str, str]) -> Parts:
    """The town, whose workers know the Hub and its token, and give up soon."""
    environment = {
        **worker_environment,
        "HF_ENDPOINT": hub.url,
        "NO_PROXY": "127.0.0.1",
        "HF_TOKEN": TOKEN,
        "HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "1",
        "HF_XET_CLIENT_RETRY_BASE_DELAY": "10ms",
    }
    environment.pop("HF_HUB_OFFLINE")
    return Parts(town.workspace, town.hub_cache, environment, town.clock, town.inspections)


def ended(parts: Parts, run: Run) -> Mapping[str, object]:
    """The last event of the run, once it is there."""
    for _ in runs.follow(parts, run, after=0, wait=lambda: _poll.wait(0.05)):
        pass
    return runs.status(parts, run).progress.end or {}


def written(parts: Parts, run: Run) -> bytes:
    """Everything in the run's folder."""
    return b"".join(
        path.read_bytes() for path in run_folder(parts.workspace, run).rglob("*") if path.is_file()
    )


def test_a_model_arrives_byte_for_byte_private_and_with_its_card(parts: Parts, hub: ReceivingHub) -> None:
    shown = pushing.preview(parts, WISH)
    run = pushing.push(parts, WISH)
    end = ended(parts, run)
    assert (end["type"], end["url"], end["private"]) == ("completed", f"{hub.url}/{REPO}", True), end
    assert hub.private == {REPO: True}
    folder = parts.workspace.root / PUBLISHED
    there = hub.files[REPO]
    card = there.pop("README.md").decode()
    assert there == {p.name: p.read_bytes() for p in whole_files(folder) if p.name != "README.md"}
    assert {"model.safetensors", "config.json", "tokenizer.json", "training_dashboard.png"} <= there.keys()
    assert "published.json" not in there
    assert card == shown.card
    assert {file.path for file in shown.files} == {*there, "README.md"}
    data = ModelCard(card).data.to_dict()
    assert (data["library_name"], data["pipeline_tag"]) == ("mlx", "text-generation")
    assert f"mlx_lm.generate --model {REPO} " in card
    assert str(parts.workspace.root) not in card
    for secret in (TOKEN, STORAGE_TOKEN):
        assert secret.encode() not in written(parts, run)


def test_a_network_that_goes_leaves_nothing_to_be_seen_and_the_next_attempt_succeeds(
    parts: Parts, hub: ReceivingHub
) -> None:
    hub.cut = True
    end = ended(parts, pushing.push(parts, WISH))
    assert (end["type"], end["code"]) == ("failed", "HUB_UNREACHABLE"), end
    assert "push again" in str(end["suggestion"])
    assert hub.files[REPO] == {}
    hub.cut = False
    assert ended(parts, pushing.push(parts, WISH))["type"] == "completed"


def test_a_push_that_is_stopped_while_the_hub_is_silent_ends(parts: Parts, hub: ReceivingHub) -> None:
    hub.go_on.clear()
    run = pushing.push(parts, WISH)
    assert hub.waiting.wait(60)
    launcher.stop(parts.workspace, run)
    end = ended(parts, run)
    assert (end["type"], end["committed"]) == ("stopped", False)
    assert hub.files[REPO] == {}


def test_what_a_killed_worker_had_begun_to_push_ends_with_it(parts: Parts, hub: ReceivingHub) -> None:
    hub.go_on.clear()
    run = pushing.push(parts, WISH)
    assert hub.waiting.wait(60)
    (worker,) = (p for p in psutil.Process().children() if run.folder in " ".join(p.cmdline()))
    (talking,) = worker.children()
    worker.send_signal(signal.SIGKILL)
    talking.wait(60)
    assert ended(parts, run) == {}
    assert runs.status(parts, run).state.value == "interrupted"


class Named:
    """A push without processes, to see what its failures are called."""

    def __init__(self, hub: ReceivingHub, folder: Path) -> None:
        self.hub = hub
        self.wish = {
            "repo_id": REPO,
            "private": True,
            "update": False,
            "paths": [str(folder / "config.json")],
            "texts": {"README.md": "# Town\n"},
        }

    def __call__(self, *, token: str = TOKEN, endpoint: str | None = None, **wish: object) -> list[str]:
        """The types of its events."""
        out = io.StringIO()
        api = HfApi(token=token, endpoint=endpoint or self.hub.url)
        with hub_push_errors(str({**self.wish, **wish}["repo_id"]), token):
            Push({**self.wish, **wish}, api, out).run()
        return [json.loads(line)["type"] for line in out.getvalue().splitlines()]


@pytest.fixture
def pushed(town: Forge, hub: ReceivingHub, monkeypatch: pytest.MonkeyPatch) -> Named:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return Named(hub, town.workspace.root / PUBLISHED)


def test_every_refusal_has_a_name_and_a_way_out(pushed: Named) -> None:
    wrong = "hf_thisOneIsOldAndRevoked"
    refusals: list[tuple[type[ForgeError], str, dict[str, object]]] = [
        (HubTokenRefused, "does not take the token: Invalid user token: …", {"token": wrong}),
        (HubForbidden, "You don't have the rights", {"repo_id": "another/town"}),
        (HubUnreachable, "cannot be reached", {"endpoint": "http://127.0.0.1:9"}),
    ]
    for kind, words, wish in refusals:
        with pytest.raises(kind, match=words) as caught:
            pushed(**wish)  # type: ignore[arg-type]
        assert caught.value.suggestion
        assert wrong not in f"{caught.value} {caught.value.details}"
    assert pushed.hub.files == {}


def test_what_is_on_the_hub_is_replaced_only_when_asked_and_never_shown_to_more(pushed: Named) -> None:
    assert pushed() == ["phase", "phase", "uploaded", "phase", "done"]
    with pytest.raises(HubNameTaken, match="has a model somebody/town already"):
        pushed()
    there = pushed.hub.files[REPO]
    there |= {"model-00002-of-00002.safetensors": b"of before", "notes.txt": b"somebody's own"}
    weights = Path(pushed.wish["paths"][0]).with_name("model.safetensors")  # type: ignore[index]
    pushed(update=True, paths=[str(weights)])
    assert pushed.hub.files[REPO].keys() == {"README.md", "config.json", "model.safetensors", "notes.txt"}
    pushed.hub.private[REPO] = False
    with pytest.raises(HubNameTaken, match="open to everyone"):
        pushed(update=True)
    pushed(update=True, private=False, texts={"README.md": "# Anew\n"})
    assert pushed.hub.files[REPO]["README.md"] == b"# Anew\n"


def test_what_cannot_be_pushed_starts_no_run(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever runs this may have logged in.
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    before = len(list_runs(parts.workspace))
    for repo in ("town", "a/b/c", "../town", "some body/town", "somebody/town.git", "somebody/a--b", "a/"):
        with pytest.raises(InvalidField, match="OWNER/NAME"):
            pushing.push(parts, PushWish(PUBLISHED, repo))
    with pytest.raises(InvalidModel, match=r"card of tiny, README\.md, is missing"):
        pushing.push(parts, PushWish("models/base/tiny", REPO))
    linked = parts.workspace.base_models / "linked"
    shutil.copytree(parts.workspace.base_models / "tiny", linked)
    (tmp_path / "secret").write_text("# Secret\n")
    (linked / "README.md").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidModel, match=r"card of linked, README\.md, is missing"):
        pushing.push(parts, PushWish("models/base/linked", REPO))
    environment = {name: value for name, value in parts.environment.items() if name != "HF_TOKEN"}
    poor = Parts(parts.workspace, parts.hub_cache, environment, parts.clock, parts.inspections)
    with pytest.raises(NoHubToken):
        pushing.push(poor, WISH)
    assert len(list_runs(parts.workspace)) == before


def test_a_token_that_cannot_be_one_is_not_quoted(parts: Parts) -> None:
    environment = {**parts.environment, "HF_TOKEN": "hf_secret\x01secret"}
    wish = {"repo_id": REPO, "private": True, "update": False, "paths": [], "texts": {}}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        push.COMMAND, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(wish) + "\n")
        process.stdin.flush()
        # It ends when its input does, whatever it would have said.
        said = process.stdout.readline()
        rest, errors = process.communicate()
    assert json.loads(said)["code"] == "HUB_TOKEN_REFUSED"
    assert "secret" not in said + rest + errors


def test_weights_that_the_hub_has_are_not_sent_again(pushed: Named, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    weights = Path(pushed.wish["paths"][0]).with_name("model.safetensors")  # type: ignore[index]
    pushed(paths=[str(weights)])
    assert len(pushed.hub.sent) == 1
    pushed(paths=[str(weights)], repo_id="somebody/other")
    assert len(pushed.hub.sent) == 1
    assert pushed.hub.files["somebody/other"]["model.safetensors"] == weights.read_bytes()


def test_exports_go_beside_a_model_and_adapters_by_themselves(parts: Parts) -> None:
    gguf, peft = (parts.workspace.exports / name for name in ("small", "adapter"))
    for folder in (gguf, peft):
        folder.mkdir(parents=True)
    (gguf / "small.gguf").write_bytes(b"GGUF")
    (gguf / "Modelfile").write_text("FROM ./small.gguf\n")
    (peft / "adapter_model.safetensors").write_bytes(b"weights")
    config = {"r": 8, "use_dora": False, "base_model_name_or_path": "models/base/tiny"}
    (peft / "adapter_config.json").write_text(json.dumps(config))
    shown = pushing.preview(parts, PushWish(PUBLISHED, REPO, exports=["small"]))
    assert "small.gguf" in {file.path for file in shown.files}
    assert "- `small.gguf`" in shown.card
    assert "gguf" in ModelCard(shown.card).data.tags
    adapter = pushing.preview(parts, PushWish("models/exports/adapter", REPO))
    names = [file.path for file in adapter.files]
    assert names == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    data = ModelCard(adapter.card).data
    assert (data.library_name, data.base_model, data.tags[:2]) == ("peft", None, ["peft", "lora"])
    assert "models/base" not in adapter.card
    there = adapter_on_hub(peft, REPO).texts["adapter_config.json"]
    assert json.loads(there) == {**config, "base_model_name_or_path": None}
    (peft / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "a/b"}))
    assert "base_model: a/b" in pushing.preview(parts, PushWish("models/exports/adapter", REPO)).card
    with pytest.raises(PathNotFound, match="there is no export 'smal'") as caught:
        pushing.preview(parts, PushWish(PUBLISHED, REPO, exports=["smal"]))
    assert caught.value.suggestion == "Did you mean small?"


def test_no_path_of_the_machine_and_no_rows_of_data_go_along(parts: Parts, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "published" / "town"
    shutil.copytree(parts.workspace.root / PUBLISHED, folder)
    card = folder / "README.md"
    card.write_text(f"{card.read_text()}\nTrained on `{tmp_path}/models/base/tiny`.\n")
    (folder / "train.jsonl").write_text("{}\n")
    files = model_on_hub(folder, REPO, root=tmp_path)
    assert str(tmp_path) not in files.card
    assert "Trained on `models/base/tiny`" in files.card
    assert "train.jsonl" not in {path.name for path in files.paths}


def test_what_lies_behind_a_link_is_not_pushed(parts: Parts, tmp_path: Path) -> None:
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).write_text("{}")
    exports = parts.workspace.exports
    exports.mkdir(parents=True, exist_ok=True)
    (exports / "link").symlink_to(tmp_path)
    with pytest.raises(ForgeError):
        pushing.preview(parts, PushWish("models/exports/link", REPO))
    with pytest.raises(PathNotFound, match="there is no export 'link'"):
        pushing.preview(parts, PushWish(PUBLISHED, REPO, exports=["link"]))
