"""The numbers in what lm-eval found. It is not needed to read them.

Nothing is bootstrapped: an error is given where a value is the mean of one number per question.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from forgellm.domain.scores import mean


def task_scores(found: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    """What `lm_eval.simple_evaluate` found, a number each: whose, how it is called, of how many questions."""
    for task, values in found["results"].items():
        shots = found["n-shot"].get(task)
        samples = found.get("samples", {}).get(task, [])
        count = values.get("sample_len") or found["n-samples"].get(task, {}).get("effective")
        for key, value in values.items():
            metric, _, filtered = key.partition(",")
            if not filtered or metric.endswith("_stderr") or not isinstance(value, (int, float)):
                continue
            yield {
                "task": task,
                "metric": metric,
                "filter": filtered,
                "value": float(value) if math.isfinite(value) else None,
                "standard_error": _error(samples, metric, filtered, float(value)),
                "count": count,
                "shots": shots,
            }


def _error(samples: Sequence[Mapping[str, Any]], metric: str, filtered: str, value: float) -> float | None:
    own = [s[metric] for s in samples if s.get("filter", "none") == filtered and metric in s]
    if not own or not all(isinstance(one, (int, float)) for one in own):
        return None
    score = mean([float(one) for one in own])
    return score.standard_error if score.value is not None and math.isclose(score.value, value) else None
