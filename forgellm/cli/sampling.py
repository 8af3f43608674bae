"""How the next token is drawn: options of a command and settings of a conversation, of one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import click

from forgellm.domain.chat import Sampling
from forgellm.domain.errors import InvalidField

Command = Callable[..., Any]


@dataclass(frozen=True)
class Setting:
    """A field of Sampling. `least` is allowed itself, but where it is `open`."""

    kind: type[int] | type[float]
    least: float
    most: float
    help: str
    open: bool = False


# JSON numbers beyond this are not exact everywhere.
_LARGEST = 2**53

SETTINGS: Mapping[str, Setting] = {
    "max_tokens": Setting(int, 1, _LARGEST, "The answer ends after so many tokens."),
    "temperature": Setting(float, 0, 10, "0 takes the likeliest token; higher is more varied."),
    "top_p": Setting(float, 0, 1, "Draw from the likeliest tokens that add up to this.", open=True),
    "top_k": Setting(int, 0, _LARGEST, "Draw from so many of the likeliest tokens; 0 from all."),
    "min_p": Setting(float, 0, 1, "Leave out tokens this much less likely than the likeliest."),
    "repetition_penalty": Setting(float, 0, 10, "Above 1 makes recent tokens less likely.", open=True),
    "presence_penalty": Setting(float, -10, 10, "Taken off tokens that came recently."),
    "frequency_penalty": Setting(float, -10, 10, "The same for each time that they came."),
    "seed": Setting(int, 0, _LARGEST, "The same seed repeats the same text."),
}


def sampling_options(command: Command) -> Command:
    """Give a command one option for each setting; those not given are None."""
    defaults = asdict(Sampling())
    for name, setting in reversed(list(SETTINGS.items())):
        default = "" if defaults[name] is None else f" Default: {defaults[name]}."
        command = click.option(
            "--" + name.replace("_", "-"),
            name,
            callback=_parse,
            metavar="INTEGER" if setting.kind is int else "NUMBER",
            help=setting.help + default,
        )(command)
    return command


def parse_setting(name: str, text: str) -> int | float | None:
    """The value that `text` means for the setting `name`; `none` empties the seed. Raises InvalidField."""
    setting = SETTINGS[name]
    if name == "seed" and text == "none":
        return None
    try:
        value = setting.kind(text)
    except ValueError:
        raise _invalid(name, text) from None
    # NaN is neither above nor below anything.
    if not setting.least <= value <= setting.most or (setting.open and value == setting.least):
        raise _invalid(name, text)
    return value


def _parse(_: click.Context, parameter: click.Parameter, value: str | None) -> int | float | None:
    assert parameter.name is not None
    return None if value is None else parse_setting(parameter.name, value)


def _invalid(name: str, text: str) -> InvalidField:
    setting = SETTINGS[name]
    kind = "a whole number" if setting.kind is int else "a number"
    return InvalidField(
        f"{name} is {kind} {'above' if setting.open else 'from'} {setting.least} "
        f"{'and at most' if setting.open else 'to'} {setting.most}, not {text!r:.40}",
        details={"field": name},
        suggestion=setting.help,
    )
