"""mlx-lm's batch generator, without the copies of a KV cache that a known conversation would wait for."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from mlx_lm.generate import BatchGenerator, PromptProcessingBatch


class Prompts(PromptProcessingBatch):  # type: ignore[misc]
    """Prompts on their way: those that are done together are handed over as they are.

    mlx-lm copies the caches of all of them twice to part the ones that are done from the rest, also where
    there is no rest: for 2,300 known tokens that took longer than computing the first one of the answer.
    """

    def split(self, indices: list[int]) -> PromptProcessingBatch:
        """Those with these indices as a batch of their own, the others stay here."""
        if len(indices) < len(self):
            return super().split(indices)
        done = self.empty(self.model, self.fallback_sampler, self.prefill_step_size)
        done.extend(self)
        # It is theirs now, and filtering empties it.
        self.prompt_cache: list[Any] = []
        self.filter([])
        return done


def generator(model: Any, *, at_once: int, prefill_step: int, stream: Any) -> BatchGenerator:
    """For `at_once` answers together; `prefill_step` tokens of a prompt are computed at a time."""
    # What may be wired must not change while another generator computes.
    mx.synchronize(stream)
    made = BatchGenerator(
        model,
        completion_batch_size=at_once,
        prefill_batch_size=at_once,
        prefill_step_size=prefill_step,
        stream=stream,
    )
    # It has wired all that Metal recommends, beside what a training run wires. Several answers at once and a
    # prompt cache that lets go of old ones have then ended in kernel panics, and without in none (mlx issue
    # 3186). What it closes is that alone.
    made.close()
    made._prompt_batch = Prompts.empty(model, made.sampler, prefill_step)
    return made
