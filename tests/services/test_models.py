"""The library with its fit, cards, and the way into the trash and back."""

import shutil

import pytest

from forgellm.domain.chat import Target
from forgellm.domain.errors import InvalidPath, ModelNotFound, PathNotFound, RunConflict
from forgellm.domain.runs import RunKind
from forgellm.services import cards, removal, resident, runs, samples
from forgellm.services.library import library
from forgellm.services.memory import fit
from forgellm.services.models import catalogue
from forgellm.storage.adapters import AdapterConfig, write_config
from forgellm.storage.files import HeldLock
from forgellm.storage.model_server import Record, server_lock, write_record
from forgellm.storage.runs import create_run, list_runs, move_to_trash, run_folder
from forgellm.storage.trash import bring_back
from tests.contracts.hub import put_into_hub

README = "---\nlicense: other\nlicense_name: harbour\ntags: [mlx]\n---\n\n# Harbour\n\nIt answers.\n"


@pytest.fixture
def published(forge):
    """A published model with a card."""
    folder = forge.workspace.published / "harbour"
    shutil.copytree(forge.workspace.base_models / "tiny", folder)
    (folder / "README.md").write_text(README)
    return folder


@pytest.fixture
def trained(forge):
    """A run on the base model that has left an adapter."""
    run = create_run(
        forge.workspace,
        RunKind.CPT,
        spec={"model_name": "models/base/tiny", "dataset": "domain"},
        name="mine",
        created=forge.clock(),
        versions={},
        base_fingerprint=None,
    )
    (run_folder(forge.workspace, run) / "adapters.safetensors").write_bytes(b"x" * 1000)
    write_config(run_folder(forge.workspace, run), AdapterConfig("lora", -1, 8, 2.0, 0.0))
    (run_folder(forge.workspace, run) / "events.jsonl").write_text('{"seq": 1, "type": "stopped"}\n')
    return run


def wait():
    """What is resident changes no more."""


def entries(forge):
    return {entry.name: entry for entry in library(forge).entries}


def test_a_model_is_described_and_measured_against_the_machine(forge, tiny_model_quantized):
    shutil.copytree(tiny_model_quantized, forge.workspace.base_models / "small")
    found = library(forge)
    tiny, small = (next(e for e in found.entries if e.name == f"models/base/{n}") for n in ("tiny", "small"))
    assert (tiny.info.model_type, tiny.info.architecture, tiny.info.context_length) == (
        "instruct",
        "Llama",
        512,
    )
    assert (tiny.quantized, small.quantized, small.info.quantization) == (False, True, "4-bit")
    assert tiny.needs.chat == int(1.15 * tiny.info.weight_bytes)
    assert tiny.needs.training > tiny.needs.chat > small.needs.chat
    assert fit(tiny.needs.training, found.machine.limit) == "fits"


def test_a_model_tells_in_which_groups_its_layers_can_be_quantized(forge, tiny_model_quantized):
    shutil.copytree(tiny_model_quantized, forge.workspace.base_models / "small")
    samples.bring_model(forge)
    sizes = {name: entry.info.group_sizes for name, entry in entries(forge).items()}
    assert sizes["models/base/tiny"][0] == 32
    # Its layers are 176 and 416 wide.
    assert sizes[f"models/base/{samples.MODEL}"] == (32,)
    assert sizes["models/base/small"] == ()


def test_an_adapter_has_what_its_base_model_has_and_its_own_rank(forge, trained):
    found = entries(forge)[trained.id]
    base = entries(forge)["models/base/tiny"]
    assert (found.kind, found.path, found.adapter.rank) == ("adapter", "models/cpt/mine", 8)
    assert found.info == base.info
    assert found.needs.chat == int(1.15 * (base.info.weight_bytes + 1000))


def test_an_adapter_without_its_base_model_says_what_it_lacks(forge, trained):
    shutil.rmtree(forge.workspace.base_models / "tiny")
    found = entries(forge)[trained.id]
    assert found.info is None
    assert "no model 'models/base/tiny'" in found.problem


def test_a_folder_that_is_no_model_is_listed_with_what_it_lacks(forge):
    (forge.workspace.base_models / "tiny" / "tokenizer.json").unlink()
    assert "no tokenizer.json" in entries(forge)["models/base/tiny"].problem


def test_a_card_is_read_with_its_licence(forge, published):
    found = cards.card(forge, "models/published/harbour")
    assert (found.licence, found.text) == ("harbour", "# Harbour\n\nIt answers.\n")
    assert entries(forge)["models/published/harbour"].licence == "harbour"


@pytest.mark.parametrize(
    ("front", "licence"),
    [
        ("license: apache-2.0", "apache-2.0"),
        ("license: [mit, gpl]", "mit"),
        ("license: {a: 1}", None),
        ("a: [", None),
        ("- x", None),
    ],
)
def test_a_licence_is_what_the_data_in_front_say_or_nothing(front, licence):
    assert cards.parse_card(f"---\n{front}\n---\nText").licence == licence


def test_a_card_that_leads_out_of_the_model_is_not_read(forge, published, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (published / "README.md").unlink()
    (published / "README.md").symlink_to(tmp_path / "secret")
    with pytest.raises(PathNotFound):
        cards.card(forge, "models/published/harbour")


def test_a_published_model_goes_to_the_trash_and_comes_back_beside_another(forge, published):
    entry = removal.remove(forge, removal.find_removable(forge, "models/published/harbour", wait=wait))
    assert not published.exists()
    published.mkdir()
    assert bring_back(forge.workspace, entry) == published.with_name("harbour_2")
    assert (published.with_name("harbour_2") / "README.md").read_text() == README
    assert list(forge.workspace.trash.iterdir()) == []
    with pytest.raises(ModelNotFound):
        bring_back(forge.workspace, entry)


@pytest.mark.parametrize("entry", ["", ".", "..", "../trash", "a/b", "/etc"])
def test_only_an_entry_of_the_trash_is_brought_back(forge, entry):
    with pytest.raises(InvalidPath):
        bring_back(forge.workspace, entry)


def test_what_goes_while_it_is_listed_is_left_out_of_the_list(forge, published, trained, monkeypatch):
    def then_gone(parts):
        found = catalogue(parts)
        shutil.rmtree(forge.workspace.base_models / "tiny")
        return found

    def then_deleted(workspace):
        found = list_runs(workspace)
        move_to_trash(workspace, trained)
        return found

    monkeypatch.setattr(resident, "catalogue", then_gone)
    assert [known.name for known in resident.known_names(forge)] == ["published/harbour", trained.id]
    monkeypatch.setattr(runs, "list_runs", then_deleted)
    assert runs.statuses(forge) == []


def test_the_resident_model_stays(forge, published):
    forge.workspace.private.mkdir()
    lock = HeldLock.acquire(server_lock(forge.workspace))
    write_record(forge.workspace, Record("http://127.0.0.1:1", Target("harbour")))
    with pytest.raises(RunConflict, match="resident"):
        removal.find_removable(forge, "models/published/harbour", wait=wait)
    lock.release()
    assert (
        removal.find_removable(forge, "models/published/harbour", wait=wait).name
        == "models/published/harbour"
    )


def test_a_downloaded_model_is_deleted_for_good(forge, tmp_path):
    elsewhere = replace_cache(forge, tmp_path / "hub")
    put_into_hub(elsewhere.hub_cache)
    found = removal.find_removable(elsewhere, "mlx-community/Qwen3-4B-bf16", wait=wait)
    assert found.for_good
    assert removal.remove(elsewhere, found) is None
    assert [p.name for p in elsewhere.hub_cache.iterdir() if "Qwen3" in p.name] == []


def replace_cache(forge, cache):
    from forgellm.services.parts import Parts

    cache.mkdir()
    return Parts(forge.workspace, cache, forge.environment, forge.clock, forge.inspections)
