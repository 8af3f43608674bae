"""Models as LLM Platform documents them: by whole numbers, listed, registered, asked."""

from __future__ import annotations

from pydantic import BaseModel, Field

from forgellm.api.asking import asked
from forgellm.api.llm_platform.wording import naive
from forgellm.api.routes import Body, Quotation, Reply, Route
from forgellm.domain.chat import Sampling
from forgellm.forge import Forge
from forgellm.services import numbered
from forgellm.services.model_host import ModelHost
from forgellm.services.numbered import NumberedModel
from forgellm.storage.liveness import state
from forgellm.storage.runs import run_folder


class Model(BaseModel):
    id: int
    name: str
    base_model: str
    status: str = Field(description="AVAILABLE, or TRAINING while its run goes on")
    description: str
    model_size: str | None = Field(description="parameters, counted in the weights: 124M")
    created_at: str
    updated_at: str


class Models(Reply):
    models: list[Model]


class Details(Reply, Model):
    parameters: None = Field(None, description="always null, as documented")


class NewModel(Body):
    name: str = Field(min_length=1, max_length=200)
    base_model: str = Field(description="a Hub id in the local cache, or a model of the workspace")
    description: str = Field("", max_length=20_000)
    model_size: str | None = Field(None, max_length=40)


class Created(Reply):
    id: int
    name: str
    base_model: str
    status: str = "AVAILABLE"
    message: str = "Model created successfully"


class Question(Body):
    prompt: str
    temperature: float = Field(0.7, ge=0, le=10)
    max_length: int = Field(100, ge=1, le=2**31, description="tokens of the answer at most")
    top_p: float = Field(0.9, gt=0, le=1)
    top_k: int = Field(50, ge=0, le=2**31)


class Parameters(BaseModel):
    temperature: float
    max_length: int
    top_p: float
    top_k: int


class Generated(Quotation):
    text: str = Field(description="the answer; with the prompt in front where the model goes on with a text")
    model_id: int
    model_name: str
    generation_time: float
    parameters: Parameters
    timestamp: str


def index(forge: Forge) -> Models:
    """Base models, published, registered and trained ones."""
    return Models(models=[listed(forge, model) for model in numbered.numbered_models(forge)])


def show(forge: Forge, model_id: int) -> Details:
    """One of them."""
    return Details(**listed(forge, numbered.find_numbered(forge, model_id)).model_dump())


def create(forge: Forge, body: NewModel) -> Created:
    """Register a name for a base model that is here."""
    model = numbered.register(
        forge,
        name=body.name,
        base_model=body.base_model,
        description=body.description,
        model_size=body.model_size,
    )
    return Created(id=model.number, name=model.name, base_model=model.base_model)


def generate(host: ModelHost, model_id: int, body: Question) -> Generated:
    """Ask a model, which is loaded where it is not resident."""
    model = numbered.find_numbered(host.parts, model_id)
    sampling = Sampling(body.max_length, body.temperature, body.top_p, body.top_k)
    answer = asked(host, model, body.prompt, sampling=sampling)
    begun = "" if numbered.converses(host.parts, model) else body.prompt
    return Generated(
        text=begun + answer.text,
        model_id=model.id,
        model_name=model.name,
        generation_time=answer.finish.seconds,
        parameters=Parameters(**body.model_dump(exclude={"prompt"})),
        timestamp=naive(host.parts.clock()),
    )


def listed(forge: Forge, model: NumberedModel) -> Model:
    """A model under LLM Platform's names."""
    trains = model.run is not None and state(run_folder(forge.workspace, model.run)).is_active
    return Model(
        id=model.id,
        name=model.name,
        base_model=model.base_model,
        status="TRAINING" if trains else "AVAILABLE",
        description=model.description,
        model_size=numbered.parameters(forge, model),
        created_at=naive(model.created),
        updated_at=naive(model.updated),
    )


ROUTES = (
    Route("GET", "/api/models", index),
    Route("GET", "/api/models/<number:model_id>", show),
    Route("POST", "/api/models", create),
)
MODEL_ROUTES = (Route("POST", "/api/models/<number:model_id>/generate", generate),)
