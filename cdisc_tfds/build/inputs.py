"""The inputs of a data set, checked quickly and ready to be read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from cdisc_tfds.bson_file import check_ends, require_bson
from cdisc_tfds.build.categories_file import CategoriesFile
from cdisc_tfds.build.dataset_build import space_for
from cdisc_tfds.build.folder import BuildFolder
from cdisc_tfds.build.options import BuildOptions
from cdisc_tfds.build.source_file import SourceFile
from cdisc_tfds.build.unpacked_file import (
    estimated_bytes,
    is_packed,
    require_packed_bson,
    unpacked,
)
from cdisc_tfds.categories import Categories
from cdisc_tfds.manual_files import CATEGORIES, Source
from cdisc_tfds.products import check_first


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The categories, and the file of each split.

    Attributes:
      categories: category_names.csv, and the build's copy.
      files: what the build reads: `.gz` files are unpacked.
      given: the user's files, by split; the data set's identity comes from them.
    """

    categories: CategoriesFile
    files: Mapping[Source, SourceFile]
    given: Mapping[str, SourceFile]

    @classmethod
    def read(
        cls,
        csv_path: str,
        sources: list[Source],
        folder: BuildFolder,
        options: BuildOptions,
    ) -> Inputs:
        """Checks the files, unpacks those that are packed, and copies category_names.csv.

        Raises:
          DiskFullError: there is no room to unpack and to build.
          ValueError, OSError: a file is unusable; see `check_source`.
        """
        categories = CategoriesFile.read(csv_path, folder.path / CATEGORIES)
        given = {source: SourceFile.of(source.path) for source in sources}
        for source, file in given.items():
            with file.unchanged():
                check_source(source, categories.categories, options)
        files = dict(_unpacked(given, folder, options.num_processes))
        for source, file in files.items():
            if source not in given:
                with file.unchanged():
                    check_source(source, categories.categories, options)
        return cls(categories, files, {source.split: file for source, file in given.items()})


def _unpacked(
    given: Mapping[Source, SourceFile], folder: BuildFolder, num_processes: int
) -> list[tuple[Source, SourceFile]]:
    packed = sum(estimated_bytes(source.path) for source in given if is_packed(source))
    plain = sum(file.num_bytes for source, file in given.items() if not is_packed(source))
    if not packed:
        return list(given.items())
    needed = packed + space_for(packed + plain, num_processes)
    folder.require_space(needed)
    found = []
    with folder.clear_disk_errors(needed):
        for source, file in given.items():
            if is_packed(source):
                source = unpacked(source, file, folder.path)
                file = SourceFile.of(source.path)
            found.append((source, file))
    return found


def check_source(source: Source, categories: Categories, options: BuildOptions) -> None:
    """Runs the quick checks on a file.

    Raises:
      WrongKindError, PackedFileError: the file is of another kind.
      BsonError: its first or last documents are damaged, unless the options keep going.
      UnusableProductsError: none of its first products can be used, unless they keep going.
    """
    if is_packed(source):
        require_packed_bson(source.path)
        return
    require_bson(source.path)
    if not options.keep_going:
        check_ends(source.path)
        check_first(source.path, categories, source.labelled)


def require_usable(csv_path: str, sources: list[Source], options: BuildOptions) -> None:
    """Runs the quick checks on all files, and changes nothing. Raises as `check_source` does."""
    categories = Categories.from_csv(csv_path)
    for source in sources:
        check_source(source, categories, options)
