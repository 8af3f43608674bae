"""A quantized model is what mlx-lm makes of it, and is measured on the validation set of its own run."""

from __future__ import annotations

import json
import shutil
from itertools import count
from pathlib import Path

import mlx.core as mx
import pytest
from mlx_lm.convert import convert
from mlx_lm.utils import load

from forgellm.data.corpus import load_corpus
from forgellm.domain.errors import InvalidField, InvalidModel, RunConflict
from forgellm.domain.runs import Event, Run, RunKind
from forgellm.forge import Forge
from forgellm.jobs.quantize import quantize
from forgellm.services import quantizing, runs, samples
from forgellm.storage.events import read_events
from forgellm.storage.models import find_model, is_quantized
from forgellm.storage.runs import list_runs, run_folder
from forgellm.training.adapters import load_base
from forgellm.training.losses import measure
from tests.jobs.conftest import PUBLISHED, job_of
from tests.services.conftest import wait_for


def quantized(forge: Forge, run: Run) -> tuple[Path, Event]:
    """The folder of the quantized model, and the last event of its run."""
    assert wait_for(forge, run)[-1] == "completed", runs.status(forge, run).failure
    end = runs.status(forge, run).progress.end or {}
    return forge.workspace.root / str(end["published_model_path"]), end


def test_losses_before_and_after_are_those_of_the_two_models(town: Forge, tmp_path: Path) -> None:
    folder, end = quantized(town, quantizing.quantize(town, PUBLISHED, bits=3, group_size=32))
    assert folder.name == "town-3bit"
    trained = next(run for run in list_runs(town.workspace) if run.kind.trains)
    valid = load_corpus(run_folder(town.workspace, trained) / "corpus").valid
    convert(str(town.workspace.root / PUBLISHED), str(tmp_path / "theirs"), True, q_bits=3, q_group_size=32)
    losses = {}
    for name, path in (("before", town.workspace.root / PUBLISHED), ("after", tmp_path / "theirs")):
        losses[name] = measure(load_base(path)[0], valid).loss
        assert end[f"validation_loss_{name}"] == pytest.approx(losses[name], abs=1e-6)
    assert losses["before"] != losses["after"]
    assert end["validation_tokens"] == int(valid.learned.sum())
    assert end["validation_data"] == f"validation set of {trained.id}"
    assert end["size_bytes"] < end["size_bytes_before"]  # type: ignore[operator]
    assert end["warning"] is None
    ours, theirs = (mx.load(str(path / "model.safetensors")) for path in (folder, tmp_path / "theirs"))
    assert ours.keys() == theirs.keys()  # type: ignore[union-attr]
    assert all(mx.array_equal(ours[name], theirs[name]) for name in ours)  # type: ignore[call-overload,index,union-attr]
    facts = json.loads((folder / "published.json").read_text())
    assert facts["validation_loss_after"] == end["validation_loss_after"]
    assert (facts["run"], facts["quantized_from"]) == (trained.id, PUBLISHED)
    # Those are the model's that it was made of.
    assert not facts.keys() & {
        "published_validation_loss",
        "general_validation_loss",
        "checkpoint_validation_loss",
    }
    card = (folder / "README.md").read_text()
    assert f"before {losses['before']:.4f}, after {losses['after']:.4f}" in card


def test_a_recipe_mixes_bits_and_the_model_can_be_used(town: Forge) -> None:
    started = quantizing.quantize(town, PUBLISHED, recipe="mixed_3_6", group_size=32, dataset="questions")
    folder, end = quantized(town, started)
    config = json.loads((folder / "config.json").read_text())["quantization"]
    bits = {value["bits"] for value in config.values() if isinstance(value, dict)}
    assert bits == {3, 6}
    assert 3 < float(str(end["bits_per_weight"])) < 8
    assert end["validation_data"] == "what a run on questions with default settings holds out"
    assert float(str(end["validation_loss_before"])) != float(str(end["validation_loss_after"]))
    found = find_model(town.workspace, town.hub_cache, f"models/published/{folder.name}")
    assert is_quantized(found.config)
    model, tokenizer = load(str(folder))  # type: ignore[misc]
    assert model(mx.array([tokenizer.encode("In Fernhope")])).shape[-1] == 512
    with pytest.raises(InvalidModel, match="is quantized already"):
        quantizing.quantize(town, found.name)


def test_without_data_nothing_is_measured_and_the_reason_is_told(town: Forge) -> None:
    _, end = quantized(town, quantizing.quantize(town, "models/base/tiny", name="small"))
    assert end["validation_loss_before"] is end["validation_loss_after"] is end["validation_tokens"] is None
    assert str(end["validation_data"]).startswith("not measured: no dataset was named")
    with pytest.raises(RunConflict, match="models/published/small exists already"):
        quantizing.quantize(town, "models/base/tiny", name="small")


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"bits": 5}, "bits 5 is not one of 2, 3, 4, 6, 8"),
        ({"group_size": 48}, "group_size 48 is not one of 32, 64, 128"),
        ({"recipe": "mixed_1_2"}, "recipe 'mixed_1_2' is not one of"),
        ({"bits": 4, "recipe": "mixed_3_6"}, "exclude each other"),
    ],
)
def test_what_mlx_cannot_do_starts_no_run(town: Forge, wish: dict[str, object], words: str) -> None:
    before = len(list_runs(town.workspace))
    with pytest.raises(InvalidField, match=words):
        quantizing.quantize(town, PUBLISHED, **wish)  # type: ignore[arg-type]
    assert len(list_runs(town.workspace)) == before


def test_groups_that_divide_no_layer_are_refused_before_a_run(town: Forge) -> None:
    samples.bring_model(town)
    with pytest.raises(
        InvalidField, match=r"no layer of models/base/lough-tiny .* in groups of 64"
    ) as caught:
        quantizing.quantize(town, "models/base/lough-tiny", bits=4)
    assert caught.value.suggestion.startswith("Choose group_size 32")


def test_a_model_most_of_which_stays_as_it_was_is_told_of(town: Forge) -> None:
    samples.bring_model(town)
    spec = {
        "model_name": "models/base/lough-tiny",
        "bits": 4,
        "recipe": None,
        "group_size": 32,
        "name": "little",
    }
    end = quantize(job_of(town, RunKind.QUANTIZE, spec, control=lambda: "run")).values
    warning = (
        "only 17 % of the weights are in fewer bits: the widths of the other layers are no multiples of 32"
    )
    assert str(end["warning"]).startswith(warning)
    assert end["quantized_share"] == pytest.approx(0.1687, abs=1e-4)
    assert f"Note: {warning}" in (town.workspace.published / "little" / "README.md").read_text()
    shutil.rmtree(town.workspace.published / "little")


def test_a_stop_is_obeyed_at_every_look_and_leaves_nothing(town: Forge) -> None:
    spec = {"model_name": PUBLISHED, "bits": 4, "recipe": None, "group_size": 32, "name": "unwanted"}
    phases: list[object] = []
    for looks in count():
        answers = iter(["run"] * looks)
        job = job_of(town, RunKind.QUANTIZE, spec, control=lambda: next(answers, "stop"))  # noqa: B023
        outcome = quantize(job)
        events = read_events(job.folder)
        job.log.append(outcome.type)
        assert not list(town.workspace.published.glob(".building*"))
        if outcome.type == "completed":
            break
        assert events[-1]["type"] == "stopping"
        assert not list(town.workspace.published.glob("unwanted"))
        phases += [event["phase"] for event in events if event["type"] == "phase"][-1:]
    assert list(dict.fromkeys(phases)) == [
        "measuring the model as it is",
        "quantizing",
        "measuring the quantized model",
    ]
    shutil.rmtree(town.workspace.published / "unwanted")
