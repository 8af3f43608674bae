"""`forgellm demo`: the main job on the built-in small model, from documents to measured answers."""

from __future__ import annotations

import time

import click

from forgellm.cli.context import Invocation


@click.command()
@click.option("--quick", is_flag=True, help="Half of the iterations: sooner, and fewer answers are right.")
@click.pass_obj
def demo(invocation: Invocation, quick: bool) -> None:
    """Train, rank and publish on built-in data, and measure what was gained.

    A small base model learns an invented town from documents (CPT), then to answer questions about it (IFT).
    A few minutes on two CPU cores; no network.
    """
    started = time.monotonic()
    forge = invocation.forge()
    # They reach numpy through the datasets, which `--help` must not wait for.
    from forgellm.cli.demo_report import answers_line, table
    from forgellm.cli.follow import follow_to_end
    from forgellm.domain.runs import Run
    from forgellm.services import demo as job
    from forgellm.services import evaluation, publishing, samples, training

    def step(number: int, words: str) -> None:
        click.secho(f"\n[{number}/6] {words}", bold=True)

    def finish(run: Run) -> Run:
        follow_to_end(forge, run)
        return run

    for folder in job.prepare(forge):
        click.echo(f"Copied into {folder}")
    step(1, "Ask the base model the held-out questions")
    before = job.outcome(forge, finish(evaluation.evaluate(forge, job.BASE, samples.QUESTIONS)))
    click.echo(answers_line(before))
    step(2, "Continued pre-training on the documents of the town")
    cpt = finish(training.start(forge, job.halved(job.CPT) if quick else job.CPT))
    step(3, "Publish the best checkpoint")
    name = f"{samples.DOMAIN}_{cpt.number}"
    published = job.outcome(forge, finish(publishing.publish(forge, cpt, name=name)))
    step(4, "Instruction fine-tuning on top of the published model")
    ift_spec = job.halved(job.IFT) if quick else job.IFT
    ift = finish(training.start(forge, {**ift_spec, "model_name": published["published_model_path"]}))
    step(5, "Publish its best checkpoint")
    final = job.outcome(
        forge, finish(publishing.publish(forge, ift, name=f"{samples.DOMAIN}_answers_{ift.number}"))
    )
    step(6, "Ask it the same questions")
    model = str(final["published_model_path"])
    evaluated = finish(evaluation.evaluate(forge, model, samples.QUESTIONS))
    after = job.outcome(forge, evaluated)
    click.echo(answers_line(after))
    click.secho("\nWhat was gained", bold=True)
    for line in table(job.gain(forge, cpt), job.gain(forge, ift), before=before, after=after):
        click.echo(line)
    click.echo(f"\nThe published model   {published['published_model_path']}")
    click.echo(f"Its card and picture  {published['readme_path']}, {published['dashboard_path']}")
    click.echo(f"The one that answers  {model}")
    click.echo(f"Questions, answers    {evaluated.folder}/answers.jsonl")
    click.echo(f"Measured in {time.monotonic() - started:.0f} s.")
    click.echo(f"\nAsk it yourself       forgellm cli generate --model {model}")
    click.echo("See it in a browser   forgellm start")
    click.echo("What was run          forgellm runs")
