"""A file that a command writes for its user, and the one beside it that says what it is made of."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence

from cdisc_tfds.storage import can_write_to, path_of
from cdisc_tfds.whole_files import write_json

LONGEST_NAME = 200  # bytes of a file's name; file systems allow 255


def checked_output(
    output: str | os.PathLike[str],
    what: str,
    endings: Sequence[str],
    error: type[ValueError],
    *,
    why: str = "",
) -> pathlib.Path:
    """Checks where a command writes, before it starts to work.

    Args:
      output: the file.
      what: what its name must end for, such as "A file of features".
      endings: what its name may end in.
      error: the class of what is raised.
      why: what follows the rule of endings in the message.

    Returns:
      `output`.

    Raises:
      `error`: if the name has another ending or is too long, or the folder is missing or cannot be
        written to.
    """
    path = path_of(output)
    if not any(path.name.endswith(ending) and path.name != ending for ending in endings):
        *most, last = endings
        choices = f"{', '.join(most)} or {last}" if most else last
        raise error(f"{what} must end in {choices}{why}. Received: --output={path}.")
    require_short_name(path, error)
    if path.is_dir() or not can_write_to(path.parent):
        raise error(
            "--output must be a file in an existing folder that can be written to. Received: "
            f"{path}."
        )
    return path


def require_short_name(path: pathlib.Path, error: type[ValueError]) -> None:
    """Raises `error` if the name of `path` leaves no room for those of the files beside it."""
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise error(
            f"--output's name may have at most {LONGEST_NAME} bytes, so that the name of "
            f"OUTPUT.made_from.json fits as well. Received: {path}."
        )


def write_made_from(path: pathlib.Path, facts: Mapping[str, object]) -> pathlib.Path:
    """Writes PATH.made_from.json, which says what the file or folder `path` was made of.

    Returns:
      The path of the JSON file.
    """
    beside = made_from_path(path)
    write_json(beside, facts)
    return beside


def made_from_path(path: pathlib.Path) -> pathlib.Path:
    """PATH.made_from.json, beside `path`."""
    return path.with_name(f"{path.name}.made_from.json")
