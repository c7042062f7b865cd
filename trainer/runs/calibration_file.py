"""`calibration.json` in a run's folder: temperatures that make its probabilities honest."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from cdisc_tfds.whole_files import write_json
from trainer.runs.folder import RunFolder

_FORMAT = 1
_NAME = "calibration.json"


class CalibrationFileError(ValueError):
    """A calibration file that cannot be read."""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Temperatures, and what they were fitted on.

    A probability p becomes p ** (1 / temperature), scaled to the sum 1. Above 1, the network was
    too sure of itself.

    Attributes:
      product: temperature of the probabilities of a product.
      picture: temperature of those of a single picture.
      split: the labelled products that both were fitted on.
      num_products, num_pictures: how many of these were used.
      loss_before, loss: mean of -log(probability of the true class) by product, in nats.
    """

    product: float
    picture: float
    split: str
    num_products: int
    num_pictures: int
    loss_before: float
    loss: float


@dataclasses.dataclass(frozen=True)
class CalibratedMethod:
    """What the temperatures belong to: another method gives other probabilities.

    Attributes:
      weights_sha256: as in `RunWeights`.
      flip, scales, mean: as in `Method`. The temperature of pictures does not depend on `mean`.
    """

    weights_sha256: str
    flip: bool
    scales: tuple[float, ...]
    mean: str

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> CalibratedMethod:
        return cls(**content | {"scales": tuple(content["scales"])})


def read_calibrations(run: RunFolder) -> dict[CalibratedMethod, Calibration]:
    """The calibrations of a run; none if it was never calibrated.

    Raises:
      CalibrationFileError: if the file is damaged, or a newer version wrote it.
    """
    path = run.path / _NAME
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        number = content["format"]
        found = {
            CalibratedMethod.from_json(row["method"]): Calibration(**row["calibration"])
            for row in (content["calibrations"] if number == _FORMAT else [])
        }
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise CalibrationFileError(
            f"{path} cannot be read as a run's calibration ({type(error).__name__}: {error}). "
            "Delete it, and evaluate the run with --calibrate."
        ) from error
    if number != _FORMAT:
        raise CalibrationFileError(
            f"This version reads calibrations of format {_FORMAT}. {path} has format {number}: a "
            "newer version of the project wrote it. Use that version, or delete the file."
        )
    return found


def keep_calibration(run: RunFolder, method: CalibratedMethod, calibration: Calibration) -> None:
    """Adds a calibration to the run's file, or replaces the one of this method."""
    rows = read_calibrations(run) | {method: calibration}
    content = {
        "format": _FORMAT,
        "calibrations": [
            {"method": dataclasses.asdict(key), "calibration": dataclasses.asdict(value)}
            for key, value in rows.items()
        ],
    }
    write_json(run.path / _NAME, content)


def picture_temperature(
    run: RunFolder, weights_sha256: str, flip: bool, scales: tuple[float, ...]
) -> float | None:
    """The temperature of single pictures for these weights; None if it was not fitted."""
    for method, calibration in read_calibrations(run).items():
        if (method.weights_sha256, method.flip, method.scales) == (weights_sha256, flip, scales):
            return calibration.picture
    return None
