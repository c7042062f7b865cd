"""Sorts what a user names for a report: runs, evaluations of several runs, other files."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence

from cdisc_tfds.storage import path_of
from trainer.runs import category_file, guess_file

AnyPath = str | os.PathLike[str]


@dataclasses.dataclass(frozen=True)
class ReportedPaths:
    """The paths of a report, so that `runs/*` names all that lies there.

    Attributes:
      run_dirs: whatever is no file; a path that does not exist is one of them.
      mixtures: the evaluations of several runs together.
      skipped: the names of all other files, without those that belong to a mixture.
    """

    run_dirs: Sequence[AnyPath]
    mixtures: Sequence[pathlib.Path]
    skipped: Sequence[str]

    @classmethod
    def of(cls, paths: Sequence[AnyPath]) -> ReportedPaths:
        files = [path for path in map(path_of, paths) if path.is_file()]
        mixtures = [path for path in files if _is_mixture(path)]
        beside = [
            module.path_beside(path) for path in mixtures for module in (category_file, guess_file)
        ]
        others = [path for path in files if path not in mixtures and path not in beside]
        return cls(
            [path for path in paths if path_of(path) not in files],
            mixtures,
            [path.name for path in others],
        )


def _is_mixture(path: pathlib.Path) -> bool:
    """Whether a file is the evaluation of several runs, of this version or a newer one."""
    if path.suffix != ".json":
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # no JSON, or no text
        return False
    return (
        isinstance(content, dict) and bool(content.get("mixture")) and "level1_confusion" in content
    )
