"""What can be done in a conversation at the terminal besides asking: the commands that begin with a slash."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import click

from forgellm.cli.answers import Reply, harmless, read_answer, valid_text
from forgellm.cli.chats import Chats
from forgellm.cli.conversation import Conversation
from forgellm.cli.opening import make_resident
from forgellm.cli.tables import figure
from forgellm.domain.chat import GenerationRequest, ModelService, ModelStatus
from forgellm.domain.errors import ForgeError


class ReadLine(Protocol):
    """Reads a line at the terminal."""

    def __call__(self, prompt: str, *, prefill: str = "") -> str:
        """Raises EOFError, KeyboardInterrupt."""


@dataclass
class Session:
    """What the commands work on."""

    model: ModelService
    conversation: Conversation
    chats: Chats
    read_line: ReadLine
    over: bool = False


@dataclass(frozen=True)
class Command:
    """`usage` is what follows the command's name."""

    run: Callable[[Session, str], None]
    usage: str
    help: str


def title(status: ModelStatus, conversation: Conversation) -> str:
    """What answers, and how to go on."""
    mode = "goes on with your text" if conversation.completes else "answers"
    return f"{model_line(status)} {mode}. /help lists the commands, Ctrl-D leaves."


def model_line(status: ModelStatus) -> str:
    """`models/base/NAME + models/cpt/RUN (instruct, context of 32,768 tokens)`."""
    if status.target is None:
        return "No model"
    adapter = f" + {status.target.adapter_path}" if status.target.adapter_path else ""
    context = f", context of {status.context_length:,} tokens" if status.context_length else ""
    return f"{status.target.model_name}{adapter} ({status.model_type}{context})"


def answer(session: Session, question: str) -> None:
    """Ask, show the answer as it comes, and remember both."""
    question = valid_text(question)
    reply = _shown(session.model, session.conversation.ask(question))
    session.conversation.add(question, reply)


def _shown(model: ModelService, request: GenerationRequest) -> Reply:
    thinking = False

    def on_text(text: str) -> None:
        nonlocal thinking
        # A thought and the answer to it are told apart even without colours.
        click.echo(("\n\n" if thinking else "") + harmless(text), nl=False)
        thinking = False

    def on_thinking(text: str) -> None:
        nonlocal thinking
        thinking = True
        click.secho(harmless(text), nl=False, dim=True)

    reply = read_answer(model.generate(request), on_text=on_text, on_thinking=on_thinking)
    click.echo()
    if reply.finish is None:
        click.secho("[stopped]", dim=True)
    elif reply.finish.reason == "length":
        click.secho(f"[cut after {reply.finish.completion_tokens} tokens: /set max_tokens]", dim=True)
    return reply


def _help(session: Session, _: str) -> None:
    width = max(len(f"{name} {command.usage}") for name, command in COMMANDS.items())
    for name, command in COMMANDS.items():
        click.echo(f"  {name + ' ' + command.usage:<{width}}  {command.help}")
    click.echo('  """ begins a text of several lines, and ends it. Ctrl-C stops an answer, Ctrl-D leaves.')


def _exit(session: Session, _: str) -> None:
    session.over = True


def _stats(session: Session, _: str) -> None:
    finishes = session.conversation.finishes
    if not finishes:
        click.echo("Nothing was measured yet.")
        return
    tokens = sum(finish.completion_tokens for finish in finishes)
    prompts = sum(finish.prompt_tokens for finish in finishes)
    known = sum(finish.cached_tokens for finish in finishes)
    speeds = [finish.tokens_per_second for finish in finishes if finish.tokens_per_second is not None]
    firsts = [finish.first_token_seconds for finish in finishes if finish.first_token_seconds is not None]
    click.echo(f"Answers        {len(finishes)} in {sum(finish.seconds for finish in finishes):.1f} s")
    click.echo(f"Tokens         {tokens} answered, {prompts} of prompts ({known} known from earlier turns)")
    click.echo(f"Tokens/s       {_mean(speeds, '.1f')} on average, {figure(_last(speeds), '.1f')} last")
    click.echo(f"First token    {_mean(firsts, '.2f')} s on average, {figure(_last(firsts), '.2f')} s last")


def _mean(values: list[float], form: str) -> str:
    return figure(sum(values) / len(values) if values else None, form)


def _last(values: list[float]) -> float | None:
    return values[-1] if values else None


def _system(session: Session, text: str) -> None:
    if text:
        session.conversation.system = None if text == "none" else valid_text(text)
    click.echo(f"System prompt: {session.conversation.system or 'none'}")


def _clear(session: Session, _: str) -> None:
    session.conversation.clear()
    click.echo("Forgotten.")


def _set(session: Session, text: str) -> None:
    name, _, value = text.partition(" ")
    if not name:
        _show_settings(session, list(session.conversation.settings()))
        return
    name = name.replace("-", "_")
    if value.strip():
        session.conversation.set(name, valid_text(value.strip()))
    _show_settings(session, [name])


def _show_settings(session: Session, names: Sequence[str]) -> None:
    settings = session.conversation.settings()
    for name in names:
        value = settings.get(name, "no such setting")
        shown = (", ".join(map(repr, value)) or "none") if isinstance(value, list) else value
        click.echo(f"  {name:<18} {'none' if shown is None else shown}")


def _show(session: Session, _: str) -> None:
    click.echo(model_line(session.model.status()))
    _system(session, "")
    _show_settings(session, list(session.conversation.settings()))
    for turn in session.conversation.turns:
        click.secho(f"> {harmless(turn.question)}", bold=True)
        click.echo(harmless(turn.answer))


def _retry(session: Session, _: str) -> None:
    question = session.conversation.undo()
    if question is None:
        click.echo("There is nothing to answer again.")
    else:
        answer(session, question)


def _undo(session: Session, _: str) -> None:
    question = session.conversation.undo()
    click.echo("There is nothing to take back." if question is None else f"Taken back: {harmless(question)}")


def _edit(session: Session, text: str) -> None:
    last = session.conversation.last()
    if last is None:
        click.echo("There is no question to edit.")
        return
    if not text:
        # A line cannot hold a newline, so a longer text is written anew.
        question = last[0]
        click.echo(f"Instead of: {harmless(question)}")
        text = session.read_line("edit> ", prefill="" if "\n" in question else question)
    if text.strip():
        session.conversation.undo()
        answer(session, text)


def _save(session: Session, name: str) -> None:
    status = session.model.status()
    target = status.target
    values = {
        "model_name": target and target.model_name,
        "adapter_path": target and target.adapter_path,
        **session.conversation.as_values(),
    }
    click.echo(f"Saved in {session.chats.save(name, values)}")


def _load(session: Session, name: str) -> None:
    if name:
        session.conversation.restore(session.chats.load(name))
        click.echo(f"Turns: {len(session.conversation.turns)}; /show shows them.")
    else:
        click.echo("Saved: " + (", ".join(session.chats.names()) or "none"))


def _adapter(session: Session, path: str) -> None:
    target = session.model.status().target
    if path and target is not None:
        wanted = replace(target, adapter_path=None if path == "none" else valid_text(path))
        try:
            make_resident(session.model, wanted)
        except ForgeError:
            # A load that failed has left nothing behind.
            make_resident(session.model, target)
            raise
    click.echo(model_line(session.model.status()))


def _compare(session: Session, text: str) -> None:
    conversation = session.conversation
    asked = (valid_text(text), conversation.turns) if text else conversation.last()
    target = session.model.status().target
    if asked is None or target is None or target.adapter_path is None:
        click.echo("Ask something first." if asked is None else "There is no adapter: /adapter PATH.")
        return
    request = conversation.request(*asked)
    for plain, name in ((True, target.model_name), (False, target.adapter_path)):
        click.secho(f"--- {name}", bold=True)
        if _shown(session.model, replace(request, plain_base=plain)).finish is None:
            return


COMMANDS: Mapping[str, Command] = {
    "/help": Command(_help, "", "Show this."),
    "/q": Command(_exit, "", "Leave."),
    "/exit": Command(_exit, "", "Leave."),
    "/stats": Command(_stats, "", "Show the figures of this session."),
    "/system": Command(_system, "[TEXT]", "Set or show the system prompt; none takes it away."),
    "/clear": Command(_clear, "", "Forget what was said."),
    "/set": Command(_set, "[NAME VALUE]", "Change a setting, or show all."),
    "/show": Command(_show, "", "Show model, settings and what was said."),
    "/retry": Command(_retry, "", "Answer the last question again."),
    "/undo": Command(_undo, "", "Take the last question and its answer back."),
    "/edit": Command(_edit, "[TEXT]", "Ask something else instead of the last question."),
    "/save": Command(_save, "NAME", "Save the conversation."),
    "/load": Command(_load, "[NAME]", "Go on with a saved one, or list them."),
    "/adapter": Command(_adapter, "[PATH]", "Put another adapter on the model, or none."),
    "/compare": Command(_compare, "[TEXT]", "Answer without and with the adapter, outside the conversation."),
}
