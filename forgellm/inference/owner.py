"""What the engine's thread does, and all that it alone may touch.

Any other thread that touches MLX leaks two OS threads for ever, and half of the processes that did so abort
at exit (measured with mlx 0.32.4), so every array is made, used and freed here. It must not end
by anything that a request or a model brings: a panic in Rust (tokenizers, llguidance) is no Exception.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn

from forgellm.domain.chat import GenerationRequest
from forgellm.domain.device_failures import A_FOLDER_TO_COMPILE_IN, Kind, kind_of
from forgellm.domain.errors import ForgeError, GpuInterrupted, InvalidModel, NoTemporaryFolder, OutOfMemory
from forgellm.inference.batch import Batch
from forgellm.inference.board import Board, Loaded, not_loaded
from forgellm.inference.known import KnownPrompts
from forgellm.inference.options import EngineOptions
from forgellm.inference.prompts import Prompt
from forgellm.inference.rendering import Renderer
from forgellm.inference.resident import Resident, free_memory
from forgellm.inference.sequence import Sequence, check_kv_bits
from forgellm.inference.stream import AnswerStream
from forgellm.storage.models import vocabulary_size
from forgellm.storage.targets import Source
from forgellm.training.adapters import load_base

_log = logging.getLogger(__name__)

_WAY_OUT: Mapping[Kind, str] = {
    OutOfMemory: "Close other programs, or use a quantized copy.",
    GpuInterrupted: (
        "Ask again. macOS ends computations that keep the screen waiting: a shorter prompt or a smaller "
        "model takes less of the GPU at a time."
    ),
    NoTemporaryFolder: f"{A_FOLDER_TO_COMPILE_IN}, and start the model server again.",
}


@dataclass(frozen=True)
class Load:
    """Make `source` resident."""

    source: Source


@dataclass(frozen=True)
class Unload:
    """Let go of the model, and say when that is done."""

    done: threading.Event


@dataclass(frozen=True)
class Ask:
    """Answer a request that was made for the model `loaded`."""

    loaded: Loaded
    stream: AnswerStream
    request: GenerationRequest
    prompt: Prompt


Command = Load | Unload | Ask | None
"""None ends the thread."""


class Owner:
    """Takes commands one after the other; in between, every answer gets its next token."""

    def __init__(
        self,
        commands: queue.SimpleQueue[Command],
        board: Board,
        renderer: Renderer,
        *,
        options: EngineOptions,
    ) -> None:
        self._commands = commands
        self._board = board
        self._renderer = renderer
        self._options = options
        self._loaded: Loaded | None = None
        self._resident: Resident | None = None
        self._batch: Batch | Sequence | None = None
        self._draft: nn.Module | None = None

    def run(self) -> None:
        """Serve until told to end."""
        try:
            while self._turn():
                pass
        finally:
            self._drop()
            mx.clear_streams()

    def _turn(self) -> bool:
        try:
            command = self._commands.get(timeout=self._patience())
        except queue.Empty:
            if self._answering():
                self._step()
            elif self._board.let_go_if_unused():
                self._drop()
            return True
        if command is None:
            return False
        self._obey(command)
        return True

    def _patience(self) -> float | None:
        """Seconds to wait for a command: none while there is something to compute."""
        if self._answering():
            return 0.0
        return self._options.idle_seconds if self._resident is not None else None

    def _answering(self) -> bool:
        return self._batch is not None and len(self._batch) > 0

    def _obey(self, command: Load | Unload | Ask) -> None:
        if isinstance(command, Ask):
            self._answer(command)
            return
        while self._answering():
            self._step()
        if isinstance(command, Load):
            self._load(command.source)
        else:
            self._go_idle()
            command.done.set()

    def _answer(self, ask: Ask) -> None:
        if ask.loaded is not self._loaded or self._batch is None:
            ask.stream.fail(not_loaded(None))
            self._board.leave()
            return
        try:
            self._batch.add(ask.stream, ask.request, ask.prompt)
        except BaseException as error:
            _log.exception("a request could not be begun")
            ask.stream.fail(_answer_failure(error))
            self._board.leave()

    def _load(self, source: Source) -> None:
        try:
            self._make_resident(source)
            failure = None
        except ForgeError as error:
            # Not the object itself: its frames hold the arrays of the load that failed.
            failure = type(error)(error.message, details=error.details, suggestion=error.suggestion)
        except BaseException as error:
            _log.exception("loading %s failed", source.target.model_name)
            failure = _load_failure(source, error)
        if failure is not None:
            self._drop()
        self._board.end_loading(self._loaded, failure)

    def _make_resident(self, source: Source) -> None:
        if self._resident is not None and self._resident.source.identity == source.identity:
            resident = self._resident
            self._loaded = None
            resident.change_adapter(source)
        else:
            self._drop()
            resident = Resident(source, self._renderer)
            self._resident = resident
            self._draft = self._load_draft(resident)
            check_kv_bits(self._options.kv_bits, resident)
        self._batch = self._batch or self._new_batch(resident)
        self._loaded = Loaded(source, resident.form, resident.context)

    def _new_batch(self, resident: Resident) -> Batch | Sequence:
        options = self._options
        known = KnownPrompts(resident, conversations=options.conversations, cache_bytes=options.cache_bytes)
        if not options.one_by_one:
            return Batch(resident, known, at_once=options.at_once, on_end=self._board.leave)
        return Sequence(resident, known, kv_bits=options.kv_bits, draft=self._draft, on_end=self._board.leave)

    def _load_draft(self, resident: Resident) -> nn.Module | None:
        """The draft model, loaded once. Raises InvalidModel where its vocabulary is another one."""
        draft = self._options.draft
        if draft is None:
            return None
        ours, theirs = vocabulary_size(resident.source.config), vocabulary_size(draft.config)
        if ours != theirs:
            raise InvalidModel(
                f"the draft model {draft.target.model_name} has {theirs} tokens, the model {ours}",
                suggestion="Use a smaller model of the same family.",
            )
        return self._draft or load_base(draft.model_path)[0]

    def _step(self) -> None:
        assert self._batch is not None
        try:
            self._batch.step()
        except BaseException as error:
            _log.exception("an answer could not be computed")
            assert self._resident is not None
            self._batch.fail(_answer_failure(error))
            self._batch.close()
            self._batch = self._new_batch(self._resident)

    def _go_idle(self) -> None:
        self._drop()
        self._board.unloaded()

    def _drop(self) -> None:
        if self._batch is not None:
            self._batch.fail(not_loaded(None))
            self._batch.close()
        self._batch = self._resident = self._loaded = self._draft = None
        free_memory()


def _load_failure(source: Source, error: BaseException) -> ForgeError:
    """What a load that ended in an unforeseen way is blamed on: the files, whatever they did to a library."""
    message = f"{source.target.model_name} could not be loaded: {str(error) or type(error).__name__:.300}"
    return _of_the_machine(error, message) or InvalidModel(
        message, suggestion="Copy or download the model again, or use another one."
    )


def _answer_failure(error: BaseException) -> ForgeError:
    """What an answer that ended in an unforeseen way is blamed on."""
    message = f"the model could not answer: {error}"
    return _of_the_machine(error, message) or ForgeError(message)


def _of_the_machine(error: BaseException, message: str) -> ForgeError | None:
    kind = kind_of(error)
    return None if kind is None else kind(message, suggestion=_WAY_OUT[kind])
