"""Finds the columns of a table, or the fields of a document, by the names that shops give them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# Names are compared without accents, case and punctuation; an underscore may be left out.
# In order of preference: the shop's own ids come before those that makers give.
ID_NAMES = (
    *("product_id", "id_produit", "produit_id", "id_product", "_id", "id"),
    *("sku", "reference", "ref", "ref_produit", "reference_produit", "article_id", "id_article"),
    *("item_id", "code_produit", "code_article", "product_code", "code", "ean", "gtin", "asin"),
    *("handle", "product", "produit", "article"),
)
_PHOTO_FILES = tuple(  # image_name, photos_path, picture_files, ...
    f"{kind}{plural}_{what}{end}"
    for kind in ("image", "picture", "photo", "img")
    for plural in ("", "s")
    for what in ("file", "path", "name")
    for end in ("", "s")
)
PICTURE_NAMES = (
    *("image", "images", "picture", "pictures", "photo", "photos", "imgs", "img"),
    *(*_PHOTO_FILES, "image_src", "fichier_image", "fichiers_image", "nom_image", "chemin_image"),
    *("file", "files", "file_name", "file_names", "file_path", "file_paths"),
    *("fichier", "fichiers", "nom_fichier", "path", "chemin"),
)


class ColumnFinder:
    """The columns of a table, found by their plain names.

    Args:
      names: the columns.
      where: what has them, for messages.
      error: the class of the errors about them.
    """

    def __init__(self, names: Sequence[str], where: str, error: type[ValueError]):
        self._names, self._where, self._error = names, where, error
        self._plain: dict[str, str] = {}
        for name in names:
            self._plain.setdefault(plain_column(name), name)

    def given(self, flag: str, name: str | None) -> str | None:
        """The column that a flag names; None if it names none.

        Raises:
          `error`: there is no such column, or several have its name.
        """
        if name is None:
            return None
        found = name if name in self._names else self._plain.get(plain_column(name))
        if found is None:
            raise self._error(
                f"{flag} must be a column of {self._where}. Received: {name}. The columns are: "
                f"{self._listed()}."
            )
        if self._names.count(found) > 1:
            raise self._error(
                f"A column that is used must have a name of its own. Received: {found} "
                f"{self._names.count(found)} times in {self._where}. Rename one."
            )
        return found

    def all_given(self, flag: str, names: Sequence[str]) -> tuple[str, ...]:
        """The columns that a flag names."""
        return tuple(found for name in names if (found := self.given(flag, name)) is not None)

    def first(self, usual: Sequence[str]) -> str | None:
        """The first of the usual names that is there."""
        found = next(filter(None, map(self.named, usual)), None)
        return self.given("", found)

    def named(self, usual: str) -> str | None:
        """The column with a usual name, which may lack underscores; others may have its name."""
        if usual in self._plain:
            return self._plain[usual]
        pattern = re.compile(_loose(usual))
        return next((name for plain, name in self._plain.items() if pattern.fullmatch(plain)), None)

    def numbered(self, usual: Sequence[str]) -> tuple[str, ...]:
        """The first usual name that is there, with or without a number, and all its numbers."""
        for base in usual:
            pattern = re.compile(rf"{_loose(base)}_?([0-9]*)")
            matches = {name: pattern.fullmatch(plain) for plain, name in self._plain.items()}
            found = [(int(m[1] or -1), name) for name, m in matches.items() if m]
            if found:
                return self.all_given("", [name for _, name in sorted(found)])
        return ()

    def pictures(self, flag: str, wanted: Sequence[str]) -> tuple[str, ...]:
        """The columns of picture files: those that a flag names, or those with a usual name.

        Raises:
          `error`: there is none.
        """
        found = self.all_given(flag, wanted) or self.numbered(PICTURE_NAMES)
        if not found:
            raise self.lacks(
                "a column of picture files", PICTURE_NAMES[:7], f"{flag}=COLUMN,COLUMN"
            )
        return found

    def lacks(self, what: str, usual: Sequence[str], flag: str) -> ValueError:
        """The error about a column that is missing."""
        return self._error(
            f"{self._where} must have {what}: under a usual name ({', '.join(usual)}, ...) or as "
            f"{flag} says. Received the columns: {self._listed()}."
        )

    def _listed(self) -> str:
        return ", ".join(self._names)


def _loose(usual: str) -> str:
    """A pattern of a usual name, whose underscores may be left out."""
    return usual.replace("_", "_?")


def plain_column(name: str) -> str:
    """A column's name without accents, case, spaces and punctuation."""
    letters = unicodedata.normalize("NFKD", name)
    ascii_only = "".join(letter for letter in letters if not unicodedata.combining(letter))
    plain = re.sub(r"[^a-z0-9]+", "_", ascii_only.casefold()).strip("_")
    return f"_{plain}" if name.strip() == "_id" else plain
