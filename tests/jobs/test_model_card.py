"""The card of a published model states what was measured, and nothing that was not."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from forgellm.domain.checkpoints import Checkpoint, rank
from forgellm.domain.runs import Run, RunKind, RunState
from forgellm.domain.spec import parse_spec, to_dict
from forgellm.jobs.model_card import Measured, model_card
from forgellm.jobs.report import Report

MEASURED = Measured(2.5012, 1000, 3.1001, 700)


def a_report(*, platform: str | None = "Linux-6.1-x86_64", **spec: object) -> Report:
    """Checkpoints at 10, 20 and 30 of which 20 is the best and 30 within its error."""
    values = {"model_name": "org/small", "training_type": "cpt", "dataset": "do|main", "max_iterations": 30}
    created = datetime(2025, 1, 15, 10, 30, tzinfo=timezone.utc)
    versions = {"mlx": "0.32.4"} | ({"platform": platform} if platform else {})
    run = Run(
        "cpt_20250115_103000",
        1,
        RunKind.CPT,
        "models/cpt/small_run",
        created,
        to_dict(parse_spec(values | spec)),
        versions,
    )
    measured = {0: 4.0, 10: 3.0, 20: 2.5, 30: 2.5005}
    events = [
        {
            "type": "validation",
            "iteration": i,
            "validation_loss": loss,
            "general_validation_loss": loss + 0.6,
            "validation_tokens": 1000,
        }
        for i, loss in measured.items()
    ]
    return Report(run, RunState.COMPLETED, events, rank([a_checkpoint(i) for i in (10, 20, 30)]))


def a_checkpoint(iteration: int) -> Checkpoint:
    loss = {10: 3.0, 20: 2.5, 30: 2.5005}[iteration]
    noise = {10: 0.0, 20: 0.0, 30: 9.0}[iteration]
    pairs = tuple((loss * 100 + noise * (-1) ** n, 100) for n in range(10))
    return Checkpoint(iteration, f"{iteration}", "", 1, loss, loss + 0.6, sequence_losses=pairs)


def a_card(
    base: Path,
    report: Report | None = None,
    *,
    hub_id: str | None = "org/small",
    measured: Measured = MEASURED,
) -> ModelCard:
    text = model_card(
        report or a_report(),
        checkpoint=a_checkpoint(20),
        measured=measured,
        name="my-model",
        base_folder=base,
        hub_id=hub_id,
    )
    return ModelCard(text)


def rows_of(card: ModelCard) -> list[list[str]]:
    lines = [line for line in card.text.splitlines() if line.startswith("| ")]
    return [[cell.strip().strip("*") for cell in line[1:-1].split(" | ")] for line in lines]


def test_the_three_losses_stand_side_by_side_with_what_they_were_measured_on(tmp_path: Path) -> None:
    card = a_card(tmp_path)
    rows = rows_of(card)
    assert ["before training", "4.0000", "4.6000"] in rows
    assert ["checkpoint of iteration 20", "2.5000", "3.1000"] in rows
    assert ["this published model", "2.5012", "3.1001"] in rows
    assert "1,000 held-out tokens" in card.text
    assert "general data on 700 tokens" in card.text


def test_what_was_not_measured_is_named_as_such(tmp_path: Path) -> None:
    report = a_report()
    nothing_before = Report(report.run, report.state, report.events[1:], report.checkpoints)
    card = a_card(tmp_path, nothing_before, measured=Measured(2.5, 1000))
    assert ["before training", "not measured", "not measured"] in rows_of(card)
    assert ["this published model", "2.5000", "not measured"] in rows_of(card)
    assert "general data on" not in card.text


def test_the_best_three_are_ranked_with_ties_and_this_model_marked(tmp_path: Path) -> None:
    rows = rows_of(a_card(tmp_path))
    assert ["1", "20 (this model)", "2.5000"] in rows
    assert ["2", "30", "2.5005 (tied with the best)"] in rows
    assert ["3", "10", "3.0000"] in rows


def test_a_bar_in_a_name_does_not_break_the_table(tmp_path: Path) -> None:
    assert "| Dataset | do\\|main |" in a_card(tmp_path).text


def test_a_model_of_the_hub_is_named_as_the_base_for_the_hub(tmp_path: Path) -> None:
    data = a_card(tmp_path).data
    assert (data.base_model, data.library_name, data.pipeline_tag) == ("org/small", "mlx", "text-generation")
    assert {"mlx", "forgellm"} <= set(data.tags or [])
    assert data.license is None
    assert data.language is None


def test_a_folder_of_the_workspace_is_no_base_that_the_hub_knows(tmp_path: Path) -> None:
    report = a_report(model_name="base/small")
    card = a_card(tmp_path, report, hub_id=None)
    assert card.data.base_model is None
    assert "`base/small`" in card.text


def test_origin_and_licence_come_from_the_base_models_own_card(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "---\nlicense: other\nlicense_name: small\nlicense_link: LICENSE\nbase_model: org/origin\n"
        "language: fr\ntags: [theirs]\n---\n# Small\n"
    )
    data = a_card(tmp_path, hub_id=None).data.to_dict()
    assert {key: data.get(key) for key in ("license", "license_name", "license_link", "base_model")} == {
        "license": "other",
        "license_name": "small",
        "license_link": "LICENSE",
        "base_model": "org/origin",
    }
    assert "language" not in data
    assert "theirs" not in data["tags"]


@pytest.mark.parametrize(
    "content",
    [
        b"---\nlicense: [mit\n---\n",
        b"---\nlicense: \xe9\n---\n",
        b"---\n- a list\n---\n",
        b"# no metadata",
        b"",
    ],
    ids=["bad YAML", "bad UTF-8", "a list", "none", "empty"],
)
def test_a_broken_card_of_the_base_costs_the_licence_and_not_the_publishing(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "README.md").write_bytes(content)
    card = a_card(tmp_path)
    assert card.data.license is None
    assert "this published model" in card.text


@pytest.mark.parametrize(
    ("platform", "words"),
    [
        ("Linux-6.1-x86_64", "It was not trained on a Mac"),
        (None, "not recorded"),
        ("macOS-15.1-arm64", "what the data or the base model brought along."),
    ],
)
def test_the_limits_say_where_it_was_trained_only_as_far_as_that_is_known(
    tmp_path: Path, platform: str | None, words: str
) -> None:
    limits = a_card(tmp_path, a_report(platform=platform)).text.split("## Limits")[1].strip()
    assert words in limits
    assert ("Mac" in limits) == (platform is not None and platform.startswith("Linux"))
