"""A conversation at the terminal: reads what is entered, and hands it on. Commands are in repl_commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from forgellm.cli.chats import Chats
from forgellm.cli.conversation import Conversation
from forgellm.cli.errors import describe
from forgellm.cli.line_editing import line_editing, read_line
from forgellm.cli.repl_commands import COMMANDS, Session, answer, title
from forgellm.domain.chat import ModelService
from forgellm.domain.errors import ForgeError

_QUOTES = '"""'
_PROMPT, _MORE = ">>> ", "... "


def converse(model: ModelService, conversation: Conversation, *, folder: Path) -> None:
    """Talk until Ctrl-D or /q. History and saved conversations lie in `folder`."""
    session = Session(model, conversation, Chats(folder / "chats"), read_line)
    click.echo(title(model.status(), conversation))
    with line_editing(folder / "chat_history", sorted(COMMANDS)):
        while not session.over:
            try:
                entry = read_entry(read_line)
            except EOFError:
                click.echo()
                return
            except KeyboardInterrupt:
                click.secho("\nCtrl-D or /q leaves.", dim=True)
                continue
            _obey(session, entry)


def read_entry(read: Callable[[str], str]) -> str:
    '''One line, or everything between """ and """. Raises EOFError, KeyboardInterrupt.'''
    line = read(_PROMPT)
    if not line.lstrip().startswith(_QUOTES):
        return line
    text = line.lstrip().removeprefix(_QUOTES)
    while not text.rstrip().endswith(_QUOTES):
        text += "\n" + read(_MORE)
    return text.rstrip().removesuffix(_QUOTES).strip("\n")


def _obey(session: Session, entry: str) -> None:
    word, _, rest = entry.strip().partition(" ")
    try:
        if word in COMMANDS:
            COMMANDS[word].run(session, rest.strip())
        elif word.startswith("/") and "/" not in word[1:]:
            click.echo(f"There is no command {word!r}; /help lists them.", err=True)
        elif entry.strip():
            answer(session, entry)
    except KeyboardInterrupt:
        click.echo()
    except ForgeError as error:
        for line in describe(error.message, details=error.details, suggestion=error.suggestion):
            click.secho(line, fg="red", err=True)
