"""What is in a dataset: its files and their shapes, rows, previews, reports, and decisions about them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from forgellm.api.routes import Answer, Body, Query, Quotation, Route
from forgellm.forge import Forge
from forgellm.services import contents, conversion, excluding
from forgellm.services.contents import ReportState
from forgellm.services.decisions import decide

_MOST_ROWS = 100
_MOST_SHOWN = 20
_LONGEST_SEQUENCE = 1 << 20
LineNumber = Annotated[int, Field(ge=0, le=10**12)]


class DecisionsItem(BaseModel):
    columns: dict[str, dict[str, str]] = Field(description="by file: the column of each part of a row")
    shapes: dict[str, str] = Field(description="by file")
    excluded: dict[str, list[int]] = Field(description="by file: lines that are left out; [0] is all of it")
    source: dict[str, Any] | None = Field(None, description="where the dataset came from")


class RowsFile(BaseModel):
    file: str
    part: str = Field(description="train, valid, heldout or test")
    size_bytes: int
    shape: str | None
    columns: dict[str, str]
    reason: str = Field(description="why that shape")
    alternatives: list[str]
    by_hand: bool
    layout: str | None = Field(description="how a .csv or .tsv is read")
    excluded: int = Field(description="lines that are left out")
    whole_file_excluded: bool


class DocumentFile(BaseModel):
    file: str
    size_bytes: int


class Described(Answer):
    name: str
    files: list[RowsFile] = Field(description="files of rows")
    documents: list[DocumentFile]
    document_count: int
    decisions: DecisionsItem


class RowsWish(Query):
    file: str | None = Field(None, description="left out: the first file of rows, or all documents")
    offset: int = Field(0, ge=0, le=10**9)
    limit: int = Field(20, ge=1, le=_MOST_ROWS)
    problems: bool = Field(False, description="only rows with something wrong")


class RowProblem(BaseModel):
    reason: str
    suggestion: str


class RowMessage(BaseModel):
    role: str
    content: str


class RowItem(BaseModel):
    line: int | None
    values: dict[str, Any] | None = Field(description="as it is in the file, long texts cut short")
    messages: list[RowMessage] | None
    preference: dict[str, list[RowMessage]] | None
    text: str | None
    problem: RowProblem | None
    note: str | None
    excluded: bool


class RowsPage(Answer, Quotation):
    file: str | None
    rows: list[RowItem]
    more: bool


class PreviewWish(Query):
    model: str = Field(description="a base model, as model_name takes it")
    max_seq_length: int | None = Field(
        None, ge=8, le=_LONGEST_SEQUENCE, description="left out: what a run would take"
    )
    chunk_overlap: int = Field(0, ge=0, le=_LONGEST_SEQUENCE)
    file: str | None = None
    offset: int = Field(0, ge=0, le=10**6)
    limit: int = Field(5, ge=1, le=_MOST_SHOWN)


class PieceItem(BaseModel):
    text: str = Field(description="empty for all but the first of several tokens that are one character")
    id: int
    learned: bool


class PreviewItem(BaseModel):
    file: str
    line: int | None
    pieces: list[PieceItem]
    tokens: int
    learned: int
    cut: int = Field(description="tokens at its end that are left out")
    chunk: int | None
    chunks: int | None
    problem: str | None


class PreviewPage(Answer, Quotation):
    model: str
    max_seq_length: int
    rows: list[PreviewItem]
    more: bool
    problems: list[dict[str, Any]] = Field(description="rows on the way that are left out, and why")


class ReportWish(Query):
    model: str | None = Field(None, description="count tokens with its tokenizer as well")
    max_seq_length: int | None = Field(None, ge=8, le=_LONGEST_SEQUENCE)


class Run(ReportWish):
    max_iterations: int | None = Field(None, ge=1, description="tell how often such a run sees everything")
    batch_size: int | None = Field(None, ge=1)
    grad_accumulation_steps: int | None = Field(None, ge=1)
    training_type: Literal["cpt", "ift"] | None = None


class Passes(BaseModel):
    training_type: str = Field(description="as asked for, else that of which there are more sequences")
    sequences: int = Field(description="to train on, about: documents share them")
    batches_per_epoch: int
    iterations: int
    epochs: float


class ReportAnswer(Answer):
    state: Literal["absent", "running", "failed", "done"]
    progress_percentage: float | None
    report: dict[str, Any] | None
    failure: dict[str, Any] | None
    passes: Passes | None = Field(None, description="of a report with a model, where max_iterations is given")


class Cancelled(Answer):
    message: str


class Decided(Body):
    columns: dict[str, dict[str, str]] | None = Field(None, description="left out: as they were")
    shapes: dict[str, str] | None = None
    excluded: dict[str, list[LineNumber]] | None = None


class Decision(Answer):
    decisions: DecisionsItem


class Refused(Body):
    exclude: Literal["refused"]
    file: str | None = Field(None, description="left out: all files")
    model: str | None = Field(None, description="with the rows that its chat template refuses")


class LeftOut(Answer):
    left_out: dict[str, list[int]] = Field(description="by file: lines that were not left out before")


class Conversion(Body):
    name: str = Field(description="of the new dataset")
    to: Literal["messages", "transcripts", "utf8"] = Field(
        description="rows of any shape to messages; transcripts (documents) to messages; texts to UTF-8"
    )
    patterns: dict[str, list[str]] | None = Field(
        None, description="for transcripts: by role, how its turns begin; left out, the usual ones"
    )
    encoding: str | None = Field(
        None, description="for utf8: what files that are not UTF-8 are in; left out, it is found out"
    )


class Split(Body):
    name: str = Field(description="of the new dataset")
    valid: float = Field(0.1, ge=0.0, lt=1.0, description="share to validate on")
    heldout: float = Field(0.0, ge=0.0, lt=1.0, description="share never to train on")
    seed: int = Field(0, ge=0, le=2**32)


class Made(Answer):
    message: str
    dataset: str
    path: str
    written: dict[str, int] = Field(description="by file of the new dataset: rows or documents")
    left_out: int
    problems: list[dict[str, Any]] = Field(description="the first of what was left out, and why")


def show(forge: Forge, name: str) -> Described:
    """The files of a dataset with the shape of each and why, and what was decided about them."""
    return Described(name=name, **contents.describe(forge, name))


def rows(forge: Forge, name: str, query: RowsWish) -> RowsPage:
    """Rows of a file as they are written, and what each is taken for or what is wrong with it."""
    return RowsPage(**contents.rows(forge, name, **query.model_dump()))


def preview(forge: Forge, name: str, query: PreviewWish) -> PreviewPage:
    """Rows as a base model sees them, token by token, with what is learned and where they are cut."""
    page = query.model_dump(exclude={"model"})
    return PreviewPage(**contents.preview(forge, name, model=query.model, page=page))


def report(forge: Forge, name: str, query: Run) -> ReportAnswer:
    """The report of a dataset, or how far it is; POST there has it made. Also: how many epochs a run has."""
    state = contents.report_state(forge, name, model=query.model, max_seq_length=query.max_seq_length)
    answer = _told(state)
    if state.report is None or query.max_iterations is None:
        return answer
    wish = query.model_dump(exclude={"model"})
    found = contents.epochs(state.report, wish)
    return answer.model_copy(update={"passes": None if found is None else Passes(**asdict(found))})


def make_report(forge: Forge, name: str, query: ReportWish) -> ReportAnswer:
    """Have every row checked in the background: counts, duplicates, overlap, lengths, problems."""
    return _told(contents.begin_report(forge, name, **query.model_dump()))


def put_decisions(forge: Forge, name: str, body: Decided) -> Decision:
    """Decide by hand which shape a file has, which column is what, and what is left out."""
    decided = decide(forge, name, columns=body.columns, shapes=body.shapes, excluded=body.excluded)
    return Decision(
        decisions=DecisionsItem(
            columns={file: dict(parts) for file, parts in decided.columns.items()},
            shapes=dict(decided.shapes),
            excluded=dict(decided.excluded),
            source=None if decided.source is None else dict(decided.source),
        )
    )


def leave_out(forge: Forge, name: str, body: Refused) -> LeftOut:
    """Leave out every row that cannot be used, beside what is left out already; no file is changed."""
    lines = excluding.exclude_refused(forge, name, file=body.file, model=body.model)
    return LeftOut(left_out={file: list(numbers) for file, numbers in lines.items()})


def convert(forge: Forge, name: str, body: Conversion) -> Made:
    """Write a new dataset in another form; this one stays as it is."""
    return _made(body.name, conversion.convert(forge, name, **body.model_dump()))


def split(forge: Forge, name: str, body: Split) -> Made:
    """Write a new dataset with parts to validate on; equal rows and documents stay on one side."""
    return _made(body.name, conversion.split(forge, name, **body.model_dump()))


def cancel_report(forge: Forge, name: str, query: ReportWish) -> Cancelled:
    """End the making of a report; one that is done stays."""
    was_going = contents.cancel_report(forge, name, **query.model_dump())
    return Cancelled(message="The report is not made" if was_going else "No report was being made")


def _told(state: ReportState) -> ReportAnswer:
    going = state.going
    error = None if going is None else going.error
    if state.report is not None:
        return ReportAnswer(state="done", progress_percentage=100.0, report=state.report, failure=None)
    if error is not None:
        failure = {"code": error.code, "error": error.message, "suggestion": error.suggestion}
        return ReportAnswer(state="failed", progress_percentage=None, report=None, failure=failure)
    if going is None:
        return ReportAnswer(state="absent", progress_percentage=None, report=None, failure=None)
    share = round(100 * going.done / going.total, 1) if going.total else 0.0
    return ReportAnswer(state="running", progress_percentage=share, report=None, failure=None)


def _made(name: str, answer: dict[str, Any]) -> Made:
    return Made(message=f"dataset/{name} is written", dataset=name, path=f"dataset/{name}", **answer)


ROUTES = (
    Route("GET", "/api/datasets/<name>", show),
    Route("GET", "/api/datasets/<name>/rows", rows),
    Route("GET", "/api/datasets/<name>/preview", preview),
    Route("GET", "/api/datasets/<name>/report", report),
    Route("POST", "/api/datasets/<name>/report", make_report),
    Route("DELETE", "/api/datasets/<name>/report", cancel_report),
    Route("PUT", "/api/datasets/<name>/decisions", put_decisions),
    Route("POST", "/api/datasets/<name>/decisions", leave_out),
    Route("POST", "/api/datasets/<name>/convert", convert),
    Route("POST", "/api/datasets/<name>/split", split),
)
