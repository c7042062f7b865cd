"""Finds the columns of a table, or the fields of a document, by the names that shops give them."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Sequence

from cdisc_tfds.catalogue.options import CatalogueError, CatalogueOptions
from cdisc_tfds.table_cells import is_by_row

# In order of preference. Compared without accents, case and punctuation.
_IDS = (
    *("product_id", "id_produit", "produit_id", "id_product", "productid", "_id", "id"),
    *("sku", "reference", "ref", "ref_produit", "reference_produit", "article_id", "id_article"),
    *("item_id", "code_produit", "code_article", "product_code", "code", "ean", "gtin", "asin"),
    *("handle", "product", "produit", "article"),
)
_CATEGORY_IDS = (
    *("category_id", "categorie_id", "id_category", "id_categorie", "cat_id"),
    *("category_code", "code_categorie"),
)
# The levels of a category, from general to special: at least two must be there.
_LEVEL_GROUPS = (
    *(
        tuple(f"{base}{number}" for number in range(1, 10))
        for base in (
            *("category_level_", "category_level", "categorie_niveau_", "categorie_niveau"),
            *("level_", "level", "niveau_", "niveau", "category_", "category", "categorie_"),
            *("categorie", "cat_", "cat", "famille_", "famille"),
        )
    ),
    ("univers", "rayon", "famille", "sous_famille", "sous_sous_famille"),
    ("univers", "rayon", "sous_rayon"),
    ("department", "category", "subcategory"),
    ("department", "category", "sub_category"),
    ("categorie", "sous_categorie", "sous_sous_categorie"),
)
_CATEGORIES = (
    *("category_path", "chemin_categorie", "categorie_chemin", "category", "categorie"),
    *("categories", "product_category", "categorie_produit", "google_product_category"),
    *("product_type", "type_produit", "taxonomy", "taxonomie", "rayon", "famille", "univers"),
    *("category_name", "nom_categorie", "label", "class", "classe"),
)
_PICTURES = (
    *("image", "images", "picture", "pictures", "photo", "photos", "imgs", "img", "image_file"),
    *("image_files", "image_path", "image_paths", "image_src", "fichier_image", "fichiers_image"),
    *("nom_image", "chemin_image", "file", "files", "filename", "file_name", "filenames"),
    *("fichier", "fichiers", "nom_fichier", "path", "chemin"),
)


@dataclasses.dataclass(frozen=True)
class Columns:
    """The columns, by their names in the table.

    Attributes:
      product_id: the product's id; None: each row is a product, named as its number.
      category_id: the category's id, or None.
      category: columns of the category's levels, or one of its path; may be empty.
      pictures: columns of pictures, at least one.
    """

    product_id: str | None
    category_id: str | None
    category: tuple[str, ...]
    pictures: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"product id = {self.product_id or 'number of the row'}"]
        if self.category_id is not None:
            parts.append(f"category id = {self.category_id}")
        parts.append(f"category = {', '.join(self.category) or 'none'}")
        return "; ".join([*parts, f"pictures = {', '.join(self.pictures)}"])


def find_columns(names: Sequence[str], options: CatalogueOptions, where: str) -> Columns:
    """The columns that the flags name, or else those with usual names.

    Args:
      names: all columns.
      options: its `product_id`, `category_id`, `category` and `pictures` count.
      where: what has the columns, for messages.

    Raises:
      CatalogueError: a column is missing; the message says what is there.
    """
    table = _Table(names, where)
    product_id = None
    if not is_by_row(options.product_id, names):
        product_id = table.given("--id", options.product_id) or table.first(_IDS)
        if product_id is None:
            flag = "--id=COLUMN (or --id=row, which numbers the rows)"
            raise table.lacks("a column for the product's id", _IDS[:9], flag)
    category_id = table.given("--category_id", options.category_id)
    category = table.all_given("--category", options.category)
    if category_id is None and not category:
        category_id, category = table.first(_CATEGORY_IDS), table.levels()
    elif not category:
        category = table.levels()
    if category_id in category:  # the user may say that a column of ids is the category
        category_id = None
    pictures = table.all_given("--pictures", options.pictures) or table.numbered(_PICTURES)
    if not pictures:
        raise table.lacks("a column of picture files", _PICTURES[:7], "--pictures=COLUMN,COLUMN")
    return Columns(product_id, category_id, category, pictures)


class _Table:
    """The columns of a table under their plain names."""

    def __init__(self, names: Sequence[str], where: str):
        self._names, self._where = names, where
        self._plain: dict[str, str] = {}
        for name in names:
            self._plain.setdefault(plain_column(name), name)

    def given(self, flag: str, name: str | None) -> str | None:
        """The column that a flag names."""
        if name is None:
            return None
        found = name if name in self._names else self._plain.get(plain_column(name))
        if found is None:
            raise CatalogueError(
                f"{flag} must be a column of {self._where}. Received: {name}. The columns are: "
                f"{self._listed()}."
            )
        if self._names.count(found) > 1:
            raise CatalogueError(
                f"A column that is used must have a name of its own. Received: {found} "
                f"{self._names.count(found)} times in {self._where}. Rename one."
            )
        return found

    def all_given(self, flag: str, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(found for name in names if (found := self.given(flag, name)) is not None)

    def first(self, usual: Sequence[str]) -> str | None:
        """The first of the usual names that is there."""
        plain = next((name for name in usual if name in self._plain), None)
        return self.given("", self._plain[plain]) if plain is not None else None

    def levels(self) -> tuple[str, ...]:
        """The columns of a category's levels, or the one of its path."""
        groups = [
            [self._plain[name] for name in group if name in self._plain] for group in _LEVEL_GROUPS
        ]
        most = max(groups, key=len)  # the first of those with as many
        if len(most) > 1:
            return self.all_given("", most)
        one = self.first(_CATEGORIES)
        return () if one is None else (one,)

    def numbered(self, usual: Sequence[str]) -> tuple[str, ...]:
        """The first usual name that is there, with or without a number, and all its numbers."""
        for base in usual:
            pattern = re.compile(rf"{base}_?([0-9]*)")
            matches = {name: pattern.fullmatch(plain) for plain, name in self._plain.items()}
            found = [(int(m[1] or -1), name) for name, m in matches.items() if m]
            if found:
                return self.all_given("", [name for _, name in sorted(found)])
        return ()

    def lacks(self, what: str, usual: Sequence[str], flag: str) -> CatalogueError:
        return CatalogueError(
            f"{self._where} must have {what}: under a usual name ({', '.join(usual)}, ...) or as "
            f"{flag} says. Received the columns: {self._listed()}."
        )

    def _listed(self) -> str:
        return ", ".join(self._names)


def plain_column(name: str) -> str:
    """A column's name without accents, case, spaces and punctuation."""
    letters = unicodedata.normalize("NFKD", name)
    ascii_only = "".join(letter for letter in letters if not unicodedata.combining(letter))
    plain = re.sub(r"[^a-z0-9]+", "_", ascii_only.casefold()).strip("_")
    return f"_{plain}" if name.strip() == "_id" else plain
