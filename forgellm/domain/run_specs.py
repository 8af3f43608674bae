"""The spec that a training run was created with, perhaps by another version of ForgeLLM."""

from __future__ import annotations

from forgellm.domain.errors import ForgeError, InvalidField
from forgellm.domain.runs import Run
from forgellm.domain.spec import TrainingSpec, parse_spec


class UnknownSpec(ForgeError):
    """What a run was created with is not understood here."""

    code = "UNKNOWN_SPEC"
    status = 422


def spec_of(run: Run) -> TrainingSpec:
    """Raises UnknownSpec, naming the version that made the run."""
    try:
        return parse_spec(run.spec)
    except InvalidField as error:
        maker = run.versions.get("forgellm", "an unknown version")
        raise UnknownSpec(
            f"run {run.id} was made by ForgeLLM {maker}, which this version does not follow: {error.message}",
            details={"run": run.id, "made_by": maker, **error.details},
            suggestion="Use the version that made it, or a newer one; or start a new run.",
        ) from error
