"""Files of products' features: NumPy's .npz, or Parquet."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import zipfile
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from cdisc_tfds.storage import local_copy, path_of
from cdisc_tfds.whole_files import whole_file
from trainer.runs.checkpoint import sha256_of
from trainer.runs.output_file import checked_output

SUFFIXES = (".npz", ".parquet")
_ROWS = 65536  # of a row group in Parquet


class EmbeddingFileError(ValueError):
    """A file of features cannot be read or written."""


@dataclasses.dataclass(frozen=True, eq=False)
class Embeddings:
    """Features of products with a readable picture, in a split's order.

    The columns of the file have these names. In Parquet, those of several numbers are lists of a
    fixed size.

    Attributes:
      product_id: int64 [n].
      category_id: int64 [n]; -1 if unlabelled.
      num_pictures: int64 [n], readable pictures.
      features: float16 [n, f], each row of length 1: products are alike as the cosine between
        their features, which is their scalar product.
      neighbour_id: int64 [n, k], the k most similar other products, most similar first; None if
        they were not searched.
      similarity: float32 [n, k], their cosine, from -1 to 1.
    """

    product_id: np.ndarray
    category_id: np.ndarray
    num_pictures: np.ndarray
    features: np.ndarray
    neighbour_id: np.ndarray | None = None
    similarity: np.ndarray | None = None

    def columns(self) -> dict[str, Any]:
        """The columns that there are, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def write(self, path: pathlib.Path) -> str:
        """Writes a file, whole or not at all; see `check_output`. Returns its SHA-256."""
        with whole_file(path) as file:
            if path.suffix == ".npz":
                np.savez(file, **self.columns())
            else:
                _write_parquet(file, self.columns())
            file.flush()
            # Not of `path` afterwards: another command may replace it.
            return sha256_of(file.name)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Embeddings:
        """Reads a file that `write` wrote.

        Raises:
          EmbeddingFileError: if it is missing, damaged, or another kind of file.
        """
        path = path_of(path)
        try:
            if path.suffix == ".npz":
                with path.open("rb") as file, np.load(file) as columns:
                    return cls(**dict(columns))
            return cls(**_read_parquet(path))
        except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise EmbeddingFileError(
                "Features come from a file that `python -m trainer.embed` wrote. Received: "
                f"{path}, which cannot be read so ({type(error).__name__}: {error})."
            ) from error


def _write_parquet(file: Any, columns: dict[str, Any]) -> None:
    arrays = []
    for values in columns.values():
        flat = pyarrow.array(values.reshape(-1))
        if values.ndim == 2:
            flat = pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])
        arrays.append(flat)
    table = pyarrow.table(arrays, names=list(columns))
    pyarrow.parquet.write_table(table, file, row_group_size=_ROWS)


def _read_parquet(path: pathlib.Path) -> dict[str, np.ndarray]:
    with local_copy(path) as copy:
        table = pyarrow.parquet.read_table(copy)
    columns = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        width = getattr(column.type, "list_size", None)
        values = column.flatten() if width is not None else column
        array = values.to_numpy(zero_copy_only=False)
        columns[name] = array if width is None else array.reshape(-1, width)
    return columns


def check_output(output: str | os.PathLike[str]) -> pathlib.Path:
    """Returns `output`; raises EmbeddingFileError if no features can be written there."""
    return checked_output(output, "A file of features", SUFFIXES, EmbeddingFileError)
