"""Asking a model by its number and waiting for the whole answer, as several dialects do it."""

from __future__ import annotations

from contextlib import suppress

from forgellm.api.answers import Whole, whole
from forgellm.domain.chat import GenerationRequest, Message, Sampling
from forgellm.domain.errors import DiskFull, ReadOnly
from forgellm.services.model_host import ModelHost
from forgellm.services.numbered import NumberedModel, converses
from forgellm.storage.generations import count_generation


def asked(host: ModelHost, model: NumberedModel, prompt: str, *, sampling: Sampling) -> Whole:
    """The answer of `model`, which is loaded where it is not resident. What was not made for conversations
    goes on with the text. Raises what loading and asking raise."""
    chats = converses(host.parts, model)
    request = GenerationRequest(
        messages=(Message("user", prompt),) if chats else (),
        prompt=None if chats else prompt,
        sampling=sampling,
    )
    answer = whole(host.ask_by_name(model.asked_for, request).answer)
    with suppress(DiskFull, ReadOnly):
        # An answer that is there is not thrown away for a statistic.
        count_generation(host.parts.workspace)
    return answer
