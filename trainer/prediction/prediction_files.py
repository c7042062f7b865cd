"""Files of predictions: CSV, JSON lines and Parquet, a row for each product.

CSV and Parquet have the columns

    product      the product's name
    pictures     number of pictures that the prediction is made of; 0: there is none
    accepted     whether its first guess is probable enough; empty without a threshold
    category_id, name, path, probability       of the most probable class
    category_id_2, name_2, path_2, ...         of the second, and so on

JSON lines have a list `predictions` instead. `category_id` is missing if the classes of the run are
the names of a level. A product without a prediction has empty cells. Numbers have all digits of
float32.

In CSV, a text that a spreadsheet would take for a formula gets an apostrophe in front; see
`without_formula`. A name that is no Unicode text (a file's, in another encoding) has \\xNN for the
odd bytes.
"""

from __future__ import annotations

import abc
import contextlib
import csv
import json
import os
import pathlib
import re
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import pyarrow
import pyarrow.parquet

from cdisc_tfds.whole_files import whole_file
from trainer.prediction.ranked_products import ClassNames, RankedProducts
from trainer.runs.checkpoint import sha256_of
from trainer.runs.output_file import checked_output

# What Excel, LibreOffice and Google Sheets may run (OWASP, "CSV Injection").
_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?")


class PredictionFileError(ValueError):
    """Predictions cannot be written to this file."""


class PredictionWriter(abc.ABC):
    """Writes products to a file as they come.

    Args:
      file: opened as `mode` says.
      names: what the classes are called.
      top: number of classes of each product.

    Attributes:
      is_text: whether the file is one of text.
      sha256: of the file, once it is complete.
    """

    is_text = True

    def __init__(self, file: IO[Any], names: ClassNames, top: int):
        self._file, self._names, self._top = file, names, top
        self.sha256 = ""

    @abc.abstractmethod
    def add(self, products: RankedProducts, accepted: np.ndarray | None) -> None:
        """Adds products; `accepted` is bool [n], or None without a threshold."""

    def finish(self) -> None:
        """Completes the file, which stays open."""
        self._file.flush()

    def _texts(self, label: int) -> tuple[int | None, str, str]:
        """(category id, name, path) of a class."""
        names = self._names
        category_id = None if names.category_ids is None else int(names.category_ids[label])
        return category_id, as_text(names.names[label]), as_text(names.paths[label])

    def _rows(
        self, products: RankedProducts, accepted: np.ndarray | None
    ) -> Iterator[tuple[str, int, bool | None, list[int], list[str]]]:
        """(name, pictures, accepted, classes, probabilities) of each product."""
        flags = [None] * len(products.names) if accepted is None else accepted.tolist()
        # The shortest texts that give the same float32 again.
        digits = products.probabilities.astype(str).tolist()
        for name, pictures, flag, classes, probabilities in zip(
            map(as_text, products.names),
            products.num_pictures.tolist(),
            flags,
            products.classes.tolist(),
            digits,
            strict=True,
        ):
            yield name, pictures, flag, classes if pictures else [], probabilities


class _CsvWriter(PredictionWriter):
    def __init__(self, file: IO[Any], names: ClassNames, top: int):
        super().__init__(file, names, top)
        self._writer = csv.writer(file, lineterminator="\n")
        self._columns = _ranked_columns(names, top)
        self._writer.writerow(["product", "pictures", "accepted", *self._columns])

    def add(self, products: RankedProducts, accepted: np.ndarray | None) -> None:
        for name, pictures, flag, classes, probabilities in self._rows(products, accepted):
            cells: list[object] = [without_formula(name), pictures]
            cells.append("" if flag is None else str(flag).lower())
            for label, probability in zip(classes, probabilities):
                category_id, own, path = self._texts(label)
                cells += [] if category_id is None else [category_id]
                cells += [without_formula(own), without_formula(path), probability]
            cells += [""] * (3 + len(self._columns) - len(cells))
            self._writer.writerow(cells)


class _JsonWriter(PredictionWriter):
    def add(self, products: RankedProducts, accepted: np.ndarray | None) -> None:
        for name, pictures, flag, classes, probabilities in self._rows(products, accepted):
            predictions = []
            for label, probability in zip(classes, probabilities):
                category_id, own, path = self._texts(label)
                row = {} if category_id is None else {"category_id": category_id}
                predictions.append(
                    row | {"name": own, "path": path, "probability": float(probability)}
                )
            value = {
                "product": name,
                "pictures": pictures,
                "accepted": flag,
                "predictions": predictions,
            }
            self._file.write(json.dumps(value, ensure_ascii=False) + "\n")


class _ParquetWriter(PredictionWriter):
    is_text = False

    def __init__(self, file: IO[Any], names: ClassNames, top: int):
        super().__init__(file, names, top)
        kinds = {
            "category_id": pyarrow.int64(),
            "name": pyarrow.string(),
            "path": pyarrow.string(),
            "probability": pyarrow.float32(),
        }
        fields = [
            ("product", pyarrow.string()),
            ("pictures", pyarrow.int32()),
            ("accepted", pyarrow.bool_()),
        ]
        fields += [
            (column, kinds[re.sub(r"_[0-9]+$", "", column)])
            for column in _ranked_columns(names, top)
        ]
        self._schema = pyarrow.schema(fields)
        self._writer = pyarrow.parquet.ParquetWriter(file, self._schema)

    def add(self, products: RankedProducts, accepted: np.ndarray | None) -> None:
        number = len(products.names)
        columns: list[Any] = [
            [as_text(name) for name in products.names],
            products.num_pictures.astype(np.int32),
            [None] * number if accepted is None else accepted,
        ]
        for rank in range(self._top):
            labels = products.classes[:, rank].tolist()
            texts = [self._texts(label) if label >= 0 else (None,) * 3 for label in labels]
            own: list[Any] = [list(column) for column in zip(*texts)] or [[], [], []]
            columns += own if self._names.category_ids is not None else own[1:]
            values = products.probabilities[:, rank]
            columns.append(pyarrow.array(values, mask=np.isnan(values)))
        arrays = [
            pyarrow.array(column, field.type) if isinstance(column, list) else column
            for column, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(pyarrow.table(arrays, schema=self._schema))

    def finish(self) -> None:
        self._writer.close()
        super().finish()


_WRITERS: dict[str, type[PredictionWriter]] = {
    ".csv": _CsvWriter,
    ".jsonl": _JsonWriter,
    ".parquet": _ParquetWriter,
}


def _ranked_columns(names: ClassNames, top: int) -> list[str]:
    columns = ["category_id", "name", "path", "probability"]
    if names.category_ids is None:
        columns.remove("category_id")
    return [
        column if rank == 1 else f"{column}_{rank}"
        for rank in range(1, top + 1)
        for column in columns
    ]


@contextlib.contextmanager
def prediction_file(path: pathlib.Path, names: ClassNames, top: int) -> Iterator[PredictionWriter]:
    """Opens a file of predictions, which appears whole or not at all.

    Args:
      path: its ending says the format; see `check_output`.
      names: what the classes are called.
      top: number of classes of each product.
    """
    writer_of = _WRITERS[path.suffix]
    options: dict[str, Any] = {"encoding": "utf-8", "newline": ""} if writer_of.is_text else {}
    mode = "w" if writer_of.is_text else "wb"
    with whole_file(path, mode, **options) as file:
        writer = writer_of(file, names, top)
        try:
            yield writer
        finally:  # also after an error: a writer of Parquet must not outlive its file
            writer.finish()
        # Not of `path` afterwards: another command may replace it.
        writer.sha256 = sha256_of(file.name)


def check_output(output: str | os.PathLike[str]) -> pathlib.Path:
    """Returns `output`; raises PredictionFileError if no predictions can be written there."""
    return checked_output(output, "A file of predictions", tuple(_WRITERS), PredictionFileError)


def as_text(name: str) -> str:
    """A name as Unicode text; \\xNN stands for bytes of a file's name that are none."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def without_formula(text: str) -> str:
    """A text that no spreadsheet takes for a formula.

    One that starts with = + - @ (also as wide as a Chinese character), a tab or a line break gets
    an apostrophe in front. Plain numbers, such as -5, stay.
    """
    is_formula = _FORMULA.match(text) and not _NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text
