"""An evaluation run: what a model makes of questions and text that it was not trained on.

Greedy answers to the held-out questions of a dataset are compared with the expected ones, and the loss of
held-out text is measured; where a checkpoint is evaluated, its base without the adapter stands beside it.
Every question, the expected and the given answers are kept in `answers.jsonl` for reading.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import mlx.nn as nn
from mlx_lm.generate import batch_generate
from mlx_lm.utils import load_tokenizer as load_generation_tokenizer

from forgellm.data.chat import chat_format, prompt
from forgellm.data.example_files import Part, row_files
from forgellm.data.masking import EncodedExample, encode_examples
from forgellm.data.problems import Problem, invalid_dataset
from forgellm.data.records import Example, read_examples
from forgellm.data.sequences import Sequences, join
from forgellm.data.tokens import load_tokenizer
from forgellm.domain.errors import InvalidDataset
from forgellm.domain.scores import Score
from forgellm.jobs.held_out import CalledOff, HeldOut, held_out, measured, type_of
from forgellm.jobs.job import Job, Outcome
from forgellm.jobs.scoring import Answer, answer_scores, exact_match, text_scores
from forgellm.storage.adapters import read_config
from forgellm.storage.checkpoints import checkpoint_path, find_checkpoint
from forgellm.storage.datasets import find_dataset
from forgellm.storage.decisions import read_decisions
from forgellm.storage.files import write_bytes
from forgellm.storage.models import ModelFolder, find_model
from forgellm.storage.runs import find_run, run_folder
from forgellm.training.adapters import load_adapter, load_base

HELD_OUT: Final = "heldout"
_PARTS: Final[tuple[Part, ...]] = (HELD_OUT, "test", "valid")
_BATCH = 32
Scores = Mapping[str, Score]


@dataclass(frozen=True)
class Task:
    """What a model is evaluated on: questions with their prompts in tokens, and text."""

    examples: Sequence[Example]
    prompts: Sequence[list[int]]
    text: HeldOut
    tokenizer: Any


def evaluate(job: Job) -> Outcome:
    """Evaluate `spec["model_name"]`, or checkpoint `spec["iteration"]` of `spec["run"]` beside its base.

    Raises InvalidDataset where `spec["dataset"]` has nothing that is held out, CheckpointNotFound,
    InvalidAdapter, and what loading the model raises.
    """
    spec = job.run.spec
    base = find_model(job.workspace, job.hub_cache, str(spec["model_name"]))
    examples = _questions(job, str(spec["dataset"]))
    job.log.append("phase", phase="loading model")
    model, config = load_base(base.path)
    task = _task(job, base, config, examples)
    try:
        answers, scores = _evaluated(job, model, task, what="model")
        if spec.get("run") is None:
            return _completed(job, task, answers, scores, None)
        load_adapter(model, *_adapter(job))
        base_answers, base_scores = answers, scores
        answers, scores = _evaluated(job, model, task, what="adapter")
    except CalledOff:
        job.log.append("stopping")
        return Outcome("stopped")
    beside = [replace(a, base_answer=b.answer) for a, b in zip(answers, base_answers, strict=True)]
    return _completed(job, task, beside, scores, base_scores)


def _questions(job: Job, name: str) -> list[Example]:
    """The held-out examples; none of a dataset of documents."""
    folder = find_dataset(job.workspace, name)
    files = next((found for part in _PARTS if (found := list(row_files(folder, part=part)))), [])
    if not files:
        if type_of(folder) == "cpt":
            return []
        raise InvalidDataset(
            f"dataset {name} has no {HELD_OUT}.jsonl, and no other examples that are not trained on",
            details={"dataset": name},
            suggestion=f"Put questions that are never trained on into {HELD_OUT}.jsonl, or let "
            f"`forgellm datasets split {name} NEW --heldout 0.1` do it.",
        )
    rows = list(read_examples(files, decisions=read_decisions(folder)))
    problems = [one for one in rows if isinstance(one, Problem) and one.severity == "error"]
    examples = [one for one in rows if isinstance(one, Example)]
    if problems or not examples:
        raise invalid_dataset(name, problems or [Problem(name, None, f"has no example in {HELD_OUT}.jsonl")])
    limit = job.run.spec.get("limit")
    return examples[: int(str(limit))] if limit is not None else examples


def _task(job: Job, base: ModelFolder, config: Mapping[str, Any], examples: Sequence[Example]) -> Task:
    tokenizer = load_tokenizer(base.path)
    name = str(job.run.spec["dataset"])
    if examples:
        text = HeldOut(_expected(tokenizer, examples, name), "the expected answers")
    else:
        found = held_out(job, base, name)
        assert found is not None
        text = found
    form = chat_format(tokenizer)
    texts = [prompt(form, example.messages[:-1]) for example in examples]
    return Task(
        examples,
        [list(tokenizer.encode(one, add_special_tokens=False)) for one in texts],
        text,
        load_generation_tokenizer(base.path, eos_token_ids=config.get("eos_token_id")),
    )


def _expected(tokenizer: Any, examples: Sequence[Example], name: str) -> Sequences:
    """Every conversation with the mask of its answers. Raises InvalidDataset."""
    encoded = list(encode_examples(tokenizer, examples))
    problems = [one[1] for one in encoded if isinstance(one, tuple)]
    if problems:
        raise invalid_dataset(name, problems)
    return join((one.ids, one.learned) for one in encoded if isinstance(one, EncodedExample))


def _adapter(job: Job) -> tuple[Path, Any]:
    folder = run_folder(job.workspace, find_run(job.workspace, str(job.run.spec["run"])))
    checkpoint = find_checkpoint(folder, int(str(job.run.spec["iteration"])))
    return checkpoint_path(folder, checkpoint.iteration), read_config(folder)


def _evaluated(job: Job, model: nn.Module, task: Task, *, what: str) -> tuple[list[Answer], Scores]:
    scores = dict(text_scores(measured(job, model, task.text, phase=f"measuring the loss of the {what}")))
    answers: list[Answer] = []
    job.log.append("phase", phase=f"answering with the {what}", total_iterations=len(task.examples))
    for part in _answer(model, task):
        answers += part
        job.log.append("answers", iteration=len(answers))
        if job.control() != "run":
            raise CalledOff
    scores.update(answer_scores([a.answer for a in answers], [a.expected for a in answers]))
    return answers, scores


def _completed(
    job: Job, task: Task, answers: Sequence[Answer], scores: Scores, base_scores: Scores | None
) -> Outcome:
    lines = [json.dumps(asdict(answer), ensure_ascii=False) for answer in answers]
    write_bytes(job.folder / "answers.jsonl", "".join(f"{line}\n" for line in lines).encode())
    values: dict[str, object] = {
        "metrics": {name: asdict(score) for name, score in scores.items()},
        "text": task.text.origin,
        "answers_path": f"{job.run.folder}/answers.jsonl",
    }
    if base_scores is not None:
        values["base_metrics"] = {name: asdict(score) for name, score in base_scores.items()}
    return Outcome("completed", {**(exact_match(answers) if answers else {}), **values})


def _answer(model: Any, task: Task) -> Iterator[list[Answer]]:
    asked = list(zip(task.examples, task.prompts, strict=True))
    room = _longest(task.tokenizer, task.examples)
    for start in range(0, len(asked), _BATCH):
        batch = asked[start : start + _BATCH]
        texts = batch_generate(model, task.tokenizer, [ids for _, ids in batch], max_tokens=room).texts
        yield [_judge(example, text) for (example, _), text in zip(batch, texts, strict=True)]


def _judge(example: Example, text: str) -> Answer:
    expected, given = example.messages[-1].content.strip(), text.strip()
    question = example.messages[-2].content if len(example.messages) > 1 else ""
    return Answer(question, expected, given, given == expected)


def _longest(tokenizer: Any, examples: Sequence[Example]) -> int:
    """Room for the longest expected answer, its end, and a longer wrong one."""
    encode: Callable[[str], list[int]] = tokenizer.encode
    return 8 + max((len(encode(e.messages[-1].content)) for e in examples), default=0)
