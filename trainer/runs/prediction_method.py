"""How predictions were made: the part of `evaluation/SPLIT.json` that is not a count."""

from __future__ import annotations

import dataclasses
from typing import Any

from trainer.runs.calibration_file import Calibration
from trainer.runs.state import DataIdentity


@dataclasses.dataclass(frozen=True)
class MeanChoice:
    """Why `--mean=auto` chose a rule.

    Attributes:
      mean: the rule, one of `joining_rules.MEANS`.
      default: the rule that it was compared with.
      split: the labelled products that it was chosen on.
      num_products: their number.
      gain: its accuracy by product minus that of the default.
      standard_error: of the gain: of the mean over the products of the paired difference, which is
        1 (only the chosen rule is right), -1 (only the default) or 0.
    """

    mean: str
    default: str
    split: str
    num_products: int
    gain: float
    standard_error: float


@dataclasses.dataclass(frozen=True)
class WeightFit:
    """How `--run_weights=fit` found the weights of runs.

    Attributes:
      split: the labelled products that they were fitted on.
      num_products: how many of these were used.
      loss, loss_of_equal_weights: mean of -log(probability of the true class) by product, in nats,
        with the fitted weights and with equal ones.
    """

    split: str
    num_products: int
    loss: float
    loss_of_equal_weights: float


@dataclasses.dataclass(frozen=True)
class MemberRun:
    """A run that predicts together with others.

    Attributes:
      run, checkpoint, epoch, sha256, trained_on: as in `RunWeights`.
      weight: its share of the mixture; all shares sum to 1.
      mean, mean_choice: as in `Method`.
    """

    run: str
    checkpoint: str
    epoch: int | None
    sha256: str
    weight: float
    mean: str
    mean_choice: MeanChoice | None
    trained_on: DataIdentity | None = None


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Several runs that predict together.

    Attributes:
      mean: `arithmetic` or `geometric`: how their probabilities are averaged.
      runs: the runs, in the order of `--run_dirs`.
      fit: how the weights were found; None if they were given, or are equal.
    """

    mean: str
    runs: tuple[MemberRun, ...]
    fit: WeightFit | None


@dataclasses.dataclass(frozen=True)
class Method:
    """The products, weights and method of an evaluation.

    Attributes:
      split: the products, in TFDS's notation.
      checkpoint: `best` or `last`.
      flip: whether each picture was averaged with its mirror image.
      mean: how the pictures of each product were joined.
      decoder: the JPEG decoder, `tf` or `dali`.
      epoch: epoch of the weights, counted from 0; None for a two-stage run or if unknown.
      weights_sha256: as in `RunWeights`; None in files by versions up to 0.1.
      data_digest: digest of the split's index; None in files of versions up to 0.1.
      mean_choice: how `mean` was chosen; None if the user named it.
      mixture: the runs that predicted together; None for one run. Then `epoch`, `weights_sha256`
        and `mean_choice` are None, and `mean` lists the rules of the runs.
      scales: the magnifications at which each picture was averaged.
      calibration: the temperatures that were applied; None: none were.
    """

    split: str
    checkpoint: str
    flip: bool
    mean: str
    decoder: str = "tf"
    epoch: int | None = None
    weights_sha256: str | None = None
    data_digest: str | None = None
    mean_choice: MeanChoice | None = None
    mixture: Mixture | None = None
    scales: tuple[float, ...] = (1.0,)
    calibration: Calibration | None = None

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Method:
        """Reads the fields that a file has; the others get their defaults.

        Raises:
          KeyError, TypeError, AttributeError: if the content has another form.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        values = {name: content[name] for name in names if name in content}
        values["mean_choice"] = _mean_choice(values)
        if mixture := values.get("mixture"):
            runs = tuple(map(_member, mixture["runs"]))
            fit = WeightFit(**mixture["fit"]) if mixture["fit"] else None
            values["mixture"] = Mixture(mixture["mean"], runs, fit)
        values["scales"] = tuple(values.get("scales", (1.0,)))
        if values.get("calibration"):
            values["calibration"] = Calibration(**values["calibration"])
        return cls(**values)


def _member(row: dict[str, Any]) -> MemberRun:
    data = row.get("trained_on")
    trained_on = DataIdentity(**data) if data else None
    return MemberRun(**row | {"mean_choice": _mean_choice(row), "trained_on": trained_on})


def _mean_choice(content: dict[str, Any]) -> MeanChoice | None:
    choice = content.get("mean_choice")
    return MeanChoice(**choice) if choice else None
