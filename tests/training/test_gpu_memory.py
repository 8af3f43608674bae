"""What may be held of a GPU's memory, by what a device says of itself."""

from __future__ import annotations

import mlx.core as mx

from forgellm.training.gpu_memory import bound_memory, limits


def test_less_than_the_recommended_working_set_is_wired_and_an_eighth_of_it_kept_for_reuse() -> None:
    of_a_16_gb_mac = 11_840_000_000
    assert limits({"max_recommended_working_set_size": of_a_16_gb_mac}) == (10_656_000_000, 1_480_000_000)


def test_a_device_that_recommends_nothing_keeps_mlx_own_limits() -> None:
    assert limits({"architecture": "x86_64"}) is None
    before = mx.set_cache_limit(1)
    mx.set_cache_limit(before)
    bound_memory({"architecture": "x86_64"})
    assert mx.set_cache_limit(before) == before
