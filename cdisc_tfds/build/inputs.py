"""The inputs of a data set, checked quickly and ready to be read."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping

from cdisc_tfds.bson_file import check_ends, require_bson
from cdisc_tfds.build.categories_file import CategoriesFile
from cdisc_tfds.build.dataset_build import space_for
from cdisc_tfds.build.folder import BuildFolder
from cdisc_tfds.build.options import BuildOptions
from cdisc_tfds.build.source_file import SourceFile
from cdisc_tfds.build.source_files import SourceFiles, sample_bytes
from cdisc_tfds.build.unpacked_file import (
    estimated_bytes,
    is_packed,
    require_packed_bson,
    unpacked,
)
from cdisc_tfds.categories import Categories
from cdisc_tfds.joined_files import JoinedFiles
from cdisc_tfds.manual_files import CATEGORIES, Source
from cdisc_tfds.products import check_first
from cdisc_tfds.split_files import told


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The categories, and the files of each split.

    Attributes:
      categories: category_names.csv, and the build's copy.
      files: what the build reads: `.gz` files are unpacked.
      given: the user's files, by split; the data set's identity comes from them.
    """

    categories: CategoriesFile
    files: Mapping[Source, SourceFiles]
    given: Mapping[str, SourceFiles]

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
        given = {source: SourceFiles.of(source.paths) for source in sources}
        for source, identity in given.items():
            with identity.unchanged():
                check_source(source, categories.categories, options)
        files = dict(_unpacked(given, folder, options.num_processes))
        for source, identity in files.items():
            if source not in given:
                with identity.unchanged():
                    check_source(source, categories.categories, options)
            _tell_empty(identity)
        return cls(categories, files, {source.split: found for source, found in given.items()})


def _unpacked(
    given: Mapping[Source, SourceFiles], folder: BuildFolder, num_processes: int
) -> list[tuple[Source, SourceFiles]]:
    everything = [file for identity in given.values() for file in identity.files]
    packed = sum(estimated_bytes(file.path) for file in everything if is_packed(file.path))
    plain = sum(file.num_bytes for file in everything if not is_packed(file.path))
    if not packed:
        return list(given.items())
    needed = packed + space_for(packed + plain, num_processes)
    folder.require_space(needed)
    found = []
    with folder.clear_disk_errors(needed):
        for source, identity in given.items():
            identity = _plain(identity, folder)
            paths = tuple(file.path for file in identity.files)
            found.append((source._replace(paths=paths), identity))
    return found


def _plain(identity: SourceFiles, folder: BuildFolder) -> SourceFiles:
    """The files of a split, with the unpacked one in place of each packed one."""
    share = sample_bytes(len(identity.files))
    return SourceFiles(
        tuple(
            SourceFile.of(unpacked(file, folder.path), share) if is_packed(file.path) else file
            for file in identity.files
        )
    )


def _tell_empty(identity: SourceFiles) -> None:
    """Warns of empty files: engines write them on purpose, and failed copies leave them."""
    if empty := [file.path for file in identity.files if not file.num_bytes]:
        logging.warning(
            "%s of the %d files of a split: empty, so without products. If they should have some, "
            "copy them again: %s.",
            len(empty),
            len(identity.files),
            told(empty),
        )


def check_source(source: Source, categories: Categories, options: BuildOptions) -> None:
    """Runs the quick checks on the files of a split. Some of several may be empty, but not all.

    Raises:
      WrongKindError, PackedFileError: a file is of another kind.
      BsonError: its first or last documents are damaged, unless the options keep going.
      UnusableProductsError: none of the first products can be used, unless they keep going.
    """
    for path in filter(is_packed, source.paths):
        require_packed_bson(path)
    plain = [path for path in source.paths if not is_packed(path)]
    if not plain:
        return
    sizes = {path: os.path.getsize(path) for path in plain}
    holding = [path for path in plain if sizes[path]] or plain[:1]
    for path in holding:
        require_bson(path)
        if not options.keep_going:
            check_ends(path)
    if not options.keep_going:
        joined = JoinedFiles.of((path, sizes[path]) for path in holding)
        check_first(joined, categories, source.labelled)


def require_usable(csv_path: str, sources: list[Source], options: BuildOptions) -> None:
    """Runs the quick checks on all files, and changes nothing. Raises as `check_source` does."""
    categories = Categories.from_csv(csv_path)
    for source in sources:
        check_source(source, categories, options)
