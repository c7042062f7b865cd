"""Columns with a row for each product of a split, of which there may be more than memory holds.

Up to `MOST_IN_MEMORY` rows they are arrays in memory. Longer ones are files without a name in the
build's folder, mapped into memory: the system keeps in memory what is in use. They are written and
read from front to back, so that it need not keep much.
"""

from __future__ import annotations

import os
import tempfile

import numpy as np

MOST_IN_MEMORY = 1 << 25
_CHUNK_ROWS = 1 << 18


def new_column(rows: int, dtype: type, folder: str | os.PathLike[str]) -> np.ndarray:
    """A column to fill: `dtype` [rows].

    Args:
      rows: number of rows.
      dtype: type of the values.
      folder: where a long column gets its file, which ends with the column.

    Raises:
      OSError: there is no room for the file.
    """
    if rows <= MOST_IN_MEMORY:
        return np.empty(rows, dtype)
    with tempfile.TemporaryFile(dir=folder) as file:
        num_bytes = rows * np.dtype(dtype).itemsize
        if hasattr(os, "posix_fallocate"):
            # A full disk is an error here; later, it would end the process by a signal.
            os.posix_fallocate(file.fileno(), 0, num_bytes)
        else:
            file.truncate(num_bytes)
        return np.asarray(np.memmap(file, dtype, "r+", shape=(rows,)))


def taken(column: np.ndarray, rows: np.ndarray, folder: str | os.PathLike[str]) -> np.ndarray:
    """The values of a column at `rows` (int64 [n]), as a new column; `folder` as above."""
    found = new_column(len(rows), column.dtype.type, folder)
    for begin, end in chunks(len(rows)):
        found[begin:end] = column[rows[begin:end]]
    return found


def chunks(rows: int) -> list[tuple[int, int]]:
    """Ranges that cover so many rows, each short enough to be copied in memory."""
    cuts = [*range(0, rows, _CHUNK_ROWS), rows]
    return list(zip(cuts, cuts[1:]))
