"""A request that is being answered: what each new token adds to it, and the account of it at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import mlx.core as mx

from forgellm.domain.chat import Finish, FinishReason, GenerationChunk, GenerationRequest, TokenProbability
from forgellm.inference.answers import AnswerText, Piece
from forgellm.inference.prompts import ChatForm, Prompt
from forgellm.inference.stream import AnswerStream


@dataclass
class Active:
    """One answer on its way. Times are seconds of `monotonic`."""

    stream: AnswerStream
    request: GenerationRequest
    prompt: Prompt
    form: ChatForm
    cached_tokens: int
    monotonic: Callable[[], float]
    completion_tokens: int = 0
    first_token: float | None = None

    def __post_init__(self) -> None:
        self._tokens: list[int] = []
        self._chunks: list[GenerationChunk] = []
        self._stopped = False
        self._text = AnswerText(
            self.form.tokenizer,
            stop=self.request.stop,
            thinks=self.prompt.thinks,
            continues=self.request.prompt is not None or bool(self.request.begun),
            tools=self.request.tools,
        )

    def take(self, token: int, logprobs: mx.array, finish_reason: FinishReason | None) -> bool:
        """Pass on what the token adds, and say whether the answer is over: by `finish_reason`, or by a stop
        string in the text. A token that ends the answer as "stop" is no text.
        """
        self.completion_tokens += 1
        if self.first_token is None:
            self.first_token = self.monotonic()
        ended = finish_reason == "stop"
        piece = Piece() if ended else self._text.add(token)
        probabilities = () if ended else self._probabilities(token, logprobs)
        self._tokens += () if ended else (token,)
        reason: FinishReason | None = "stop" if piece.stopped else finish_reason
        if reason is None:
            self._pass_on(GenerationChunk(piece.text, piece.thinking, probabilities))
            return False
        last = Piece() if piece.stopped else self._text.end()
        self._stopped = piece.stopped or last.stopped
        text, thinking = piece.text + last.text, piece.thinking + last.thinking
        self._pass_on(GenerationChunk(text, thinking, probabilities, self._finish(reason)))
        return True

    def _pass_on(self, chunk: GenerationChunk) -> None:
        """Whoever wants the answer whole is not woken up for every piece of it."""
        self._chunks.append(chunk)
        if chunk.finish is None:
            if not self.request.whole:
                self.stream.put(chunk)
            return
        whole = _joined(self._chunks)
        self._remember(whole)
        self.stream.put(whole if self.request.whole else chunk)

    def _remember(self, whole: GenerationChunk) -> None:
        """For when the answer comes back in the next turn: thoughts and calls do so in other forms."""
        prompt, wordy = self.prompt, whole.thinking or self.prompt.thinks or self._text.tool_calls
        if prompt.text is not None and whole.text and not wordy and not self._stopped:
            self.form.spoken.remember(prompt.text, whole.text, self._tokens)

    def _finish(self, reason: FinishReason) -> Finish:
        now = self.monotonic()
        calls = self._text.tool_calls
        first = self.first_token or now
        spent = now - first
        speed = (self.completion_tokens - 1) / spent if self.completion_tokens > 1 and spent > 0 else None
        return Finish(
            reason="tool_calls" if calls and reason == "stop" else reason,
            prompt_tokens=len(self.prompt.tokens),
            cached_tokens=self.cached_tokens,
            completion_tokens=self.completion_tokens,
            first_token_seconds=first - self.stream.accepted,
            seconds=now - self.stream.accepted,
            tokens_per_second=speed,
            tool_calls=calls,
        )

    def _probabilities(self, token: int, logprobs: mx.array) -> tuple[TokenProbability, ...]:
        wanted = self.request.logprobs
        if wanted is None:
            return ()
        chosen: float = logprobs[token].item()  # type: ignore[assignment]
        return (TokenProbability(self._word(token), chosen, self._likeliest(logprobs, wanted)),)

    def _likeliest(self, logprobs: mx.array, count: int) -> tuple[tuple[str, float], ...]:
        """What could not have been drawn is none of them."""
        if count == 0:
            return ()
        order = mx.argsort(-logprobs)[:count]
        ids: list[int] = order.tolist()  # type: ignore[assignment]
        values: list[float] = logprobs[order].tolist()  # type: ignore[assignment]
        return tuple((self._word(n), value) for n, value in zip(ids, values, strict=True) if value != -inf)

    def _word(self, token: int) -> str:
        return str(self.form.tokenizer.decode([token]))


def _joined(chunks: list[GenerationChunk]) -> GenerationChunk:
    """All of them as one."""
    return GenerationChunk(
        text="".join(chunk.text for chunk in chunks),
        thinking="".join(chunk.thinking for chunk in chunks),
        tokens=tuple(token for chunk in chunks for token in chunk.tokens),
        finish=chunks[-1].finish,
    )
