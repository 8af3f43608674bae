"""An evaluation run: greedy answers of a model to the held-out questions of a dataset, exact match.

Every question, the expected and the given answer are kept in `answers.jsonl` for reading. Other measures
are not taken here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from mlx_lm.generate import batch_generate
from mlx_lm.utils import load_tokenizer as load_generation_tokenizer

from forgellm.data.chat import chat_format, prompt
from forgellm.data.example_files import row_files
from forgellm.data.problems import Problem, invalid_dataset
from forgellm.data.records import Example, read_examples
from forgellm.data.tokens import load_tokenizer
from forgellm.domain.errors import InvalidDataset
from forgellm.jobs.job import Job, Outcome
from forgellm.storage.datasets import find_dataset
from forgellm.storage.decisions import read_decisions
from forgellm.storage.files import write_bytes
from forgellm.storage.models import find_model
from forgellm.training.adapters import load_base

HELD_OUT: Final = "heldout"
_BATCH = 32


@dataclass(frozen=True)
class Answer:
    """One held-out question; `correct` when the answer equals the expected one but for outer white space."""

    question: str
    expected: str
    answer: str
    correct: bool


def evaluate(job: Job) -> Outcome:
    """Ask `spec["model_name"]` the held-out questions of `spec["dataset"]`.

    Raises InvalidDataset where the dataset has none, and what loading the model raises.
    """
    spec = job.run.spec
    examples = _held_out(job, str(spec["dataset"]))
    base = find_model(job.workspace, job.hub_cache, str(spec["model_name"]))
    job.log.append("phase", phase="loading model")
    model, config = load_base(base.path)
    tokenizer = load_generation_tokenizer(base.path, eos_token_ids=config.get("eos_token_id"))
    job.log.append("phase", phase="answering", total_iterations=len(examples))
    answers: list[Answer] = []
    prompts = _prompts(load_tokenizer(base.path), examples)
    for part in _answer(model, tokenizer, list(zip(examples, prompts, strict=True))):
        answers += part
        job.log.append("answers", iteration=len(answers))
        if job.control() != "run":
            return Outcome("stopped", {"iteration": len(answers)})
    _keep(job, answers)
    return Outcome("completed", exact_match(answers))


def exact_match(answers: Sequence[Answer]) -> dict[str, object]:
    """The share of correct answers, 0 to 1, its count and its binomial standard error."""
    count, correct = len(answers), sum(a.correct for a in answers)
    share = correct / count
    return {
        "exact_match": share,
        "correct": correct,
        "count": count,
        "standard_error": math.sqrt(share * (1 - share) / count),
    }


def _held_out(job: Job, name: str) -> list[Example]:
    folder = find_dataset(job.workspace, name)
    files = list(row_files(folder, part=HELD_OUT))
    if not files:
        raise InvalidDataset(
            f"dataset {name} has no {HELD_OUT}.jsonl",
            details={"dataset": name},
            suggestion=f"Put questions that are never trained on into {HELD_OUT}.jsonl, as the others are.",
        )
    found = list(read_examples(files, decisions=read_decisions(folder)))
    problems = [one for one in found if isinstance(one, Problem) and one.severity == "error"]
    examples = [one for one in found if isinstance(one, Example)]
    if problems or not examples:
        raise invalid_dataset(name, problems or [Problem(name, None, f"has no example in {HELD_OUT}.jsonl")])
    return examples


def _prompts(tokenizer: Any, examples: Sequence[Example]) -> list[list[int]]:
    """Everything before each last turn, in the form that training uses."""
    form = chat_format(tokenizer)
    texts = [prompt(form, example.messages[:-1]) for example in examples]
    return [list(tokenizer.encode(text, add_special_tokens=False)) for text in texts]


def _answer(model: Any, tokenizer: Any, asked: Sequence[tuple[Example, list[int]]]) -> Iterator[list[Answer]]:
    room = _longest(tokenizer, [example for example, _ in asked])
    for start in range(0, len(asked), _BATCH):
        batch = asked[start : start + _BATCH]
        texts = batch_generate(model, tokenizer, [ids for _, ids in batch], max_tokens=room).texts
        yield [_judge(example, text) for (example, _), text in zip(batch, texts, strict=True)]


def _judge(example: Example, text: str) -> Answer:
    expected, given = example.messages[-1].content.strip(), text.strip()
    question = example.messages[-2].content if len(example.messages) > 1 else ""
    return Answer(question, expected, given, given == expected)


def _longest(tokenizer: Any, examples: Sequence[Example]) -> int:
    """Room for the longest expected answer, its end, and a longer wrong one."""
    encode: Callable[[str], list[int]] = tokenizer.encode
    return 8 + max(len(encode(e.messages[-1].content)) for e in examples)


def _keep(job: Job, answers: Sequence[Answer]) -> None:
    lines = [json.dumps(asdict(answer), ensure_ascii=False) for answer in answers]
    write_bytes(job.folder / "answers.jsonl", ("\n".join(lines) + "\n").encode())
