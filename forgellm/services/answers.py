"""What each checkpoint of a run answered to the prompts that the run was started with."""

from __future__ import annotations

from dataclasses import dataclass

from forgellm.domain.metrics import current_events
from forgellm.domain.runs import Event, Run
from forgellm.services.parts import Parts
from forgellm.storage.events import events_of
from forgellm.storage.runs import run_folder


@dataclass(frozen=True)
class SampleAnswer:
    """What the weights of `iteration` said; not `finished` where it was cut off at its longest."""

    iteration: int
    text: str
    finished: bool
    seq: int


@dataclass(frozen=True)
class Sampled:
    """One prompt with its answers, by iteration."""

    prompt: str
    answers: list[SampleAnswer]


def sampled(parts: Parts, run: Run) -> list[Sampled]:
    """The run's prompts in their order; what a resume repeated counts once, as it came out last."""
    events = current_events(list(events_of(run_folder(parts.workspace, run), ("sample", "resumed"))))
    asked = run.spec.get("sample_prompts")
    found: dict[str, dict[int, SampleAnswer]] = {
        prompt: {} for prompt in (asked if isinstance(asked, list) else []) if isinstance(prompt, str)
    }
    for event in events:
        answer = _answer(event) if event["type"] == "sample" else None
        if answer is not None:
            found.setdefault(str(event.get("prompt")), {})[answer.iteration] = answer
    return [
        Sampled(prompt, [answers[iteration] for iteration in sorted(answers)])
        for prompt, answers in found.items()
    ]


def _answer(event: Event) -> SampleAnswer | None:
    iteration, text, seq = event.get("iteration"), event.get("text"), event["seq"]
    if type(iteration) is not int or not isinstance(text, str) or type(seq) is not int:
        return None
    return SampleAnswer(iteration, text, event.get("finished") is True, seq)
