"""What the cells of a shop's table mean: names of picture files, and ids.

The catalogue and `trainer.classify` share these rules, so a table means the same to both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

# In place of a column of ids: each row is a product, named as its number. A column of this name
# comes first.
BY_ROW = "row"
# Between the files of a cell: only the first of these that it contains, for names may hold the
# others.
USUAL_SEPARATORS = ("\n", "|", ";", ",")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_by_row(wanted: str | None, columns: Sequence[str]) -> bool:
    """Whether the user asked for a product a row, numbered."""
    return wanted == BY_ROW and BY_ROW not in columns


def row_name(row: int) -> str:
    """The name of a product by its row: 1 is the first below the header that is not blank."""
    return str(row)


def names_in(cell: str, separator: str | None, is_file: Callable[[str], bool]) -> list[str]:
    """The names of files in a cell.

    Args:
      cell: the cell.
      separator: what stands between several names; None: the first of `USUAL_SEPARATORS` that the
        cell contains, unless the whole cell is the name of a file.
      is_file: whether there is a file of a name.
    """
    cell = cell.strip()
    if separator is None:
        separator = next((one for one in USUAL_SEPARATORS if one in cell), None)
        if separator is not None and is_file(cell):
            separator = None
    names = [cell] if separator is None else cell.split(separator)
    return [name for name in map(str.strip, names) if name]


def address_fault(name: str) -> str | None:
    """Why a name leads to no file of this machine, or None."""
    if _ADDRESS.match(name):
        return "it is an address; download the picture and name its file"
    return None
