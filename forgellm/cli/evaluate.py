"""`forgellm evaluate`: what a model, or a checkpoint beside its base, makes of held-out data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from forgellm.cli.context import Invocation
from forgellm.cli.tables import MISSING, table

_WORDS = {
    "loss": "loss, nats per token",
    "perplexity": "perplexity",
    "exact_match": "exact match, 0 to 1",
    "token_f1": "token F1, 0 to 1",
    "rouge_l": "ROUGE-L, 0 to 1",
    "bleu": "BLEU, 0 to 100",
    "chrf": "chrF, 0 to 100",
    "distinct_1": "different words, 0 to 1",
    "distinct_2": "different pairs of words, 0 to 1",
    "response_words": "words in an answer",
}
_SHORT_ANSWERS = "BLEU counts runs of up to four words: answers that are all shorter have 0, right or wrong."
_NO_QUESTION = "No question is held out: none was asked."


@click.command()
@click.argument("model", required=False)
@click.option("--run", "run", help="Evaluate a checkpoint of this run beside its base, instead of a model.")
@click.option("--iteration", type=int, help="With --run: which checkpoint. Default: the best one.")
@click.option("--dataset", help="With --run by default that of the run.")
@click.option("--limit", type=click.IntRange(min=1), help="Ask the first so many questions only.")
@click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    help="Room for an answer. Default: the length of the longest expected one, and 8 more.",
)
@click.option("--tasks", help="Tasks of lm-eval, by commas; without --dataset these alone.")
@click.option(
    "--task-folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Tasks of your own, as lm-eval's YAML files; code that they name is run.",
)
@click.pass_obj
def evaluate(
    invocation: Invocation,
    model: str | None,
    *,
    run: str | None,
    iteration: int | None,
    dataset: str | None,
    limit: int | None,
    max_tokens: int | None,
    tasks: str | None,
    task_folder: Path | None,
) -> None:
    """Measure answers to held-out questions, and the loss of held-out text.

    \b
    forgellm evaluate models/published/NAME --dataset NAME
    forgellm evaluate models/published/NAME --tasks arc_easy,hellaswag
    forgellm evaluate --run RUN

    Questions are those in heldout, test or valid of the dataset, whichever comes first. Answers are greedy,
    and kept beside the expected ones. Tasks need pip install 'forgellm[lm-eval]', and a network for their
    questions the first time.
    """
    if (model is None) == (run is None):
        raise click.UsageError("Name either a model or, with --run, a run.")
    if run is None and ((dataset is None and tasks is None) or iteration is not None):
        raise click.UsageError("A model is evaluated with --dataset or --tasks, and has no --iteration.")
    names = [name.strip() for name in (tasks or "").split(",") if name.strip()]
    forge = invocation.forge()
    from forgellm.cli.follow import follow_to_end
    from forgellm.services import evaluation, runs
    from forgellm.storage.runs import find_run

    wish = {"limit": limit, "max_tokens": max_tokens, "tasks": names, "task_folder": task_folder}
    if run is not None:
        source = find_run(forge.workspace, run)
        started = evaluation.evaluate_adapter(
            forge,
            source,
            iteration=iteration,
            dataset=dataset,
            **wish,  # type: ignore[arg-type]
        )
    else:
        started = evaluation.evaluate(forge, str(model), dataset, **wish)  # type: ignore[arg-type]
    click.echo(f"Evaluating as run {started.id}")
    follow_to_end(forge, started)
    for line in score_lines(runs.status(forge, started).progress.end or {}):
        click.echo(line)


def score_lines(end: Mapping[str, object]) -> list[str]:
    """The scores of a completed run as a table, the base's beside those of the adapter."""
    return [*_measured(end), *_tasks(end)]


def _measured(end: Mapping[str, object]) -> list[str]:
    metrics, base = end.get("metrics"), end.get("base_metrics")
    if not isinstance(metrics, dict):
        return []
    columns = [base, metrics] if isinstance(base, dict) else [metrics]
    rows = [
        [words, *(_figure(column.get(name)) for column in columns), str(metrics[name]["count"])]
        for name, words in _WORDS.items()
        if name in metrics
    ]
    lines = table(["measured", *_headers(len(columns))], rows, left=["measured"])
    cut = [(whose, end.get(key)) for whose, key in (("", "answers_cut"), ("base's ", "base_answers_cut"))]
    return [
        *lines,
        *([_SHORT_ANSWERS] if any(_is_zero(column.get("bleu")) for column in columns) else []),
        *(f"{whose}answers cut at {end.get('max_tokens')} tokens: {count}" for whose, count in cut if count),
        f"Loss and perplexity: {end.get('text')}",
        f"Answers: {end['answers_path']}" if "answers_path" in end else _NO_QUESTION,
    ]


def _tasks(end: Mapping[str, object]) -> list[str]:
    tasks, base = end.get("tasks"), end.get("base_tasks")
    if not isinstance(tasks, list):
        return []
    columns = [base, tasks] if isinstance(base, list) else [tasks]
    rows = [
        [_called(one), *(_figure(column[at]) for column in columns), str(one["count"])]
        for at, one in enumerate(tasks)
    ]
    return table(["task", *_headers(len(columns))], rows, left=["task"])


def _called(one: Mapping[str, object]) -> str:
    """A task may give the same metric of answers that were looked through in several ways."""
    way = "" if one["filter"] == "none" else f", {one['filter']}"
    return f"{one['task']} {one['metric']}{way}"


def _headers(columns: int) -> list[str]:
    return [*(["base", "adapter"] if columns > 1 else ["value"]), "count"]


def _is_zero(score: object) -> bool:
    return isinstance(score, dict) and score.get("value") == 0


def _figure(score: object) -> str:
    if not isinstance(score, dict) or not isinstance(score.get("value"), float):
        return MISSING
    error = score.get("standard_error")
    return f"{score['value']:.4f}" + (f" ± {error:.4f}" if isinstance(error, float) else "")
