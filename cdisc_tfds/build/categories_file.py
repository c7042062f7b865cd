"""`category_names.csv`, read once for a whole build."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib

from cdisc_tfds.build.source_file import ChangedFileError
from cdisc_tfds.categories import Categories
from cdisc_tfds.storage import path_of
from cdisc_tfds.whole_files import whole_file


@dataclasses.dataclass(frozen=True)
class CategoriesFile:
    """The categories, and a copy of the file from which the build takes all labels.

    Attributes:
      path: the copy; it does not change during the build.
      digest: SHA-256 of its bytes.
      categories: its contents.
    """

    path: pathlib.Path
    digest: str
    categories: Categories

    @classmethod
    def read(cls, path: str | os.PathLike[str], copy: pathlib.Path) -> CategoriesFile:
        """Reads the user's file at `path` and writes the copy.

        Raises:
          CategoryError: the file is unusable.
          WrongKindError: the file is of another kind.
          ChangedFileError: the file changes during the read.
        """
        before = _stat(path)
        data = path_of(path).read_bytes()
        if not before == _stat(path) or before[0] != len(data):
            raise ChangedFileError(
                f"{path} must not change while it is read. Start the build again when the file is "
                "complete."
            )
        categories = Categories.parse(data, path)
        with whole_file(copy) as file:
            file.write(data)
        return cls(copy, hashlib.sha256(data).hexdigest(), categories)


def digest_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, as in `CategoriesFile.digest`."""
    return hashlib.sha256(path_of(path).read_bytes()).hexdigest()


def _stat(path: str | os.PathLike[str]) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns, found.st_ino
