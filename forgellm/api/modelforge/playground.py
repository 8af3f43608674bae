"""ModelForge's playground: asking a model by its number."""

from __future__ import annotations

from pydantic import Field

from forgellm.api.asking import asked
from forgellm.api.routes import Body, Quotation, Route
from forgellm.domain.chat import Sampling
from forgellm.services.model_host import ModelHost
from forgellm.services.numbered import find_numbered


class Question(Body):
    model_id: int = Field(ge=0, le=10**15, description="an id of GET /api/models")
    prompt: str
    max_new_tokens: int = Field(100, ge=1, le=2**31)
    temperature: float = Field(0.7, ge=0, le=10)
    top_p: float = Field(0.9, gt=0, le=1)


class Generated(Quotation):
    generated_text: str
    tokens_generated: int
    generation_time_ms: int


def generate(host: ModelHost, body: Question) -> Generated:
    """Ask a model, which is loaded where it is not resident."""
    sampling = Sampling(body.max_new_tokens, body.temperature, body.top_p)
    answer = asked(host, find_numbered(host.parts, body.model_id), body.prompt, sampling=sampling)
    return Generated(
        generated_text=answer.text,
        tokens_generated=answer.finish.completion_tokens,
        generation_time_ms=round(1000 * answer.finish.seconds),
    )


ROUTES = (Route("POST", "/api/playground/generate", generate),)
