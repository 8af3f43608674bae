"""What is done with models at the command line: quantize, export, evaluate."""

from __future__ import annotations

import re

from forgellm.cli.evaluate import score_lines


def test_a_model_is_quantized_and_the_newest_published_one_exported(forgellm, workspace):
    quantized = forgellm(
        "quantize", "models/base/tiny", "--bits", "8", "--group-size", "32", "--dataset", "domain"
    )
    assert quantized.returncode == 0, quantized.stderr
    losses = re.findall(r"validation loss (before|after): (\d\.\d{4})", quantized.stdout)
    assert [name for name, _ in losses] == ["before", "after"]
    assert "Model: models/published/tiny-8bit" in quantized.stdout
    exported = forgellm("export", "--format", "ollama", "--type", "q8_0", "--name", "town")
    assert exported.returncode == 0, exported.stderr
    assert "`ollama create town -f models/exports/town/Modelfile` takes it." in exported.stdout
    names = {path.name for path in (workspace.models / "exports" / "town").iterdir()}
    assert names == {"town.gguf", "Modelfile"}


def test_that_bleu_is_none_of_short_answers_is_said():
    scores = {name: {"value": value, "count": 3} for name, value in (("exact_match", 1.0), ("bleu", 0.0))}
    said = score_lines({"metrics": scores, "answers_path": "answers.jsonl", "text": "answers"})
    assert "BLEU counts runs of up to four words" in "\n".join(said)
    said = score_lines({"metrics": {**scores, "bleu": {"value": 3.0, "count": 3}}, "text": "answers"})
    assert "BLEU counts" not in "\n".join(said)


def test_an_evaluation_ends_with_a_table(forgellm, workspace):
    questions = workspace.datasets / "questions"
    lines = (questions / "train.jsonl").read_text().splitlines(keepends=True)
    (questions / "heldout.jsonl").write_text("".join(lines[:4]))
    done = forgellm("evaluate", "models/base/tiny", "--dataset", "questions", "--limit", "3")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^exact match, 0 to 1 +0\.0000 ± 0\.0000 +3$", done.stdout, re.MULTILINE)
    assert re.search(r"^perplexity +\d+\.\d{4} ± \d+\.\d{4} +\d+$", done.stdout, re.MULTILINE)
    assert "Answers: models/runs/evaluate_" in done.stdout


def test_contradictions_are_told_before_anything_starts(forgellm, workspace):
    for arguments, words in (
        (["evaluate"], "Name either a model or, with --run, a run."),
        (["evaluate", "models/base/tiny"], "A model is evaluated with --dataset"),
        (["export", "models/base/tiny", "--iteration", "3"], "--iteration is for --format peft"),
        (["export"], "no model has been published yet"),
    ):
        done = forgellm(*arguments)
        assert done.returncode != 0
        assert words in done.stderr
    assert not (workspace.models / "runs").exists()
