"""README.md of a published model: what it is, how it was made, what was measured, how to use it.

No path of the machine stands in it. What was not measured is left out or named as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard, ModelCardData

from forgellm.domain.checkpoints import Checkpoint, standard_error
from forgellm.domain.metrics import prefers
from forgellm.jobs.report import NOT_MEASURED, Report, duration, duration_seconds, loss, settings

_INHERITED = ("base_model", "license", "license_name", "license_link")


@dataclass(frozen=True)
class Measured:
    """Losses of the published model itself, in nats per token, and the number of targets behind them."""

    validation_loss: float
    validation_tokens: int
    general_validation_loss: float | None = None
    general_validation_tokens: int | None = None


def model_card(
    report: Report,
    *,
    checkpoint: Checkpoint,
    measured: Measured,
    name: str,
    base_folder: Path,
    hub_id: str | None,
) -> str:
    """The card as Markdown, the Hub's metadata in front.

    `hub_id` is the base model's, None for a folder of the workspace: then the model that the base's own
    card names is given. The licence is the one in that card, if there is one.
    """
    data = ModelCardData(
        **inherited(base_folder),
        library_name="mlx",
        pipeline_tag="text-generation",
        tags=["mlx", "forgellm", "text-generation"],
        model_name=name,
    )
    if hub_id is not None:
        data.base_model = hub_id
    body = [
        f"# {name}",
        _introduction(report, checkpoint),
        "## What was measured",
        _losses(report, checkpoint, measured),
        _note(report, checkpoint, measured),
        "## The best checkpoints of the run",
        _best(report, checkpoint),
        "## How it was made",
        _settings(report),
        "![Loss, perplexity, learning rate, speed, stability and gap over the run](training_dashboard.png)",
        "## How to use it",
        _usage(name),
        "## Limits",
        _limits(report),
    ]
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(body) + "\n"))


def _introduction(report: Report, checkpoint: Checkpoint) -> str:
    spec = report.run.spec
    kind = "Continued pre-training" if spec["training_type"] == "cpt" else "Instruction fine-tuning"
    kind = "Preference tuning (DPO)" if prefers(spec) else kind
    return (
        f"{kind} of `{spec['model_name']}` on the dataset `{spec['dataset']}`: the weights of iteration "
        f"{checkpoint.iteration:,}, fused into the base model."
    )


def _losses(report: Report, checkpoint: Checkpoint, measured: Measured) -> str:
    rows = [
        ["before training", loss(report.initial_loss), loss(_general_before(report))],
        [
            f"checkpoint of iteration {checkpoint.iteration:,}",
            loss(checkpoint.validation_loss),
            loss(checkpoint.general_validation_loss),
        ],
        [
            "**this published model**",
            f"**{loss(measured.validation_loss)}**",
            loss(measured.general_validation_loss),
        ],
    ]
    return _table(["weights", "validation loss", "on general data"], rows)


def _general_before(report: Report) -> float | None:
    found = [e for e in report.events if e["type"] == "validation" and e.get("iteration") == 0]
    value = found[0].get("general_validation_loss") if found else None
    return value if isinstance(value, float) else None


def _note(report: Report, checkpoint: Checkpoint, measured: Measured) -> str:
    error = standard_error(checkpoint.sequence_losses)
    spread = "" if error is None else f", standard error {error:.4f}"
    general = measured.general_validation_tokens
    other = "" if general is None else f", general data on {general:,} tokens"
    unit, on = "token", f"{measured.validation_tokens:,} held-out tokens"
    if prefers(report.run.spec):
        unit, on = (
            "pair",
            f"{len(checkpoint.sequence_losses):,} held-out pairs, where 0.6931 is no preference",
        )
    return (
        f"Nats per {unit} on one fixed set of {on}{spread}{other}. "
        "The published model was loaded back from its files and measured like the others."
    )


def _best(report: Report, published: Checkpoint) -> str:
    rows = [
        [
            str(c.rank),
            f"{c.iteration:,}" + (" (this model)" if c.iteration == published.iteration else ""),
            loss(c.validation_loss) + (" (tied with the best)" if c.tied_with_best else ""),
        ]
        for c in report.best_three
    ]
    return _table(["rank", "iteration", "validation loss"], rows)


def _settings(report: Report) -> str:
    rows = [[name, words] for name, words in settings(report)]
    tokens = report.trained_tokens
    rows.append(["Tokens trained on", NOT_MEASURED if tokens is None else f"{tokens:,}"])
    rows.append(["Time", duration(duration_seconds(report))])
    rows += [
        [f"{name} version", version] for name, version in report.run.versions.items() if name != "platform"
    ]
    rows.append(["Platform", report.run.versions.get("platform", "not recorded")])
    return _table(["setting", "value"], rows)


def _usage(name: str) -> str:
    return "\n".join(
        [
            "With mlx-lm:",
            "",
            "```sh",
            f'mlx_lm.generate --model models/published/{name} --prompt "Hello"',
            "```",
            "",
            "With ForgeLLM, as the base of the next training run:",
            "",
            "```sh",
            f"forgellm train --model-name models/published/{name} --training-type ift --dataset NAME",
            "```",
        ]
    )


def _limits(report: Report) -> str:
    platform = report.run.versions.get("platform")
    if platform is None:
        where = " On which machine it was trained was not recorded."
    elif platform.startswith("macOS"):
        where = ""
    else:
        where = " It was not trained on a Mac, and nothing above was measured on one."
    more = "held-out text of the same dataset became more likely"
    if prefers(report.run.spec):
        more = "the preferred answers to held-out questions gained on the rejected ones"
    return (
        f"A lower validation loss says that {more}. It does not "
        f"say that answers are true, safe or free of what the data or the base model brought along.{where}"
    )


def inherited(folder: Path) -> dict[str, Any]:
    """Origin and licence as the base model's own card states them; nothing where it cannot be read."""
    card = folder / "README.md"
    if not card.is_file():
        return {}
    try:
        data: dict[str, Any] = ModelCard.load(card, ignore_metadata_errors=True).data.to_dict()
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return {key: value for key, value in data.items() if key in _INHERITED}


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
