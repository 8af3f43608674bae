"""Asking a fine-tuned model, as Sienn-AI documents it."""

from __future__ import annotations

from pydantic import Field

from forgellm.api.asking import asked
from forgellm.api.routes import Body, Quotation, Route
from forgellm.api.sienn.wording import documented, find_job, job_id
from forgellm.domain.chat import Sampling
from forgellm.domain.errors import ModelNotFound
from forgellm.domain.runs import Run
from forgellm.services.model_host import ModelHost
from forgellm.services.numbered import NumberedModel, find_numbered
from forgellm.services.parts import Parts


class Question(Body):
    job_id: str = Field(description="of a job that has weights")
    prompt: str
    max_length: int = Field(200, ge=1, le=2**31, description="tokens of the answer at most")
    temperature: float = Field(0.7, ge=0, le=10)
    top_p: float = Field(0.9, gt=0, le=1)
    top_k: int = Field(50, ge=0, le=2**31)


class Generated(Quotation):
    generated_text: str
    prompt: str
    model_id: str
    inference_time: float
    tokens_generated: int


@documented
def test_model(host: ModelHost, body: Question) -> Generated:
    """Ask the model of a job, which is loaded where it is not resident."""
    run = find_job(host.parts, body.job_id)
    sampling = Sampling(body.max_length, body.temperature, body.top_p, body.top_k)
    answer = asked(host, _model(host.parts, run), body.prompt, sampling=sampling)
    return Generated(
        generated_text=answer.text,
        prompt=body.prompt,
        model_id=job_id(run),
        inference_time=answer.finish.seconds,
        tokens_generated=answer.finish.completion_tokens,
    )


def _model(parts: Parts, run: Run) -> NumberedModel:
    try:
        return find_numbered(parts, run.number)
    except ModelNotFound as error:
        raise ModelNotFound(
            f"job {job_id(run)} has no weights to test",
            details={"job_id": job_id(run)},
            suggestion="GET /api/jobs?status=completed lists the jobs that have.",
        ) from error


ROUTES = (Route("POST", "/api/test-model", test_model),)
