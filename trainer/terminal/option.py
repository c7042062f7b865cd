"""Options of a command, each described in one place: a field of a dataclass.

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Options:
        epochs: int = option(10, "Passes over the data.", group="Training", at_least=1)

`options(Options)` returns the descriptions; flags, `--help`, validation and the check on resume all
use them. The field's type determines how a flag's text is parsed: str, int, float, bool, a pair of
floats, or numbers separated by commas (`tuple[int, ...]`). With `| None`, the user may leave it
open.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Collection, Iterable
from typing import Any

from cdisc_tfds.local_path import PathError, local_path
from cdisc_tfds.storage import storage_path

_KEY = "option"
_MAX_LISTED = 8  # choices that the placeholder of a flag names
_KINDS = {str: "TEXT", int: "N", float: "X", bool: ""}


@dataclasses.dataclass(frozen=True)
class Option:
    """The description of one option.

    Attributes:
      help: text for users: what the option does, and its default if that depends on other options.
      group: title in `--help`.
      choices: the allowed values; empty: any.
      at_least, at_most, above, below: bounds of a number.
      is_path: whether it names a file or folder.
      any_storage: whether that may be on a storage such as gs://; otherwise it is on this machine.
      required: whether the command needs it.
      may_change_on_resume: whether a resumed run may have another value.
      example: a value, for errors about pairs of numbers.
      since: first version of the project with this setting of a run; empty: 0.2 or earlier. Older
        runs have its default.
      name: name of the field and of the flag.
      kind: str, int, float, bool or tuple (a pair of floats).
      is_list: whether the value is a tuple of one or more of that kind.
      optional: whether it may be None.
      default: its value if the user gives none.
    """

    help: str
    group: str
    choices: Collection[str] = ()
    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None
    is_path: bool = False
    any_storage: bool = False
    required: bool = False
    may_change_on_resume: bool = False
    example: str = "0,1"
    since: str = ""
    name: str = ""
    kind: type = str
    is_list: bool = False
    optional: bool = False
    default: Any = None

    @property
    def has_many_choices(self) -> bool:
        """Whether `--help` lists the choices in the text."""
        return len(self.choices) > _MAX_LISTED

    @property
    def metavar(self) -> str:
        """The placeholder for the value in `--help`."""
        if self.choices and not self.has_many_choices:
            return "|".join(self.choices)
        if self.choices:
            return "NAME"
        if self.kind is tuple:
            return "LOW,HIGH"
        if self.is_list:
            return f"{_KINDS[self.kind]},..."
        return "PATH" if self.is_path else _KINDS[self.kind]

    @property
    def rule(self) -> str:
        """The rule for values, worded to follow `must be`."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind is tuple:
            above = "" if self.above is None else f" above {self.above:g}"
            return f"two numbers{above}, the lower first, e.g. --{self.name}={self.example}"
        if self.kind is bool:
            return "true or false"
        if self.kind is str:
            if self.any_storage:
                return "a path, or an address on a storage"
            return "a path of this machine" if self.is_path else "a text"
        if self.is_list:
            number = "whole numbers" if self.kind is int else "numbers"
        else:
            number = "a whole number" if self.kind is int else "a number"
        bounds = [
            f"{words} {bound:g}"
            for words, bound in (
                ("of at least", self.at_least),
                ("above", self.above),
                ("of at most", self.at_most),
                ("below", self.below),
            )
            if bound is not None
        ]
        words = " ".join([number, " and ".join(bounds)]) if bounds else number
        return f"{words}, separated by commas" if self.is_list else words

    def allows(self, value: Any) -> bool:
        """Whether `value`, which may come from code or from a file, is allowed."""
        if value is None:
            return self.optional
        if self.is_list:
            each = dataclasses.replace(self, is_list=False, optional=False)
            return isinstance(value, tuple) and bool(value) and all(map(each.allows, value))
        if self.kind is tuple:
            return (
                isinstance(value, tuple)
                and len(value) == 2
                and all(_is_number(one) and self._within_bounds(one) for one in value)
                and value[0] < value[1]
            )
        if self.kind in (int, float):
            right = _is_number(value) if self.kind is float else _is_whole(value)
            return right and self._within_bounds(value)
        return isinstance(value, self.kind) and (not self.choices or value in self.choices)

    def parse(self, text: str) -> Any:
        """Parses a flag's text into a value.

        Raises:
          OptionError: if the value is not allowed.
        """
        if self.is_path:
            resolve = storage_path if self.any_storage else local_path
            try:
                return resolve(text, f"--{self.name}")
            except PathError as error:
                raise OptionError(str(error)) from None
        try:
            value = self._parse(text)
        except ValueError:
            value = None
        if value is None or not self.allows(value):
            raise self.error(text)
        return value

    def error(self, received: object) -> OptionError:
        """Returns an error that says that `received` is not allowed."""
        return OptionError(f"--{self.name} must be {self.rule}. Received: {received}.")

    def _within_bounds(self, value: float) -> bool:
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def _parse(self, text: str) -> Any:
        if self.kind is tuple:
            return tuple(float(number) for number in text.split(","))
        if self.is_list:
            return tuple(self.kind(number) for number in text.split(","))
        return self.kind(text)


class OptionError(ValueError):
    """An option has an invalid value or is missing."""


def option(default: Any, text: str, *, group: str, **description: Any) -> Any:
    """A dataclass field that is an option; `description` takes the attributes of `Option`."""
    described = Option(help=text, group=group, default=default, **description)
    return dataclasses.field(default=default, metadata={_KEY: described})


@functools.cache
def options(cls: type) -> dict[str, Option]:
    """The options among the fields of a dataclass, by name, in field order."""
    hints = typing.get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):
        if described := field.metadata.get(_KEY):
            kind, is_list, optional = _kind(hints[field.name])
            found[field.name] = dataclasses.replace(
                described, name=field.name, kind=kind, is_list=is_list, optional=optional
            )
    return found


def require_allowed(described: Iterable[Option], values: object) -> None:
    """Raises OptionError if an attribute of `values` has a value that its option does not allow."""
    for one in described:
        value = getattr(values, one.name)
        if not one.allows(value):
            raise one.error(value)


def _kind(hint: Any) -> tuple[type, bool, bool]:
    """Returns (the type of a value, whether it is a tuple of them, whether it may be None)."""
    optional = False
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        [hint] = [part for part in typing.get_args(hint) if part is not type(None)]
        optional = True
    arguments = typing.get_args(hint)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return arguments[0], True, optional
    return typing.get_origin(hint) or hint, False, optional


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))
