"""Settings are kept under names; those that come with the product are what a spec takes."""

import threading

import pytest

from forgellm.domain.errors import InvalidField, PresetNotFound
from forgellm.domain.spec import parse_spec
from forgellm.services import presets
from forgellm.storage.presets import MOST, Preset, read_presets, write_preset

REST = {"model_name": "models/base/tiny", "dataset": "domain"}


@pytest.mark.parametrize("preset", presets.BUILT_IN, ids=lambda preset: preset.name)
def test_a_spec_takes_every_preset_that_comes_with_the_product(preset):
    parse_spec({**REST, "training_type": preset.training_type, **preset.values})


def test_ones_own_presets_are_kept_replaced_and_forgotten(forge):
    presets.save(forge, "mine", description="", values={"learning_rate": 1e-4})
    presets.save(forge, "mine", description="better", values={"training_type": "ift", "lora_keys": "a, b"})
    kept = presets.presets(forge)[-1]
    assert (kept.name, kept.description, kept.training_type) == ("mine", "better", "ift")
    assert kept.values == {"training_type": "ift", "lora_keys": ["a", "b"]}
    presets.remove(forge, "mine")
    assert presets.presets(forge) == list(presets.BUILT_IN)
    with pytest.raises(PresetNotFound):
        presets.remove(forge, "mine")


def test_a_value_that_no_spec_takes_is_refused(forge):
    with pytest.raises(InvalidField, match="lora_rank must be at least 1"):
        presets.save(forge, "mine", description="", values={"lora_rank": 0})


def test_the_presets_of_the_product_stay_as_they_are(forge):
    for change in (
        lambda: presets.save(forge, "cpt quick", description="", values={}),
        lambda: presets.remove(forge, "cpt quick"),
    ):
        with pytest.raises(InvalidField, match="stays as it is"):
            change()


def test_what_is_no_preset_in_the_file_is_passed_over(forge):
    path = forge.workspace.private / "presets" / "training.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"a": 1, "b": {"values": {"lora_rank": 8, "unknown": 1}}, "c": {"values": []}}')
    (kept,) = presets.presets(forge)[len(presets.BUILT_IN) :]
    assert (kept.name, kept.values) == ("b", {"lora_rank": 8})
    path.write_text("{")
    assert presets.presets(forge) == list(presets.BUILT_IN)


def test_two_who_keep_presets_at_once_lose_none(forge):
    def keep(number):
        write_preset(forge.workspace, "chat", Preset(f"preset {number}", "", {}))

    threads = [threading.Thread(target=keep, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_presets(forge.workspace, "chat")) == 8


def test_there_is_an_end_to_how_many_are_kept(forge):
    for number in range(MOST):
        write_preset(forge.workspace, "chat", Preset(f"preset {number}", "", {}))
    write_preset(forge.workspace, "chat", Preset("preset 0", "again", {}))
    with pytest.raises(InvalidField, match=f"{MOST} presets already"):
        write_preset(forge.workspace, "chat", Preset("one more", "", {}))
