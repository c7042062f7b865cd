"""The files that hold one split: `train.bson`, or `train-*.bson` in the order of their numbers."""

from __future__ import annotations

import itertools
import os
import pathlib
import re
from collections.abc import Collection

SUFFIX = ".bson"
PACKED = ".gz"  # `train.bson.gz` stands for `train.bson`

_NUMBERED = re.compile(rf"(.*-)([0-9]+)-of-([0-9]+)({re.escape(SUFFIX)})")
_MOST_NAMED = 5


class SplitFilesError(ValueError):
    """The files of a split do not belong together, or one of them is missing."""


def split_files(folder: pathlib.Path, split: str) -> tuple[str, ...]:
    """Paths of the split's files, in the order in which they are read.

    They are one file, `SPLIT.bson`, or else all `SPLIT-*.bson`. Names are compared as people do:
    numbers in them by their value (`train-2` before `train-10`), the rest as text. A packed file
    (`.gz`) counts where the plain one is not there. Without any file, it is `SPLIT.bson`, which
    then does not exist.

    Args:
      folder: the folder of the input files.
      split: name of the split.

    Raises:
      SplitFilesError: there is both one file and several, or of `-00000-of-00010` and the like
        a number is missing, is there twice, or belongs to another set.
    """
    names = _names(folder)
    plain = {_plain(name) for name in names}
    several = sorted((name for name in plain if _is_one_of(name, split)), key=_order)
    one = split + SUFFIX
    if not several:
        return (_path(folder, one, names),)
    if one in plain:
        raise SplitFilesError(
            f"The products of {split} lie in one file or in several, not in both. Received in "
            f"{folder}: {one} and {told(several)}. Move the one or the others to another folder."
        )
    _require_complete(folder, several)
    return tuple(_path(folder, name, names) for name in several)


def has_files(folder: pathlib.Path, split: str) -> bool:
    """Whether there is any file of the split."""
    plain = {_plain(name) for name in _names(folder)}
    return split + SUFFIX in plain or any(_is_one_of(name, split) for name in plain)


def told(names: Collection[str]) -> str:
    """The first of the names, and how many more there are."""
    first, rest = next(iter(names)), len(names) - 1
    return first if not rest else f"{first} and {rest:,} more file{'s' if rest > 1 else ''}"


def _names(folder: pathlib.Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _plain(name: str) -> str:
    """The name of the unpacked file."""
    packed = SUFFIX + PACKED
    return name.removesuffix(PACKED) if name.endswith(packed) else name


def _is_one_of(name: str, split: str) -> bool:
    return name.startswith(f"{split}-") and name.endswith(SUFFIX)


def _order(name: str) -> tuple[list[tuple[int, str]], str]:
    """Text and numbers in turn, then the name itself, which tells `1` from `01`."""
    pieces = re.split("([0-9]+)", name.removesuffix(SUFFIX))
    return [(int(piece), "") if at % 2 else (0, piece) for at, piece in enumerate(pieces)], name


def _path(folder: pathlib.Path, name: str, names: Collection[str]) -> str:
    packed = name not in names and name + PACKED in names
    return os.fspath(folder / (name + PACKED if packed else name))


def _require_complete(folder: pathlib.Path, names: list[str]) -> None:
    """Raises SplitFilesError unless numbers with a total are 0 to N - 1, or 1 to N, each once."""
    found = {name: match for name in names if (match := _NUMBERED.fullmatch(name))}
    if not found:
        return
    first = next(iter(found.values()))
    for name in names:
        match = found.get(name)
        if match is None or match.group(1, 3) != first.group(1, 3):
            raise _incomplete(first[0], folder, f"{name} beside it")
    total = int(first[3])
    by_number: dict[int, str] = {}
    for name, match in found.items():
        if (number := int(match[2])) in by_number:
            raise _incomplete(first[0], folder, f"{by_number[number]} and {name}, the same number")
        by_number[number] = name
    begin = int(total in by_number and 0 not in by_number)
    numbers = range(begin, begin + total)
    if beyond := [name for number, name in by_number.items() if number not in numbers]:
        raise _incomplete(first[0], folder, f"{beyond[0]}, which would be one too many")
    if missing := total - len(by_number):
        absent = (number for number in numbers if number not in by_number)
        listed = [
            f"{first[1]}{number:0{len(first[2])}d}-of-{first[3]}{first[4]}"
            for number in itertools.islice(absent, _MOST_NAMED)
        ]
        more = "" if missing <= _MOST_NAMED else f" and {missing - _MOST_NAMED:,} more"
        raise _incomplete(first[0], folder, f"no {', '.join(listed)}{more}")


def _incomplete(example: str, folder: pathlib.Path, received: str) -> SplitFilesError:
    return SplitFilesError(
        f"Files with names such as {example} must be complete, each number once, and alone. "
        f"Received in {folder}: {received}. Complete them, or move what does not belong to them to "
        "another folder."
    )
