"""How many rows and batches a corpus comes to before it is laid out."""

from __future__ import annotations

import pytest

from forgellm.domain.errors import InvalidField
from forgellm.domain.extent import sequence_length
from forgellm.domain.rows import batch_shapes, batches_per_epoch
from forgellm.domain.spec import parse_spec

NEEDED = {"model_name": "m", "training_type": "ift", "dataset": "d", "batch_size": 2}


def test_without_packing_a_row_is_a_sequence():
    spec = parse_spec(NEEDED)
    assert batches_per_epoch(spec, sequences=7, tokens=10**6) == 4
    assert batch_shapes(spec, 300) == [(2, 300)]


def test_packed_batches_are_counted_by_their_tokens_and_are_never_more_than_sequences():
    spec = parse_spec(NEEDED | {"packing": 512})
    assert batches_per_epoch(spec, sequences=10_000, tokens=90 * 1024) == 100
    assert batches_per_epoch(spec, sequences=10, tokens=10 * 2000) == 10


def test_a_packed_batch_has_so_many_tokens_in_rows_no_wider_than_the_longest_sequence_needs():
    spec = parse_spec(NEEDED | {"packing": 512})
    assert batch_shapes(spec, 300) == [
        (32, 32), (21, 48), (16, 64), (10, 96), (8, 128), (5, 192), (4, 256), (2, 384)
    ]  # fmt: skip
    assert batch_shapes(spec, 2000)[-4:] == [(1, 1281), (1, 1537), (1, 1793), (1, 2000)]


def test_preferences_and_rows_beyond_the_context_are_refused_by_name():
    with pytest.raises(InvalidField, match="packing 512"):
        parse_spec(NEEDED | {"objective": "dpo", "packing": 512})
    with pytest.raises(InvalidField, match="packing is 512, but the model's context is 256"):
        sequence_length(parse_spec(NEEDED | {"packing": 512}), 256)
