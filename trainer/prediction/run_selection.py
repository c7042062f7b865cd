"""Which runs predict: one, or several together and with what weights."""

from __future__ import annotations

import dataclasses
import math

from cdisc_tfds.local_path import PathError
from cdisc_tfds.storage import real_path, storage_path
from trainer.terminal.option import OptionError, option

RUN_MEANS = ("arithmetic", "geometric")
FIT = "fit"
_RUN = "Run"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSelection:
    """The flags that choose the runs."""

    run_dir: str | None = option(
        None,
        "Folder of the run, plain or two-stage. Either this or --run_dirs.",
        group=_RUN,
        is_path=True,
        any_storage=True,
    )
    run_dirs: str | None = option(
        None,
        "Folders of several runs, with commas between, whose predictions are averaged: "
        "--run_dirs=runs/a,runs/b. They must tell the same classes apart. All networks are in "
        "memory at once, and each picture is decoded once per run.",
        group=_RUN,
    )
    run_mean: str = option(
        "arithmetic",
        "How to average the probabilities of several runs.",
        group=_RUN,
        choices=RUN_MEANS,
    )
    run_weights: str | None = option(
        None,
        "Weights of the runs in --run_dirs, in the same order: --run_weights=0.5,0.3,0.2. They are "
        "scaled to the sum 1. fit: those with the highest likelihood on the runs' common "
        "validation split, which each run predicts once more for it. Default: equal.",
        group=_RUN,
    )

    @property
    def folders(self) -> tuple[str, ...]:
        """The runs' folders, at least one.

        Raises:
          OptionError: unless exactly one of the two flags names runs, each of them once.
        """
        if (self.run_dir is None) == (self.run_dirs is None):
            received = "neither" if self.run_dir is None else "both"
            raise OptionError(
                "Name one run with --run_dir, or several with --run_dirs=A,B,C. Received: "
                f"{received}."
            )
        if self.run_dir is not None:
            if self.run_weights is not None:
                raise OptionError(
                    "--run_weights are those of the runs in --run_dirs. Received: --run_weights="
                    f"{self.run_weights} with --run_dir. Leave it out."
                )
            return (self.run_dir,)
        folders = parsed_folders(self.run_dirs or "")
        if len(folders) < 2:
            raise OptionError(
                "--run_dirs must name at least two folders, with commas between. Received: "
                f"{self.run_dirs!r}. Name a single run with --run_dir."
            )
        return folders

    @property
    def weights(self) -> tuple[float, ...] | None:
        """The weights of several runs, which sum to 1; None if they are to be fitted.

        Raises:
          OptionError: if there is not one for each run, one is negative, or all are 0.
        """
        number = len(self.folders)
        if self.run_weights is None:
            return (1 / number,) * number
        if self.run_weights == FIT:
            return None
        try:
            weights = [float(text) for text in self.run_weights.split(",")]
        except ValueError:
            weights = []
        if (
            len(weights) != number
            or not all(math.isfinite(weight) and weight >= 0 for weight in weights)
            or not sum(weights) > 0
        ):
            raise OptionError(
                f"--run_weights must be {FIT}, or a number of at least 0 for each of the {number} "
                "runs in --run_dirs, not all 0, with commas between. Received: "
                f"{self.run_weights}."
            )
        return tuple(weight / sum(weights) for weight in weights)


def parsed_folders(text: str) -> tuple[str, ...]:
    """The folders of `--run_dirs`.

    Raises:
      OptionError: unless each of them is named, and once.
    """
    texts = [part.strip() for part in text.split(",")]
    if not all(texts):
        raise OptionError(
            "--run_dirs must name folders, with commas between and nothing left out. Received: "
            f"{text!r}."
        )
    try:
        folders = tuple(storage_path(one, "--run_dirs") for one in texts)
    except PathError as error:
        raise OptionError(str(error)) from None
    real = [real_path(folder) for folder in folders]
    for folder, path in zip(folders, real, strict=True):
        if real.count(path) > 1:
            raise OptionError(f"--run_dirs must name each run once. Received twice: {folder}.")
    return folders
