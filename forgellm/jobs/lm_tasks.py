"""Tasks of EleutherAI's lm-eval, asked as `mlx_lm.evaluate` asks them: what the extra `lm-eval` is for.

Their questions are lm-eval's, and mostly come from the Hub the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import lm_eval
import mlx.nn as nn
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from mlx_lm.evaluate import MLXLM

from forgellm.domain.errors import HubUnreachable, InvalidField, nearest
from forgellm.jobs.task_scores import task_scores

_TOGETHER = 32
Attend = Callable[[int, int], None]
"""Told (requests that are answered, requests in all) of a task's part; raises to call the rest off."""


class LoadedModel(MLXLM):  # type: ignore[misc]
    """`mlx_lm.evaluate`'s way of asking, over a model that is loaded already and may have an adapter."""

    def __init__(self, model: nn.Module, tokenizer: Any, attend: Attend) -> None:
        LM.__init__(self)
        self._model = model
        self.tokenizer = tokenizer
        self.use_chat_template = tokenizer.chat_template is not None
        # As `mlx_lm.evaluate` has them by default: greedy, with each task's own room for an answer.
        self._max_tokens = self._sampler = None
        self._batch_size = 8
        self._attend = attend

    def loglikelihood(self, requests: Sequence[Any]) -> list[Any]:
        """As there, a few questions at a time."""
        together = [list(group) for _, group in groupby(requests, key=lambda request: request.args[0])]
        return list(self._parts(together, super().loglikelihood, len(requests)))

    def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[Any]:
        """As there, a few texts at a time."""
        return list(self._parts([[one] for one in requests], super().loglikelihood_rolling, len(requests)))

    def generate_until(self, requests: Sequence[Any]) -> list[Any]:
        """As there, a few questions at a time."""
        return list(self._parts([[one] for one in requests], super().generate_until, len(requests)))

    def _parts(
        self, groups: Sequence[list[Any]], answer: Callable[[list[Any]], list[Any]], total: int
    ) -> Iterator[Any]:
        done = 0
        for start in range(0, len(groups), _TOGETHER):
            part = [request for group in groups[start : start + _TOGETHER] for request in group]
            yield from answer(part)
            done += len(part)
            self._attend(done, total)


class Tasks:
    """lm-eval's tasks of those names, and of `folder` beside its own."""

    def __init__(self, names: Sequence[str], folder: str | None, limit: int | None) -> None:
        self._manager = TaskManager(include_path=folder, include_defaults=False)
        if not set(names) <= set(self._manager.all_tasks):
            # Its own are more than ten thousand files, which takes half a minute.
            self._manager = TaskManager(include_path=folder)
        self._names = list(names)
        self._limit = limit
        for name in names:
            if name not in self._manager.all_tasks:
                near = nearest(name, self._manager.all_tasks)
                raise InvalidField(
                    f"lm-eval has no task {name!r:.200}",
                    details={"field": "tasks", "task": name},
                    suggestion=f"Did you mean {near}?" if near else "`lm-eval ls tasks` lists them.",
                )

    def scores(self, model: nn.Module, tokenizer: Any, attend: Attend) -> list[dict[str, object]]:
        """Every number that the tasks give. Raises HubUnreachable, and InvalidField for a task that cannot be
        asked here.
        """
        lm = LoadedModel(model, tokenizer, attend)
        try:
            found = lm_eval.simple_evaluate(
                model=lm,
                tasks=self._names,
                task_manager=self._manager,
                limit=self._limit,
                apply_chat_template=lm.use_chat_template,
                bootstrap_iters=0,
            )
        except OSError as error:
            if error.errno is not None:
                raise
            raise HubUnreachable(
                f"the questions of {', '.join(self._names)} cannot be fetched: {error}",
                details={"tasks": self._names},
                suggestion="Check the network, HF_HUB_OFFLINE and HF_ENDPOINT. What was fetched once stays.",
            ) from error
        except (ModuleNotFoundError, ValueError, NotImplementedError) as error:
            raise InvalidField(
                f"lm-eval cannot ask {', '.join(self._names)}: {error}",
                details={"field": "tasks"},
                suggestion="Some tasks need packages of their own, or a consent that is not given here.",
            ) from error
        return list(task_scores(found))
