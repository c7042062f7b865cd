"""The photos that a command names: files, folders and tables."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from cdisc_tfds.local_path import PathError, local_path
from cdisc_tfds.photo_products import (
    PRODUCT_RULES,
    PhotoProduct,
    RejectedPhoto,
    joined_by_name,
    products_of_files,
)
from cdisc_tfds.photo_table import SUFFIXES, TableColumns, read_photo_table
from trainer.terminal.option import OptionError, option

_PHOTOS = "Photos"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhotoOptions:
    """The flags that say which photos show a product."""

    product: str = option(
        "file",
        "What is a product among files and folders: each file by itself, or all files directly in "
        "a folder together. In a table, the rows with the same id are one.",
        group=_PHOTOS,
        choices=PRODUCT_RULES,
    )
    id: str | None = option(
        None,
        "A table's column of product ids. Default: found by its usual names (product_id, id, sku, "
        "ref, ean, ...); without one, each row is a product, named as its first photo. row: number "
        "the rows.",
        group=_PHOTOS,
    )
    pictures: str | None = option(
        None,
        "A table's columns of picture files, with commas between. Default: found by their usual "
        "names (image, image1, photo, picture, file, path, ...).",
        group=_PHOTOS,
    )
    images: str | None = option(
        None,
        "The folder that a table's paths start from. Default: the table's.",
        group=_PHOTOS,
        is_path=True,
    )
    delimiter: str | None = option(
        None,
        "What stands between a table's cells. Default: a comma, a semicolon, a tab or |, whichever "
        "divides the first rows; if that is not certain, what cuts the header into the most cells.",
        group=_PHOTOS,
    )
    picture_separator: str | None = option(
        None,
        "What stands between several files in a cell. Default: a line break, |, ; or a comma, the "
        "first of these that is there, unless the whole cell is a file.",
        group=_PHOTOS,
    )

    @property
    def columns(self) -> TableColumns:
        """How to read tables; raises OptionError for a delimiter that is not one character."""
        delimiter = {"\\t": "\t", "tab": "\t"}.get(self.delimiter or "", self.delimiter)
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
            raise OptionError(
                "--delimiter must be one character, neither a quote nor a line break; tab for a "
                f"tab. Received: {self.delimiter!r}."
            )
        if self.picture_separator == "":
            raise OptionError("--picture_separator must have a character. Received: none.")
        names = (self.pictures or "").split(",")
        pictures = tuple(name.strip() for name in names if name.strip())
        return TableColumns(self.id, pictures, delimiter, self.picture_separator, self.images)


@dataclasses.dataclass(frozen=True)
class PhotoInputs:
    """The products to classify.

    Attributes:
      products: each name once.
      rejected: the rows of tables that cannot be used.
      tables: how each table was read, as sentences.
    """

    products: list[PhotoProduct]
    rejected: list[RejectedPhoto]
    tables: list[str]


def read_inputs(paths: Sequence[str], options: PhotoOptions) -> PhotoInputs:
    """Finds the products. Memory: some 300 bytes a photo.

    Args:
      paths: photos, folders of photos, and tables (.csv, .tsv).
      options: the flags.

    Raises:
      OptionError: if there is no path, one does not exist, or they hold no photo.
      PhotoTableError, WrongKindError: if a table cannot be read.
    """
    if not paths:
        raise OptionError("Name the photos: files, folders, or tables (.csv). Received: none.")
    products: list[PhotoProduct] = []
    rejected: list[RejectedPhoto] = []
    tables: list[str] = []
    for path in map(_existing, paths):
        if path.lower().endswith(SUFFIXES) and not os.path.isdir(path):
            table = read_photo_table(path, options.columns)
            products += table.products
            rejected += table.rejected
            tables.append(table.described)
        else:
            products += products_of_files([path], options.product)
    if not products:
        raise OptionError(
            f"There must be at least one photo. {', '.join(paths)} holds none"
            + (f"; {rejected[0].reason}" if rejected else "")
            + "."
        )
    return PhotoInputs(joined_by_name(products), rejected, tables)


def _existing(path: str) -> str:
    try:
        path = local_path(path, "a photo, a folder or a table")
    except PathError as error:
        raise OptionError(str(error)) from None
    if not os.path.exists(path):
        raise OptionError(
            f"Photos, folders and tables must exist. Received: {path}, which does not."
        )
    return path
