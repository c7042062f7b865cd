"""Parses a command line: flags defined by options, their values, and `--help`.

`--help` shows only the command's own flags, in groups and with their defaults.
"""

from __future__ import annotations

import dataclasses
import difflib
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from absl import flags

from trainer.terminal.option import Option, OptionError, option, options

_HELP_WORDS = ("--help", "-help", "-h", "-?", "--helpshort", "--helpfull")
_WIDTH = 92


@dataclasses.dataclass(frozen=True, kw_only=True)
class EveryCommand:
    """The option that every command has."""

    traceback: bool = option(
        False, "On an error, also show where in the code it came from.", group="Errors"
    )


class _Parser(flags.ArgumentParser[Any]):
    """Lets absl parse an option."""

    def __init__(self, described: Option):
        self._option = described

    def parse(self, argument: Any) -> Any:
        return self._option.parse(argument) if isinstance(argument, str) else argument


def parse(
    argv: Sequence[str], types: Sequence[type], description: str, arguments: str | None = None
) -> tuple[list[str], list[Any]]:
    """Reads a command line.

    Args:
      argv: the program's name and its arguments.
      types: dataclasses whose options are the command's flags. If a dataclass has a field `given`,
        that gets the names of the flags on the command line.
      description: what the command does, for `--help`.
      arguments: description of the words that are not flags; None: the command takes none.

    Returns:
      (the words that are not flags, an instance of each type).

    Raises:
      OptionError: if a flag does not exist, has an invalid value or is missing, or if there are
        words that the command does not take.
      SystemExit: after printing the help, if requested.
    """
    described = _described(types)
    values = flags.FlagValues()
    for one in described.values():
        _define(one, values)
    before_words = argv[: argv.index("--")] if "--" in argv else argv
    if any(word in _HELP_WORDS for word in before_words[1:]):
        print(help_text(description, types, arguments), flush=True)
        sys.exit(0)
    words = _parse_flags(argv, values, described)
    if words and arguments is None:
        raise OptionError(f"This command takes flags only. Received: {' '.join(words)}.")
    for one in described.values():
        if one.required and values[one.name].value is None:
            raise OptionError(f"--{one.name} is missing. {one.help}")
    return words, [_value(cls, values) for cls in types]


def help_text(description: str, types: Sequence[type], arguments: str | None = None) -> str:
    """The text of `--help`: `description`, then the options by group."""
    groups: dict[str, list[str]] = {}
    for one in _described(types).values():
        groups.setdefault(one.group, []).append(_help_of(one))
    blocks = [description.strip()]
    if arguments:
        blocks.append(f"Arguments: {arguments}")
    blocks += [f"{title}:\n" + "\n".join(texts) for title, texts in groups.items()]
    return "\n\n".join(blocks)


def _described(types: Sequence[type]) -> dict[str, Option]:
    found: dict[str, Option] = {}
    for cls in types:
        for name, one in options(cls).items():
            if name in found:
                raise ValueError(f"two options of this command are named {name}")
            found[name] = one
    return found


def _define(one: Option, values: flags.FlagValues) -> None:
    if one.kind is bool:
        flags.DEFINE_bool(one.name, one.default, one.help, flag_values=values)
    else:
        flags.DEFINE(_Parser(one), one.name, one.default, one.help, flag_values=values)


def _parse_flags(
    argv: Sequence[str], values: flags.FlagValues, described: dict[str, Option]
) -> list[str]:
    try:
        return values(list(argv))[1:]
    except flags.UnrecognizedFlagError as error:
        name = error.flagname
        near = difflib.get_close_matches(name, described, 1)
        advice = f"Did you mean --{near[0]}?" if near else "--help lists them all."
        raise OptionError(f"There is no flag --{name}. {advice}") from None
    except flags.IllegalFlagValueError as error:
        # absl puts `flag --epochs=0: ` before our own sentence.
        text = str(error).partition(": ")[2]
        raise OptionError(text if text.startswith("--") else str(error)) from None
    except flags.Error as error:
        raise OptionError(str(error)) from None


def _value(cls: type, values: flags.FlagValues) -> Any:
    names = options(cls)
    keywords = {name: values[name].value for name in names}
    if any(field.name == "given" for field in dataclasses.fields(cls)):
        keywords["given"] = frozenset(name for name in names if values[name].present)
    return cls(**keywords)


def _help_of(one: Option) -> str:
    name = f"--[no]{one.name}" if one.kind is bool else f"--{one.name}={one.metavar}"
    text = one.help
    if one.has_many_choices:
        text += f" One of {', '.join(one.choices)}."
    if one.required:
        text += " Required."
    if one.default is not None:
        default = str(one.default).lower() if one.kind is bool else one.default
        text += f" (default: {default})"
    lines = textwrap.wrap(text, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join([f"  {name}", *lines])
