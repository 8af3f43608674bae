"""A run that does not fit into memory hears which changes of its settings would make it fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forgellm.domain.extent import sequence_length
from forgellm.domain.spec import parse_spec, to_dict
from forgellm.services.fitting import ways_to_fit
from forgellm.services.learnable import learnable
from forgellm.services.memory import estimate
from forgellm.storage.models import ModelFolder, read_model_config

LENGTH = 512
WISH = {
    "model_name": "tiny",
    "training_type": "cpt",
    "dataset": "none",
    "batch_size": 8,
    "validation_tokens": 64,
}


@pytest.fixture
def base(tiny_model):
    return ModelFolder("tiny", tiny_model, read_model_config("tiny", tiny_model))


def peak(base, spec):
    shorter = min(LENGTH, spec.max_seq_length or LENGTH)
    return estimate(base, spec, learnable(base, spec), length=shorter).total


@pytest.mark.parametrize("share", [2, 24])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"fine_tune_type": "full"},
        {"lora_dropout": 0.1},
        {"packing": 512},
        {"training_type": "ift", "objective": "dpo"},
    ],
    ids=str,
)
def test_every_way_says_the_peak_that_a_run_changed_like_that_would_have(base, change, share):
    spec = parse_spec({**WISH, **change})
    room = peak(base, spec) // share
    ways = ways_to_fit(base, spec, length=LENGTH, room=room)
    assert ways
    for way in ways:
        assert way.total == peak(base, replace(spec, **way.changes)) <= room


def test_the_first_way_trains_the_same_sequences_in_an_update_and_is_the_mildest(base):
    spec = parse_spec({**WISH, "grad_accumulation_steps": 3})
    halved = replace(spec, batch_size=4, grad_accumulation_steps=6)
    first = ways_to_fit(base, spec, length=LENGTH, room=peak(base, halved))[0]
    assert first.changes == {"batch_size": 4, "grad_accumulation_steps": 6}


def test_of_one_packed_row_half_is_trained_at_a_time_and_as_many_tokens_in_an_update(base):
    spec = parse_spec({**WISH, "batch_size": 1, "packing": 512, "max_seq_length": 128})
    ways = ways_to_fit(base, spec, length=128, room=peak(base, spec) - 1)
    assert ways[0].changes == {"packing": 256, "grad_accumulation_steps": 2}
    smallest = {"packing": 128, "grad_accumulation_steps": 4}
    ways = ways_to_fit(base, spec, length=128, room=peak(base, replace(spec, **smallest)))
    assert ways[0].changes == smallest


@pytest.mark.parametrize(
    "change",
    [
        {"lora_dropout": 0.1},
        {"chunk_overlap": 128},
        {"hosts": ["a", "b"]},
        {"hosts": ["a", "b"], "packing": 512},
    ],
    ids=str,
)
def test_nothing_is_suggested_that_does_not_go_together(base, change):
    spec = parse_spec({**WISH, **change})
    ways = ways_to_fit(base, spec, length=LENGTH, room=peak(base, spec) // 2)
    assert ways
    for way in ways:
        sequence_length(parse_spec({**WISH, **change, **way.changes}), None)
        assert not ("lora_dropout" in change and "grad_checkpoint" in way.changes)


def test_a_suggestion_is_one_that_a_spec_takes_field_by_field_too(base):
    spec = parse_spec({**WISH, "grad_accumulation_steps": 4096})
    ways = ways_to_fit(base, spec, length=LENGTH, room=peak(base, spec) // 2)
    assert ways
    for way in ways:
        assert parse_spec({**to_dict(spec), **way.changes}).grad_accumulation_steps == 4096


def test_where_the_weights_alone_are_too_large_no_way_is_named(base):
    assert ways_to_fit(base, parse_spec(WISH), length=LENGTH, room=1000) == []
