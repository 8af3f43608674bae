"""The resident model for every other thread: what is asked here is done by the one thread that owns MLX."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from forgellm.domain.chat import GenerationRequest, ModelStatus
from forgellm.inference.board import Board
from forgellm.inference.options import EngineOptions
from forgellm.inference.owner import Ask, Command, Load, Owner, Unload
from forgellm.inference.prompts import build_prompt
from forgellm.inference.rendering import Renderer
from forgellm.inference.stream import AnswerStream
from forgellm.storage.targets import Source


class Engine:
    """One resident model. Every method may be called from any thread, and none of them touches MLX."""

    def __init__(
        self,
        environment: Mapping[str, str],
        options: EngineOptions | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`environment` is that of the process that renders chat templates."""
        options = options or EngineOptions()
        self._monotonic = monotonic
        self._renderer = Renderer(environment)
        self._board = Board(at_once=options.at_once, waiting=options.waiting)
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        # A request is queued behind the model that its prompt was made for, and before the next load.
        self._order = threading.Lock()
        owner = Owner(self._commands, self._board, self._renderer, options=options)
        self._thread = threading.Thread(target=owner.run, name="inference engine")
        self._thread.start()

    def load(self, source: Source) -> None:
        """Begin to make `source` resident, and return at once. Answers that are on their way end first."""
        with self._order:
            self._board.begin_loading(source)
            self._commands.put(Load(source))

    def wait_until_loaded(self) -> None:
        """Return when a model is resident. Raises ModelNotLoaded, with the reason, where none will be."""
        self._board.current()

    def unload(self) -> None:
        """Let go of the model; returns when its memory is free."""
        done = threading.Event()
        self._commands.put(Unload(done))
        done.wait()

    def status(self) -> ModelStatus:
        """What is resident now, or being loaded."""
        return self._board.status()

    def generate(self, request: GenerationRequest) -> AnswerStream:
        """Ask the resident model, waiting for one that is being loaded.

        Raises ModelNotLoaded, ModelBusy, TemplateTimeout, and InvalidField for what cannot be asked.
        """
        stream = AnswerStream(self._monotonic())
        while True:
            loaded = self._board.current()
            self._board.enter()
            with ExitStack() as undo:
                # Whoever is never answered must not be counted for ever, whatever the reason.
                undo.callback(self._board.leave)
                prompt = build_prompt(loaded.form, request, context=loaded.context)
                with self._order:
                    if self._board.is_current(loaded):
                        undo.pop_all()
                        self._commands.put(Ask(loaded, stream, request, prompt))
                        return stream

    def close(self) -> None:
        """End the thread; what is being answered ends with an error."""
        self._commands.put(None)
        self._thread.join()
        self._renderer.close()
