"""Before a run is started one hears what it will be, and everything that would go wrong with it."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from forgellm.cli.plan_view import plan_lines
from forgellm.domain.errors import InvalidField
from forgellm.domain.runs import RunKind
from forgellm.domain.spec import parse_spec, to_dict
from forgellm.forge import Forge
from forgellm.inference.memory import Room
from forgellm.services import findings, memory, pace, samples, training
from forgellm.services.preflight import preflight
from forgellm.services.spec_text import read_yaml
from forgellm.settings import Settings
from forgellm.storage.checkpoints import read_checkpoints
from forgellm.storage.events import EventLog
from forgellm.storage.files import write_json
from forgellm.storage.runs import create_run, list_runs, run_folder
from tests.services.conftest import wait_for


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_model, hub_cache):
    """A workspace with a run that has ended, and the values that it was started with."""
    root = tmp_path_factory.mktemp("trained") / "workspace"
    shutil.copytree(tiny_model, root / "models" / "base" / "tiny")
    forge = Forge(Settings(workspace=root, hub_cache=hub_cache))
    samples.bring_dataset(forge, "everyday")
    wish = {"model_name": "models/base/tiny", "training_type": "cpt", "dataset": "everyday", "lora_rank": 4}
    wish |= {"max_seq_length": 64, "max_iterations": 4, "save_every": 2, "validation_tokens": 256}
    wait_for(forge, training.start(forge, wish))
    return root, wish


@pytest.fixture
def after(trained, tmp_path, hub_cache):
    """A copy of that workspace to change, its run, and those values."""
    root = tmp_path / "after"
    shutil.copytree(trained[0], root)
    forge = Forge(Settings(workspace=root, hub_cache=hub_cache))
    (run,) = list_runs(forge.workspace)
    return forge, run, trained[1]


def codes(found, level="problem"):
    return {finding.code: finding.field for finding in found.findings if finding.level == level}


def test_a_wish_without_fault_can_start_and_says_what_the_run_will_be(forge, short_run):
    found = preflight(forge, short_run, queue=False)
    assert found.can_start
    assert found.plan.course.iterations == 4
    assert found.plan.checkpoints.written == 2
    assert found.plan.memory.total > found.plan.memory.weights > 0
    assert found.learning_rate[0] == (0, found.spec.learning_rate)
    assert found.learning_rate[-1][0] == 3
    assert found.changed == ["max_iterations", "max_seq_length", "save_every"]


def test_the_command_and_the_yaml_start_the_same_run(forge, short_run):
    wish = {**short_run, "sample_prompts": ["One, two", "-x"], "grad_checkpoint": True, "max_grad_norm": None}
    found = preflight(forge, wish, queue=False)
    assert parse_spec(read_yaml(found.yaml, name="yaml")) == found.spec
    assert to_dict(_from_command(found.command)) == to_dict(found.spec)


def _from_command(command):
    """The spec that the command line would start, read by the command itself."""
    import click

    from forgellm.cli.fields import field_options, given

    kept = {}
    program = click.command()(field_options(lambda **options: kept.update(given(options))))
    program.main(shlex.split(command)[2:], standalone_mode=False)
    return parse_spec(kept)


def test_a_form_that_is_half_filled_in_says_what_is_missing_and_what_is_known(forge):
    found = preflight(forge, {"model_name": "models/base/tiny"}, queue=False)
    assert {f.field for f in found.findings if f.level == "problem"} == {"training_type", "dataset"}
    assert found.plan.memory is not None
    assert found.command is None
    assert found.unknown["data"]


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"learning_rate": "much"}, "INVALID_FIELD", "learning_rate"),
        ({"learning_rat": 1e-4}, "INVALID_FIELD", "learning_rat"),
        ({"epochs": 2, "max_iterations": 5}, "INVALID_FIELD", "epochs"),
        ({"model_name": "models/base/nothing"}, "MODEL_NOT_FOUND", "model_name"),
        ({"model_name": "someone/not-cached"}, "MODEL_NOT_FOUND", "model_name"),
        ({"dataset": "nothing"}, "DATASET_NOT_FOUND", "dataset"),
        ({"dataset": "../elsewhere"}, "INVALID_PATH", "dataset"),
        ({"general_dataset": "gneral", "data_mixture_ratio": 0.5}, "DATASET_NOT_FOUND", "general_dataset"),
        ({"max_seq_length": 100_000}, "INVALID_FIELD", "max_seq_length"),
        ({"start_from": "cpt_20200101_000000"}, "RUN_NOT_FOUND", "start_from"),
        ({"start_from": "models/base/tiny"}, "INVALID_ADAPTER", "start_from"),
        ({"training_type": "ift"}, "INVALID_DATASET", "dataset"),
    ],
    ids=lambda value: str(value),
)
def test_what_a_start_would_refuse_is_a_problem_of_that_field(forge, short_run, wrong, code, field):
    found = preflight(forge, {**short_run, **wrong}, queue=False)
    assert not found.can_start
    assert codes(found).get(code) == field


@pytest.mark.parametrize(
    "wrong",
    [
        {"hosts": ["mac1.local"]},
        {"hosts": ["a", "b", "c"]},
        {"hosts": ["a", "b"], "lora_init": "pissa"},
        {"epochs": 2, "max_iterations": 5},
        {"objective": "dpo"},
    ],
    ids=str,
)
def test_a_contradiction_hides_nothing_else_that_is_known(forge, short_run, wrong):
    found = preflight(forge, {**short_run, **wrong}, queue=False)
    assert not found.can_start
    assert found.command is None
    assert found.plan.memory is not None
    assert found.plan.data is not None
    assert [f.code for f in found.findings if f.level == "problem"] == ["INVALID_FIELD"]


@pytest.mark.parametrize(
    ("unusual", "code"),
    [
        ({"learning_rate": 0.5}, "UNUSUAL_LEARNING_RATE"),
        ({"learning_rate": 1e-3, "fine_tune_type": "full"}, "UNUSUAL_LEARNING_RATE"),
        ({"max_iterations": 5000}, "MANY_EPOCHS"),
        ({"hosts": "elsewhere=192.0.2.7,other.invalid"}, "HOST_LOST"),
        ({"hosts": "127.0.0.1,elsewhere=192.0.2.7"}, "HOST_LOST"),
        ({"epochs": 1, "warmup_steps": 5000, "max_iterations": None}, "LONG_WARMUP"),
        ({"batch_size": 4000}, "TOO_FEW_SEQUENCES"),
    ],
    ids=lambda value: str(value),
)
def test_what_is_allowed_and_seldom_meant_is_a_warning(forge, short_run, unusual, code):
    found = preflight(forge, {**short_run, **unusual}, queue=False)
    assert code in codes(found, "warning")


def test_bad_rows_are_named_with_file_and_line(forge, short_run):
    rows = forge.workspace.datasets / "questions" / "train.jsonl"
    rows.write_text(rows.read_text() + '{"prompt": "Where?"}\n')
    found = preflight(forge, {**short_run, "training_type": "ift", "dataset": "questions"}, queue=False)
    (message,) = [f.message for f in found.findings if f.code == "INVALID_DATASET"]
    assert message.startswith("questions/train.jsonl, line 41: ")


def test_a_link_that_leads_nowhere_is_a_problem_of_the_dataset(forge, short_run):
    folder = forge.workspace.datasets / "linked"
    folder.mkdir()
    (folder / "a.txt").write_text("The market is held on Monday. " * 99)
    (folder / "b.txt").symlink_to("nowhere")
    found = preflight(forge, {**short_run, "dataset": "linked"}, queue=False)
    assert codes(found)["INVALID_DATASET"] == "dataset"


def test_more_memory_than_there_is_is_a_warning_that_can_be_overridden(forge, short_run):
    config = forge.workspace.base_models / "tiny" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "max_position_embeddings": 10**7}))
    found = preflight(forge, {**short_run, "max_seq_length": 10**7, "batch_size": 64}, queue=False)
    assert found.can_start
    assert "OUT_OF_MEMORY" in codes(found, "warning")
    assert memory.fit(found.plan.memory.total, found.machine.limit) == "too large"


def test_general_data_that_a_start_would_bring_is_no_problem(forge, short_run):
    shutil.rmtree(forge.workspace.datasets / "general")
    found = preflight(forge, {**short_run, "data_mixture_ratio": 0.8}, queue=False)
    assert found.can_start
    assert found.spec.general_dataset == "everyday"
    assert not (forge.workspace.datasets / "everyday").exists()


def test_a_quantized_base_cannot_learn_as_a_whole(forge, short_run, tiny_model_quantized):
    shutil.copytree(tiny_model_quantized, forge.workspace.base_models / "tiny4")
    wish = {**short_run, "model_name": "tiny4"}
    whole = preflight(forge, {**wish, "fine_tune_type": "full"}, queue=False)
    assert codes(whole) == {"INVALID_FIELD": "fine_tune_type"}
    principal = preflight(forge, {**wish, "lora_init": "pissa"}, queue=False)
    assert codes(principal) == {"INVALID_FIELD": "lora_init"}
    for field, value in (("fine_tune_type", "full"), ("lora_init", "pissa")):
        with pytest.raises(InvalidField, match="needs whole weights") as refused:
            training.start(forge, {**wish, field: value})
        assert refused.value.details == {"field": field}
    with pytest.raises(InvalidField, match="has only 32 singular values"):
        training.start(forge, {**short_run, "lora_init": "pissa", "lora_rank": 33})
    assert list_runs(forge.workspace) == []
    factors = preflight(forge, wish, queue=False)
    assert factors.can_start
    plain = preflight(forge, short_run, queue=False)
    assert factors.plan.learns == plain.plan.learns


def test_what_several_parts_of_the_plan_refuse_is_said_once(forge, short_run):
    found = preflight(forge, {**short_run, "packing": 100_000}, queue=False)
    assert [f.field for f in found.findings if f.level == "problem"] == ["packing"]


def test_documents_that_are_hardly_text_are_not_counted_by_their_size(forge, short_run):
    (forge.workspace.datasets / "domain" / "Manual.PDF").write_bytes(b"%PDF-1.7 " + bytes(200_000))
    found = preflight(forge, short_run, queue=False)
    assert found.plan.data is None
    assert "not say it by their size" in found.unknown["data"]
    assert "do not say it by their size" in "\n".join(plan_lines(found))


@pytest.mark.parametrize(
    ("epochs", "said"), [(2000.4, "2,000"), (12.345, "12.3"), (0.5, "0.5"), (1e-5, "less than 0.01")]
)
def test_epochs_are_told_as_people_write_them(forge, short_run, epochs, said):
    found = preflight(forge, short_run, queue=False)
    plan = replace(found.plan, course=replace(found.plan.course, epochs=epochs))
    (length,) = [line for line in plan_lines(replace(found, plan=plan)) if line.startswith("Length")]
    assert f", {said} epochs" in length


def with_experts(forge, *, stacked):
    """A base that is a mixture of experts, as mlx-lm writes it or as its maker does; only headers count."""
    folder = forge.workspace.base_models / "experts"
    shutil.copytree(forge.workspace.base_models / "tiny", folder, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", {**config, "num_experts": 2})
    weights = load_file(folder / "model.safetensors")
    for block in (0, 1):
        name = f"model.layers.{block}.mlp"
        whole = weights.pop(f"{name}.up_proj.weight")
        if stacked:
            weights[f"{name}.switch_mlp.up_proj.weight"] = np.stack([whole, whole])
        else:
            weights |= {f"{name}.experts.{n}.up_proj.weight": whole.copy() for n in (0, 1)}
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize("key", ["self_attn.nosuch", "q_proj", "mlp.experts.0.up_proj", "input_layernorm"])
def test_a_key_that_no_module_has_is_a_problem_before_a_start(forge, short_run, key):
    found = preflight(forge, {**short_run, "lora_keys": ["self_attn.q_proj", key]}, queue=False)
    assert codes(found) == {"INVALID_FIELD": "lora_keys"}
    (named,) = [f for f in found.findings if f.level == "problem"]
    assert f"has no module '{key}'" in named.message
    assert "A block of it has: mlp.down_proj, mlp.gate_proj" in named.suggestion
    with pytest.raises(InvalidField, match="has no module"):
        training.start(forge, {**short_run, "lora_keys": [key]})


def test_keys_outside_the_blocks_and_of_one_block_can_start(forge, short_run):
    for key in ("model.embed_tokens", "model.layers.1.self_attn.q_proj"):
        assert preflight(forge, {**short_run, "lora_keys": [key]}, queue=False).can_start


def test_keys_that_only_earlier_blocks_have_leave_nothing_to_learn(forge, short_run):
    folder = forge.workspace.base_models / "uneven"
    shutil.copytree(forge.workspace.base_models / "tiny", folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.mamba.in_proj.weight"] = weights.pop("model.layers.0.self_attn.q_proj.weight")
    save_file(weights, folder / "model.safetensors")
    wish = {**short_run, "model_name": "uneven", "lora_keys": ["mamba.in_proj"]}
    assert codes(preflight(forge, {**wish, "num_layers": 1}, queue=False)) == {"INVALID_FIELD": "num_layers"}
    assert preflight(forge, wish, queue=False).can_start


@pytest.mark.parametrize("stacked", [True, False])
def test_dora_of_experts_is_a_problem_and_a_module_with_another_name_than_its_weights_is_none(
    forge, short_run, stacked
):
    with_experts(forge, stacked=stacked)
    wish = {**short_run, "model_name": "experts"}
    assert preflight(forge, wish, queue=False).can_start
    dora = {**wish, "fine_tune_type": "dora"}
    assert codes(preflight(forge, dora, queue=False)) == {"INVALID_FIELD": "fine_tune_type"}
    assert preflight(forge, {**dora, "lora_keys": ["self_attn.q_proj"]}, queue=False).can_start
    experts = {"lora_keys": ["mlp.switch_mlp.up_proj"]}
    assert codes(preflight(forge, {**dora, **experts}, queue=False)) == {"INVALID_FIELD": "fine_tune_type"}
    assert preflight(forge, {**wish, **experts}, queue=False).can_start


def test_a_finished_run_makes_the_counts_exact_and_tells_the_time(after):
    forge, run, wish = after
    folder = run_folder(forge.workspace, run)
    counted = json.loads((folder / "corpus" / "corpus.json").read_text())["summary"]
    found = preflight(forge, wish, queue=False)
    assert (found.plan.data.exact, found.plan.data.sequences) == (True, counted["train_sequences"])
    assert found.plan.checkpoints.size_bytes < read_checkpoints(folder)[0].size_bytes
    # Four iterations of the tiny model are over too soon to tell a pace: a minute's worth is written here.
    assert found.plan.duration is None
    assert "finished run" in found.unknown["time"]
    said = {"iteration": 4, "training_seconds": 60.0, "trained_tokens": 6000}
    EventLog(folder, forge.clock).append("completed", **said)
    hundred = preflight(forge, {**wish, "max_iterations": 100}, queue=False).plan
    assert hundred.duration.tokens_per_second == 100.0
    assert hundred.duration.seconds >= hundred.course.trained_tokens / 100.0
    assert run.id in hundred.duration.basis
    assert pace.expected(forge, run).tokens_per_second == 100.0
    # To learn preferences, the base is asked about every pair first.
    write_pairs(forge)
    pairs = {**wish, "training_type": "ift", "dataset": "pairs", "objective": "dpo"}
    preferring = preflight(forge, {**pairs, "max_iterations": 100}, queue=False).plan
    trained = preferring.course.trained_tokens / 100.0
    asked = (preferring.data.tokens + preferring.data.valid_tokens) / 100.0
    assert preferring.duration.seconds >= trained + asked / 2
    # Data that has changed since is counted anew.
    (forge.workspace.datasets / "everyday" / "new.md").write_text("A line that nobody has seen before.\n")
    assert not preflight(forge, wish, queue=False).plan.data.exact


def test_another_run_is_a_problem_unless_this_one_may_wait(forge, short_run):
    spec = to_dict(parse_spec(short_run))
    create_run(
        forge.workspace,
        RunKind.CPT,
        spec=spec,
        name=None,
        created=forge.clock(),
        versions={},
        base_fingerprint=None,
    )
    assert codes(preflight(forge, short_run, queue=False)) == {"RUN_CONFLICT": "queue"}
    waiting = preflight(forge, short_run, queue=True)
    assert waiting.can_start
    assert "QUEUED" in codes(waiting, "note")


def test_a_run_that_starts_from_another_takes_its_form_and_base(after):
    forge, first, values = after
    wish = {name: value for name, value in values.items() if name not in ("model_name", "lora_rank")}
    found = preflight(forge, {**wish, "start_from": f"{first.id}@2"}, queue=False)
    assert found.can_start
    assert (found.spec.model_name, found.spec.lora_rank) == (values["model_name"], 4)
    assert found.spec.start_from == f"{first.folder}/0000002_adapters.safetensors"
    best = read_checkpoints(run_folder(forge.workspace, first))[0]
    assert preflight(forge, {**wish, "start_from": first.id}, queue=False).spec.start_from == best.path
    damaged = forge.workspace.root / best.path
    damaged.write_bytes(damaged.read_bytes()[:-100])
    refused = preflight(forge, {**wish, "start_from": best.path}, queue=False)
    assert codes(refused) == {"INVALID_ADAPTER": "start_from"}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"fine_tune_type": "full"},
        {"fine_tune_type": "dora"},
        {"num_layers": 1},
        {"lora_rank": 4},
        {"train_also": ["embeddings", "norms"]},
        {"lora_keys": ["self_attn.q_proj"]},
    ],
    ids=str,
)
def test_what_learns_is_counted_as_the_engine_counts_it(forge, short_run, change, tiny_model):
    from forgellm.storage.adapters import config_of
    from forgellm.training.adapters import attach, load_base, trainable_weights

    found = preflight(forge, {**short_run, **change}, queue=False)
    model, _ = load_base(tiny_model)
    attach(model, config_of(found.spec))
    weights = trainable_weights(model).values()
    assert found.plan.learns.parameters == sum(w.size for w in weights)
    assert found.plan.learns.size_bytes == sum(w.nbytes for w in weights)


def test_pairs_take_twice_the_room_and_principal_factors_lie_beside_those_they_began_with(forge, short_run):
    write_pairs(forge)
    plain = preflight(forge, short_run, queue=False)
    wish = {**short_run, "training_type": "ift", "dataset": "pairs", "objective": "dpo", "lora_init": "pissa"}
    found = preflight(forge, wish, queue=False)
    assert found.can_start
    assert found.plan.data.sequences == 18
    assert found.plan.memory.logits == 2 * plain.plan.memory.logits
    assert found.plan.memory.adapter == 2 * plain.plan.memory.adapter
    assert found.plan.checkpoints.size_bytes == 2 * plain.plan.checkpoints.size_bytes
    mixed = preflight(forge, {**wish, "training_type": "cpt"}, queue=False)
    assert codes(mixed)["INVALID_FIELD"] == "objective"


@pytest.mark.parametrize(
    "change",
    [
        {"packing": 10**7, "batch_size": 1},
        {"packing": 10**6, "batch_size": 64, "grad_checkpoint": True, "max_seq_length": 10**6},
        {"training_type": "ift", "dataset": "pairs", "objective": "dpo", "batch_size": 4096},
    ],
    ids=str,
)
def test_what_would_make_a_packed_run_or_one_of_pairs_fit_does_so_where_it_is_done(forge, short_run, change):
    write_pairs(forge)
    config = forge.workspace.base_models / "tiny" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "max_position_embeddings": 10**7}))
    wish = {**short_run, "max_seq_length": 4096, **change}
    found = preflight(forge, wish, queue=False)
    assert found.plan.ways
    for way in found.plan.ways:
        changed = preflight(forge, {**wish, **way.changes}, queue=False)
        assert changed.plan.memory.total == way.total < found.plan.memory.total
        assert way.total <= min(found.machine.limit, found.machine.available)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {},
            "Lower batch_size or max_seq_length, set grad_checkpoint, or use a smaller or quantized base.",
        ),
        (
            {"packing": 64, "batch_size": 1, "lora_dropout": 0.1},
            "Lower packing or max_seq_length, or use a smaller or quantized base.",
        ),
        (
            {"hosts": "a,b", "fine_tune_type": "full", "grad_checkpoint": True},
            "Lower max_seq_length, or use a smaller base.",
        ),
    ],
)
def test_where_memory_is_tight_only_that_is_named_which_still_helps(forge, short_run, change, words):
    found = preflight(forge, {**short_run, **change}, queue=False)
    needed = found.plan.memory
    known = memory.Machine(needed.total, needed.total, needed.total, "all of it")
    (finding,) = findings.of_memory(found.spec, needed, known=known, ways=[])
    assert (finding.code, finding.suggestion) == ("MEMORY_TIGHT", words)


def test_rows_are_as_wide_as_the_longest_sequence_that_was_counted_needs(after):
    forge, run, wish = after
    wish = {**wish, "packing": 256}
    manifest = run_folder(forge.workspace, run) / "corpus" / "corpus.json"
    counted = json.loads(manifest.read_text())
    long = preflight(forge, wish, queue=False).plan
    counted["summary"] |= {"longest_sequence": 20, "general": {"longest_sequence": 32}}
    write_json(manifest, counted)
    short = preflight(forge, wish, queue=False).plan
    assert (long.data.longest, short.data.longest) == (64, 32)
    assert 0 < short.memory.activations < long.memory.activations


def test_a_model_that_does_not_say_how_wide_it_is_has_its_own_reason(forge, short_run, workspace):
    path = workspace.base_models / "tiny" / "config.json"
    config = json.loads(path.read_text())
    del config["num_attention_heads"]
    path.write_text(json.dumps(config))
    found = preflight(forge, short_run, queue=False)
    assert found.plan.memory is None
    assert "attention heads" in found.unknown["memory"]


def test_a_container_has_what_it_may_use(tmp_path):
    allowed = tmp_path / "memory.max"
    allowed.write_text("1000000000\n")
    assert memory.machine("Linux", allowed).limit == 10**9
    allowed.write_text("max\n")
    whole = memory.machine("Linux", allowed)
    assert whole.limit == whole.total
    mac = memory.machine("Darwin", allowed)
    assert 0.6 * mac.total < mac.limit < 0.85 * mac.total
    assert memory.room(mac, "Darwin") == Room(mac.available, mac.limit)
    assert memory.room(whole, "Linux") == Room(whole.available)
    assert memory.usable(mac, "Darwin") == mac.limit
    assert memory.usable(whole, "Linux") == min(whole.limit, whole.available)


def test_a_run_from_elsewhere_says_nothing_and_breaks_nothing(after):
    forge, run, wish = after
    manifest = run_folder(forge.workspace, run) / "run.json"
    write_json(manifest, {**json.loads(manifest.read_text()), "spec": {"learning_rate": "?"}})
    assert preflight(forge, wish, queue=False).can_start


def write_pairs(forge):
    """The dataset `pairs`: 20 preferences."""
    row = {"prompt": "When?", "chosen": "On Monday.", "rejected": "Never."}
    folder = forge.workspace.datasets / "pairs"
    folder.mkdir()
    rows = "".join(json.dumps({**row, "prompt": f"When is {n}?"}) + "\n" for n in range(20))
    (folder / "train.jsonl").write_text(rows)
