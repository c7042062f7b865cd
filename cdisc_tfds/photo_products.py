"""Products as the photos that show them, found in folders and among files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# What a picture file in a folder belongs to.
PRODUCT_RULES = ("file", "folder")


class PhotoProduct(NamedTuple):
    """A product, and where its photos are.

    Attributes:
      name: what the user calls it: a path, or an id in a table.
      photos: paths of its photos.
    """

    name: str
    photos: tuple[str, ...]


class RejectedPhoto(NamedTuple):
    """What is left out: a photo of a product, or a row of a table.

    Attributes:
      product: name of the product; None if a row names none.
      photo: path of the photo; None for a row or a whole product.
      reason: what is wrong.
    """

    product: str | None
    photo: str | None
    reason: str


def products_of_files(paths: Iterable[str], rule: str) -> Iterator[PhotoProduct]:
    """The products of files and folders.

    Folders are searched with the folders in them, by name. Names that start with a dot are left
    out: systems keep their own files there. Links to folders are not followed.

    Args:
      paths: files and folders.
      rule: one of PRODUCT_RULES. `file`: each file is a product, named as its path. `folder`: the
        files directly in a folder are a product, named as the folder's path.

    Yields:
      Products; the same name again if a path is named twice, or `rule` is `folder` and the files of
      a folder are named one by one.

    Raises:
      OSError: if a folder cannot be read.
    """
    for path in paths:
        for folder, names in _files(path):
            files = tuple(os.path.join(folder, name) for name in names)
            if rule == "folder" and files:
                yield PhotoProduct(folder or os.curdir, files)
            else:
                yield from (PhotoProduct(file, (file,)) for file in files)


def _files(path: str) -> Iterator[tuple[str, list[str]]]:
    """(folder, names of files in it) of a file, or of a folder and all in it."""
    if not os.path.isdir(path):
        folder, name = os.path.split(path)
        yield folder, [name]
        return
    for folder, inner, names in os.walk(path, onerror=_raise):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield folder, sorted(name for name in names if not name.startswith("."))


def _raise(error: OSError) -> None:
    raise error


def joined_by_name(products: Iterable[PhotoProduct]) -> list[PhotoProduct]:
    """One product for each name, in order of appearance, with each of its photos once."""
    found: dict[str, list[str]] = {}
    for name, photos in products:
        found.setdefault(name, []).extend(photos)
    return [PhotoProduct(name, tuple(dict.fromkeys(photos))) for name, photos in found.items()]
