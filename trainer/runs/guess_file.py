"""`evaluation/SPLIT.guesses.npy`: the first guess for every product of an evaluation.

A NumPy array of records, 20 bytes a product, which `numpy.load` opens.
"""

from __future__ import annotations

import dataclasses
import io
import pathlib

import numpy as np

from trainer.runs.evaluation_companion import read_companion, write_companion

_DTYPE = np.dtype(
    [("product_id", "<i8"), ("true", "<i4"), ("predicted", "<i4"), ("probability", "<f4")]
)


@dataclasses.dataclass(frozen=True, eq=False)
class Guesses:
    """The first guesses for the evaluated products, in the order of the split.

    Attributes:
      product_id: int64 [n].
      true, predicted: int32 [n], classes of the run (index in `LabelMap.class_names`).
      probability: float32 [n], of the predicted class, after the temperature if there is one.
    """

    product_id: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    probability: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """Whether each first guess is right: bool [n]."""
        return self.true == self.predicted

    def __len__(self) -> int:
        return len(self.product_id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Guesses) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in _DTYPE.names or ()
        )

    def write(self, evaluation: pathlib.Path) -> str:
        """Writes the file beside an evaluation's JSON file, whole or not at all.

        Returns:
          Its SHA-256.
        """
        rows = np.empty(len(self), _DTYPE)
        for name in _DTYPE.names or ():
            rows[name] = getattr(self, name)
        content = io.BytesIO()
        np.save(content, rows, allow_pickle=False)
        return write_companion(path_beside(evaluation), content.getvalue())

    @classmethod
    def read(cls, evaluation: pathlib.Path, sha256: str) -> Guesses | None:
        """Reads what `write` wrote; None if the file is gone or another, as in `read_companion`.

        Raises:
          ValueError: if it is another array.
        """
        content = read_companion(path_beside(evaluation), sha256, "first guesses")
        if content is None:
            return None
        rows = np.load(io.BytesIO(content), allow_pickle=False)
        if rows.dtype != _DTYPE:
            raise ValueError(f"first guesses with the columns {rows.dtype}")
        return cls(*(np.ascontiguousarray(rows[name]) for name in _DTYPE.names or ()))


def path_beside(evaluation: pathlib.Path) -> pathlib.Path:
    """The path of the file that belongs to an evaluation's JSON file."""
    return evaluation.with_name(f"{evaluation.stem}.guesses.npy")
