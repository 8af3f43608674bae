"""`forgellm evaluate`: what a model, or a checkpoint beside its base, makes of held-out data."""

from __future__ import annotations

from collections.abc import Mapping

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


@click.command()
@click.argument("model", required=False)
@click.option("--run", "run", help="Evaluate a checkpoint of this run beside its base, instead of a model.")
@click.option("--iteration", type=int, help="With --run: which checkpoint. Default: the best one.")
@click.option("--dataset", help="With --run by default that of the run.")
@click.option("--limit", type=click.IntRange(min=1), help="Ask the first so many questions only.")
@click.pass_obj
def evaluate(
    invocation: Invocation,
    model: str | None,
    *,
    run: str | None,
    iteration: int | None,
    dataset: str | None,
    limit: int | None,
) -> None:
    """Measure answers to held-out questions, and the loss of held-out text.

    \b
    forgellm evaluate models/published/NAME --dataset NAME
    forgellm evaluate --run RUN

    Questions are those in heldout, test or valid of the dataset, whichever comes first. Answers are greedy,
    and kept beside the expected ones.
    """
    if (model is None) == (run is None):
        raise click.UsageError("Name either a model or, with --run, a run.")
    if run is None and (dataset is None or iteration is not None):
        raise click.UsageError("A model is evaluated with --dataset, and has no --iteration.")
    forge = invocation.forge()
    from forgellm.cli.follow import follow_to_end
    from forgellm.services import evaluation, runs
    from forgellm.storage.runs import find_run

    if run is not None:
        source = find_run(forge.workspace, run)
        started = evaluation.evaluate_adapter(
            forge, source, iteration=iteration, dataset=dataset, limit=limit
        )
    else:
        started = evaluation.evaluate(forge, str(model), str(dataset), limit=limit)
    click.echo(f"Evaluating as run {started.id}")
    follow_to_end(forge, started)
    for line in score_lines(runs.status(forge, started).progress.end or {}):
        click.echo(line)


def score_lines(end: Mapping[str, object]) -> list[str]:
    """The scores of a completed run as a table, the base's beside those of the adapter."""
    metrics, base = end.get("metrics"), end.get("base_metrics")
    if not isinstance(metrics, dict):
        return []
    columns = [base, metrics] if isinstance(base, dict) else [metrics]
    headers = ["measured", *(["base", "adapter"] if len(columns) > 1 else ["value"]), "count"]
    rows = [
        [words, *(_figure(column.get(name)) for column in columns), str(metrics[name]["count"])]
        for name, words in _WORDS.items()
        if name in metrics
    ]
    lines = table(headers, rows, left=["measured"])
    return [*lines, f"Loss and perplexity: {end.get('text')}", f"Answers: {end.get('answers_path')}"]


def _figure(score: object) -> str:
    if not isinstance(score, dict) or not isinstance(score.get("value"), float):
        return MISSING
    error = score.get("standard_error")
    return f"{score['value']:.4f}" + (f" ± {error:.4f}" if isinstance(error, float) else "")
