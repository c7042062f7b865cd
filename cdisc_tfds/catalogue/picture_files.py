"""Finds the picture files that a table or a dump names."""

from __future__ import annotations

import dataclasses
import os
import unicodedata

from cdisc_tfds.picture_file import PictureError, read_picture
from cdisc_tfds.table_cells import address_fault, names_in


@dataclasses.dataclass(frozen=True)
class PictureFolder:
    """The folder that names of files are relative to.

    Attributes:
      root: absolute path of the folder. No name leads out of it.
      separator: what stands between several names in a cell; None: found out (`names_in`).
    """

    root: str
    separator: str | None = None

    def names(self, cell: str) -> list[str]:
        """The names of files in a cell."""
        return names_in(cell, self.separator, lambda name: self._found(name) is not None)

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
          PictureError: there is no such file within the folder, or it cannot be read.
        """
        if fault := address_fault(name):
            raise PictureError(fault)
        path = self._found(name)
        if path is None:
            if not self._is_inside(self._path(name)):
                raise PictureError(f"it lies outside the folder of pictures, {self.root}")
            raise PictureError("there is no such file")
        return read_picture(path)

    def _found(self, name: str) -> str | None:
        """The path of an existing file. Windows writes \\ for /; some systems decompose letters."""
        forms = [name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)]
        for form in dict.fromkeys([*forms, *(form.replace("\\", "/") for form in forms)]):
            path = self._path(form)
            if "\0" not in path and self._is_inside(path) and os.path.lexists(path):
                return path
        return None

    def _path(self, name: str) -> str:
        return os.path.normpath(os.path.join(self.root, name))

    def _is_inside(self, path: str) -> bool:
        return path.startswith(os.path.join(self.root, ""))
