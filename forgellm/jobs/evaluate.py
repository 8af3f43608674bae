"""An evaluation run: what a model makes of questions and text that it was not trained on.

Greedy answers to the held-out questions of a dataset are compared with the expected ones, and the loss of
held-out text is measured; where a checkpoint is evaluated, its base without the adapter stands beside it.
Every question, the expected and the given answers are kept in `answers.jsonl` for reading. Tasks of lm-eval
can be asked as well, or alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.generate import batch_generate
from mlx_lm.utils import load_tokenizer as load_generation_tokenizer

from forgellm.data.chat import chat_format, prompt
from forgellm.data.endings import unnamed_end
from forgellm.data.example_files import Part, row_files
from forgellm.data.masking import EncodedExample, encode_examples
from forgellm.data.problems import Problem, invalid_dataset
from forgellm.data.records import Example, read_examples
from forgellm.data.sequences import Sequences, join
from forgellm.data.tokens import load_tokenizer
from forgellm.domain.errors import InvalidDataset
from forgellm.domain.scores import Score
from forgellm.inference.answers import AnswerText
from forgellm.inference.prompts import ends_thinking
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

if TYPE_CHECKING:
    from forgellm.jobs.lm_tasks import Tasks

HELD_OUT: Final = "heldout"
_PARTS: Final[tuple[Part, ...]] = (HELD_OUT, "test", "valid")
_BATCH = 32


@dataclass(frozen=True)
class Task:
    """What a model is evaluated on: questions with their prompts in tokens, and text. An answer may have
    `room` tokens. `tasks` are lm-eval's.
    """

    examples: Sequence[Example]
    prompts: Sequence[list[int]]
    text: HeldOut | None
    room: int
    tokenizer: Any
    tasks: Tasks | None


@dataclass(frozen=True)
class Found:
    """What was measured of one model."""

    answers: Sequence[Answer] = ()
    scores: Mapping[str, Score] = field(default_factory=dict)
    tasks: Sequence[Mapping[str, object]] = ()


def evaluate(job: Job) -> Outcome:
    """Evaluate `spec["model_name"]`, or checkpoint `spec["iteration"]` of `spec["run"]` beside its base.

    Raises InvalidDataset where `spec["dataset"]` has nothing that is held out, CheckpointNotFound,
    InvalidAdapter, InvalidField for unknown `spec["tasks"]`, and what loading the model raises.
    """
    spec = job.run.spec
    base = find_model(job.workspace, job.hub_cache, str(spec["model_name"]))
    examples = _questions(job, str(spec["dataset"])) if spec.get("dataset") is not None else []
    tasks = _tasks(job)
    job.log.append("phase", phase="loading model")
    model, config = load_base(base.path)
    task = _task(job, base, config, examples=examples, tasks=tasks)
    try:
        found = _evaluated(job, model, task, what="model")
        if spec.get("run") is None:
            return _completed(job, task, found, None)
        load_adapter(model, *_adapter(job))
        adapted = _evaluated(job, model, task, what="adapter")
    except CalledOff:
        job.log.append("stopping")
        return Outcome("stopped")
    pairs = zip(adapted.answers, found.answers, strict=True)
    beside = [replace(answer, base_answer=before.answer) for answer, before in pairs]
    return _completed(job, task, replace(adapted, answers=beside), found)


def _tasks(job: Job) -> Tasks | None:
    names, folder = job.run.spec.get("tasks"), job.run.spec.get("task_folder")
    if not isinstance(names, list) or not names:
        return None
    job.log.append("phase", phase="looking the tasks up")
    limit = job.run.spec.get("limit")
    # An extra: not everyone has it, and who has it does not always want it.
    tasks: type[Tasks] = import_module("forgellm.jobs.lm_tasks").Tasks
    return tasks(names, None if folder is None else str(folder), limit if isinstance(limit, int) else None)


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


def _task(
    job: Job,
    base: ModelFolder,
    config: Mapping[str, Any],
    *,
    examples: Sequence[Example],
    tasks: Tasks | None,
) -> Task:
    tokenizer = load_tokenizer(base.path)
    name = job.run.spec.get("dataset")
    text = None
    if examples:
        text = HeldOut(_expected(tokenizer, examples, str(name)), "the expected answers")
    elif name is not None:
        text = held_out(job, base, str(name))
    form = chat_format(tokenizer)
    texts = [prompt(form, example.messages[:-1]) for example in examples]
    generating = load_generation_tokenizer(base.path, eos_token_ids=config.get("eos_token_id"))
    end = unnamed_end(tokenizer, generating.eos_token_ids)
    if end is not None:
        generating.add_eos_token(str(end))
    return Task(
        examples,
        [list(tokenizer.encode(one, add_special_tokens=False)) for one in texts],
        text,
        int(str(job.run.spec.get("max_tokens") or _longest(generating, examples))),
        generating,
        tasks,
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


def _evaluated(job: Job, model: nn.Module, task: Task, *, what: str) -> Found:
    # What may fail for want of a network comes first.
    of_tasks = _asked(job, model, task, what=what)
    if task.text is None:
        return Found(tasks=of_tasks)
    scores = dict(text_scores(measured(job, model, task.text, phase=f"measuring the loss of the {what}")))
    answers: list[Answer] = []
    job.log.append("phase", phase=f"answering with the {what}", total_iterations=len(task.examples))
    for part in _answer(model, task, job.control):
        answers += part
        job.log.append("answers", iteration=len(answers))
    scores.update(answer_scores([a.answer for a in answers], [a.expected for a in answers]))
    return Found(answers, scores, of_tasks)


def _asked(job: Job, model: nn.Module, task: Task, *, what: str) -> list[dict[str, object]]:
    if task.tasks is None:
        return []
    job.log.append("phase", phase=f"asking the {what} the tasks")

    def attend(done: int, total: int) -> None:
        job.log.append("asked", iteration=done, total_iterations=total)
        if job.control() != "run":
            raise CalledOff

    return task.tasks.scores(model, task.tokenizer, attend)


def _completed(job: Job, task: Task, found: Found, base: Found | None) -> Outcome:
    values: dict[str, object] = {}
    if task.text is not None:
        values["text"] = task.text.origin
    if found.answers:
        lines = [json.dumps(asdict(answer), ensure_ascii=False) for answer in found.answers]
        write_bytes(job.folder / "answers.jsonl", "".join(f"{line}\n" for line in lines).encode())
        # Where answers were cut, their length says more of the room than of them.
        values |= {**exact_match(found.answers), "max_tokens": task.room}
        values["answers_path"] = f"{job.run.folder}/answers.jsonl"
    for prefix, one in (("", found), ("base_", base)):
        if one is not None and one.scores:
            values[f"{prefix}metrics"] = {name: asdict(score) for name, score in one.scores.items()}
        if one is not None and one.answers:
            values[f"{prefix}answers_cut"] = sum(answer.cut for answer in one.answers)
        if one is not None and task.tasks is not None:
            values[f"{prefix}tasks"] = one.tasks
    return Outcome("completed", values)


def _answer(model: Any, task: Task, control: Callable[[], str]) -> Iterator[list[Answer]]:
    def greedy(logprobs: mx.array) -> mx.array:
        # Called for every token of a batch: long answers are called off in the middle.
        if control() != "run":
            raise CalledOff
        return mx.argmax(logprobs, axis=-1)

    asked = list(zip(task.examples, task.prompts, strict=True))
    for start in range(0, len(asked), _BATCH):
        batch = asked[start : start + _BATCH]
        prompts = [ids for _, ids in batch]
        given = batch_generate(
            model, task.tokenizer, prompts, max_tokens=task.room, return_token_ids=True, sampler=greedy
        )
        assert given.token_ids is not None
        results = zip(batch, given.token_ids, strict=True)
        yield [_judge(task, example, ids, before=before) for (example, before), ids in results]


def _judge(task: Task, example: Example, ids: Sequence[int], *, before: Sequence[int]) -> Answer:
    """As the model server would show it: what is thought before an answer is none of it. Templates put an
    empty thought where the data have none."""
    expected, given = example.messages[-1].content, _text(task.tokenizer, ids, before)
    if task.tokenizer.has_thinking:
        expected = expected.rpartition(task.tokenizer.think_end)[2]
    expected, given = expected.strip(), given.strip()
    question = example.messages[-2].content if len(example.messages) > 1 else ""
    return Answer(question, expected, given, given == expected, cut=len(ids) >= task.room)


def _text(tokenizer: Any, ids: Sequence[int], before: Sequence[int]) -> str:
    thinks = ends_thinking(tokenizer, before)
    answer = AnswerText(tokenizer, stop=(), thinks=thinks, continues=False, tools=())
    return "".join([*(answer.add(token).text for token in ids), answer.end().text])


def _longest(tokenizer: Any, examples: Sequence[Example]) -> int:
    """Room for the longest expected answer, its end, and a longer wrong one."""
    encode: Callable[[str], list[int]] = tokenizer.encode
    return 8 + max((len(encode(e.messages[-1].content)) for e in examples), default=0)
