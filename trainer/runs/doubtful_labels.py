"""Labels that are probably wrong, best first."""

from __future__ import annotations

import csv
import dataclasses
import pathlib

import numpy as np

from cdisc_tfds.whole_files import whole_file

COLUMNS = (
    *("rank", "product_id", "category_id", "category", "suggested_category_id", "suggested"),
    *("score", "probability", "suggested_probability", "neighbours", "suggested_neighbours"),
    "confident",
)


@dataclasses.dataclass(frozen=True, eq=False)
class DoubtfulLabels:
    """Products whose label is contradicted, the most doubtful first.

    Attributes:
      product_id: int64 [n].
      label, suggested: int64 [n], the class of the label, and the one that most speaks for.
      score: float32 [n], what speaks for the label minus what speaks for the suggestion, from -1.
      probability, suggested_probability: float32 [n], what the network gives either.
      neighbours, suggested_neighbours: float32 [n], the shares of the labelled neighbours with
        either.
      confident: bool [n], whether confident learning calls the label wrong.
    """

    product_id: np.ndarray
    label: np.ndarray
    suggested: np.ndarray
    score: np.ndarray
    probability: np.ndarray
    suggested_probability: np.ndarray
    neighbours: np.ndarray
    suggested_neighbours: np.ndarray
    confident: np.ndarray

    def __len__(self) -> int:
        return len(self.product_id)

    def __getitem__(self, rows: np.ndarray | slice) -> DoubtfulLabels:
        """Some of them, by places, a mask or a slice."""
        return DoubtfulLabels(**{name: column[rows] for name, column in vars(self).items()})

    def write(self, path: pathlib.Path, ids: list[int] | None, names: list[str]) -> None:
        """Writes the list as CSV, whole or not at all.

        Args:
          path: the file.
          ids: `category_id` of each class; None if the classes are the names of a level.
          names: of each class, safe for a spreadsheet.
        """
        texts = [
            column.astype(str).tolist()
            for column in (
                *(self.score, self.probability, self.suggested_probability),
                *(self.neighbours, self.suggested_neighbours),
                np.where(self.confident, "true", "false"),
            )
        ]
        with whole_file(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for rank, (product_id, label, other, *numbers) in enumerate(
                zip(
                    self.product_id.tolist(),
                    self.label.tolist(),
                    self.suggested.tolist(),
                    *texts,
                    strict=True,
                ),
                1,
            ):
                own_id, other_id = ("", "") if ids is None else (ids[label], ids[other])
                named = [own_id, names[label], other_id, names[other]]
                writer.writerow([rank, product_id, *named, *numbers])
