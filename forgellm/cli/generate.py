"""`forgellm cli generate`: an answer on standard output, or a conversation in the terminal."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import Any

import click

from forgellm.cli.answers import Reply, harmless, read_answer, stats_line, valid_text
from forgellm.cli.blas import preload_openblas
from forgellm.cli.context import Invocation
from forgellm.cli.conversation import Conversation
from forgellm.cli.opening import INTERRUPTED, make_resident, opened, target_of
from forgellm.cli.sampling import sampling_options
from forgellm.cli.terminal import has_terminal
from forgellm.domain.chat import ModelService, ModelStatus, Sampling, Target
from forgellm.domain.errors import InvalidField


@dataclass(frozen=True)
class Wish:
    """What is to be answered, by what, and how it is to be shown. `raw` None lets the model decide."""

    target: Target | None
    force: bool
    server: str | None
    system: str | None
    sampling: Sampling
    stop: tuple[str, ...]
    raw: bool | None
    plain_base: bool
    as_json: bool

    def conversation(self, status: ModelStatus) -> Conversation:
        """A new one. A base model goes on with a text; only an instruct model has learnt to answer."""
        completes = status.model_type == "base" if self.raw is None else self.raw
        return Conversation(completes, self.system, self.sampling, self.stop, self.plain_base)


@click.command()
@click.option("--model", metavar="NAME", help="A folder such as models/base/NAME, a cached Hub id, or a run.")
@click.option(
    "--adapter-path", metavar="PATH", help="The folder of a training run, or one of its checkpoints."
)
@click.option(
    "--prompt", metavar="TEXT", help="Default: standard input; at a terminal a conversation begins."
)
@click.option("--system-prompt", "system", metavar="TEXT", help="What a chat begins with.")
@sampling_options
@click.option(
    "--stop", multiple=True, metavar="TEXT", help="End before this text. Can be given several times."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the answer.")
@click.option("--base", "plain_base", is_flag=True, help="Ask the base model, without the adapter.")
@click.option(
    "--raw/--chat", default=None, help="Go on with the text, or answer it. Default: what the model learnt."
)
@click.option("--force", is_flag=True, help="Load the model although memory seems too short for it.")
@click.option(
    "--server", metavar="URL", help="Ask a model server; FORGELLM_TOKEN is sent along. Default: this process."
)
@click.pass_obj
def generate(invocation: Invocation, /, *, prompt: str | None, model: str | None, **options: Any) -> None:
    """Ask a model: once, or in a conversation.

    \b
    forgellm cli generate --model NAME                    a conversation; /help lists its commands
    forgellm cli generate --model NAME --prompt TEXT      one answer
    forgellm cli generate --model NAME < question.txt     one answer

    The answer goes to standard output as it comes; thoughts and figures go to standard error. Ctrl-C stops
    the answer. Without --model the one is asked that --server has loaded.
    """
    if options["server"] is None:
        preload_openblas()
    wish = _wish(invocation, model, options)
    talks = prompt is None and has_terminal() and not wish.as_json
    if prompt is None and not talks and (sys.stdin is None or sys.stdin.isatty()):
        raise click.UsageError("Without a terminal on both sides there has to be a --prompt.")
    question = None if talks else _question(prompt)
    try:
        with opened(invocation, server=wish.server) as service:
            if question is None:
                _converse(invocation, service, wish)
                return
            reply = _answer(service, wish, question)
    except KeyboardInterrupt:
        # No answer had begun yet.
        sys.exit(INTERRUPTED)
    if reply.finish is None:
        sys.exit(INTERRUPTED)


def _wish(invocation: Invocation, model: str | None, options: dict[str, Any]) -> Wish:
    server = options["server"]
    if model is None and server is None:
        raise click.UsageError("Missing option '--model': what is to answer?")
    adapter = options["adapter_path"]
    if model is None and adapter is not None:
        raise click.UsageError("--adapter-path needs --model: the one that it was trained on.")
    target = None
    if model is not None:
        target = target_of(invocation, valid_text(model), adapter and valid_text(adapter), server=server)
    given = {name: options[name] for name in asdict(Sampling()) if options[name] is not None}
    return Wish(
        target=target,
        force=options["force"],
        server=server,
        system=options["system"] and valid_text(options["system"]),
        sampling=Sampling(**given),
        stop=tuple(valid_text(text) for text in options["stop"]),
        raw=options["raw"],
        plain_base=options["plain_base"],
        as_json=options["as_json"],
    )


def _question(prompt: str | None) -> str:
    """The prompt, or all of standard input. Raises InvalidField where there is nothing, or no text."""
    try:
        text = sys.stdin.buffer.read().decode("utf-8") if prompt is None else valid_text(prompt)
    except UnicodeDecodeError as error:
        raise InvalidField(
            f"standard input is not UTF-8 text: {error.reason} at byte {error.start}",
            details={"field": "prompt"},
            suggestion="Convert it to UTF-8, or give --prompt.",
        ) from error
    # The newline that ends a line of a shell is not part of the question.
    question = text.removesuffix("\n") if prompt is None else text
    if not question:
        raise InvalidField(
            "there is nothing to answer: the prompt is empty",
            details={"field": "prompt"},
            suggestion="Give --prompt TEXT, or pipe a text in.",
        )
    return question


def _converse(invocation: Invocation, service: ModelService, wish: Wish) -> None:
    # readline and all that only a conversation needs.
    from forgellm.cli.repl import converse

    click.secho("Loading …", err=True, dim=True)
    status = make_resident(service, wish.target, force=wish.force)
    converse(service, wish.conversation(status), folder=invocation.settings().workspace / ".forgellm")


def _answer(service: ModelService, wish: Wish, question: str) -> Reply:
    status = make_resident(service, wish.target, force=wish.force)
    answer = service.generate(wish.conversation(status).ask(question))
    if wish.as_json:
        reply = read_answer(answer, on_text=_ignore, on_thinking=_ignore)
        click.echo(json.dumps(_values(status, reply), indent=2))
        return reply
    reply = read_answer(answer, on_text=_write, on_thinking=_write_thinking)
    # A shell's prompt begins on a line of its own; a pipe gets what the model said and the end of the line.
    click.echo()
    click.secho(stats_line(reply), err=True, dim=True)
    return reply


def _ignore(_: str) -> None:
    pass


def _write(text: str) -> None:
    # Click would take colours out of a pipe; there the text is data, of which nothing is to be lost.
    click.echo(harmless(text) if sys.stdout.isatty() else text, nl=False, color=True)


def _write_thinking(text: str) -> None:
    click.secho(harmless(text), nl=False, err=True, dim=True)


def _values(status: ModelStatus, reply: Reply) -> dict[str, object]:
    """Keys as in the answer of POST /api/model/generate; figures are null where the answer was stopped."""
    finish, target = reply.finish, status.target
    return {
        "model_name": target and target.model_name,
        "adapter_path": target and target.adapter_path,
        "response": reply.text,
        "thinking": reply.thinking,
        "finish_reason": finish.reason if finish else "cancelled",
        "tokens_generated": finish and finish.completion_tokens,
        "prompt_tokens": finish and finish.prompt_tokens,
        "cached_tokens": finish and finish.cached_tokens,
        "generation_time_seconds": finish and finish.seconds,
        "time_to_first_token_seconds": finish and finish.first_token_seconds,
        "tokens_per_second": finish and finish.tokens_per_second,
    }
