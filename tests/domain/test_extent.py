from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgellm.domain.errors import InvalidField
from forgellm.domain.extent import folder_name, sequence_length, total_iterations
from forgellm.domain.spec import parse_spec

NEEDED = {"model_name": "models/base/tiny", "training_type": "cpt", "dataset": "domain"}


def test_the_folder_of_a_run_says_what_it_was_trained_with():
    created = datetime(2025, 1, 15, 10, 30, 45)
    spec = parse_spec(NEEDED | {"model_name": "Qwen/Qwen3-4B-bf16", "max_iterations": 500})
    name = folder_name(spec, max_seq_length=3072, created=created)
    assert name == "Qwen3_4B_bf16_lr5e_05_bs2_iter500_seq3072_2025-01-15_10-30"
    spec = parse_spec(NEEDED | {"model_name": "models/base/../é/", "learning_rate": 0.00015, "epochs": 1.5})
    name = folder_name(spec, max_seq_length=64, created=created)
    assert name == "model_lr0_00015_bs2_ep1_5_seq64_2025-01-15_10-30"


@given(model=st.text(min_size=1, max_size=300), rate=st.floats(1e-12, 1e12))
def test_the_folder_of_a_run_is_always_a_plain_short_name(model, rate):
    spec = parse_spec(NEEDED | {"model_name": model, "learning_rate": rate})
    name = folder_name(spec, max_seq_length=64, created=datetime(2025, 1, 15))
    assert name.replace("_", "").replace("-", "").isalnum()
    assert name.isascii()
    assert len(name) < 200


def test_sequences_are_as_long_as_asked_and_at_most_the_context():
    assert sequence_length(parse_spec(NEEDED), 512) == 512
    assert sequence_length(parse_spec(NEEDED), 32768) == 2048
    assert sequence_length(parse_spec(NEEDED), None) == 2048
    asking = parse_spec(NEEDED | {"max_seq_length": 600})
    assert sequence_length(asking, 1024) == 600
    with pytest.raises(InvalidField, match="context is 512"):
        sequence_length(asking, 512)


def test_sequences_overlap_by_at_most_half():
    asking = parse_spec({**NEEDED, "chunk_overlap": 256})
    assert sequence_length(asking, 512) == 512
    with pytest.raises(InvalidField, match="more than half of a sequence of 511"):
        sequence_length(asking, 511)


def test_epochs_become_iterations_rounded_up():
    assert total_iterations(parse_spec(NEEDED), 10) == 500
    assert total_iterations(parse_spec(NEEDED | {"max_iterations": 7}), 10) == 7
    spec = parse_spec(NEEDED | {"epochs": 1.5, "grad_accumulation_steps": 4})
    assert total_iterations(spec, 11) == 5
    with pytest.raises(InvalidField, match="2 batches"):
        total_iterations(spec, 1)
