"""Models and datasets as lists, and the state of the machine."""

import os
import shutil
from pathlib import Path

from forgellm.domain.runs import RunKind
from forgellm.services.current import current
from forgellm.services.datasets import BYTES_PER_TOKEN, datasets
from forgellm.services.health import health
from forgellm.services.models import catalogue, folder_size
from forgellm.storage.runs import create_run, run_folder


def created(forge, kind, name):
    return create_run(
        forge.workspace, kind, spec={}, name=name, created=forge.clock(), versions={}, base_fingerprint=None
    )


def test_models_are_listed_by_what_they_are(forge):
    first = created(forge, RunKind.CPT, "first")
    second = created(forge, RunKind.CPT, "second")
    empty = created(forge, RunKind.IFT, "empty")
    for run in (first, second):
        (run_folder(forge.workspace, run) / "adapters.safetensors").write_bytes(b"x" * 1000)
    published = forge.workspace.published / "mine"
    published.mkdir(parents=True)
    (published / "config.json").write_text("{}")
    found = catalogue(forge)
    assert [model.name for model in found.base] == ["models/base/tiny"]
    assert [(model.path, model.run) for model in found.cpt] == [("cpt/second", second), ("cpt/first", first)]
    assert found.cpt[0].size_bytes >= 1000
    assert found.ift == []
    assert run_folder(forge.workspace, empty).is_dir()
    assert [model.path for model in found.published] == ["published/mine"]


def test_a_published_model_that_is_a_link_out_of_the_workspace_is_left_out(forge, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "config.json").write_text("{}")
    forge.workspace.published.mkdir(parents=True)
    (forge.workspace.published / "outside").symlink_to(outside)
    assert catalogue(forge).published == []


def test_a_hard_link_counts_once_and_a_link_as_what_it_means(tmp_path: Path):
    (tmp_path / "weights").write_bytes(b"x" * 500)
    os.link(tmp_path / "weights", tmp_path / "best")
    (tmp_path / "snapshot").symlink_to("weights")
    (tmp_path / "dangling").symlink_to("nothing")
    assert folder_size(tmp_path) == 500


def test_a_dataset_is_listed_with_its_size_and_an_estimate(forge):
    (forge.workspace.datasets / "questions" / ".hidden").write_text("not counted")
    found = {info.name: info for info in datasets(forge)}
    assert sorted(found) == ["domain", "general", "questions"]
    size = (forge.workspace.datasets / "questions" / "train.jsonl").stat().st_size
    assert found["questions"].path == "dataset/questions"
    assert (found["questions"].file_count, found["questions"].size_bytes) == (1, size)
    assert found["questions"].estimated_tokens == size // BYTES_PER_TOKEN


def test_health_is_measured(forge):
    found = health(forge)
    assert found.training_run is None
    assert 0 < found.memory_available <= found.memory_total
    assert found.disk_free > 0
    assert found.mlx_version


def test_a_workspace_that_has_gone_has_no_disk(forge):
    shutil.rmtree(forge.workspace.root)
    assert health(forge).disk_free is None


def test_without_any_training_run_there_is_no_current_one(forge):
    assert current(forge) is None
    created(forge, RunKind.PUBLISH, None)
    assert current(forge) is None
    old, new = created(forge, RunKind.CPT, "old"), created(forge, RunKind.CPT, "new")
    assert current(forge) in (old, new)
