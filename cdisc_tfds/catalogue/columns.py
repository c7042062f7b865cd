"""The columns of a catalogue's table, or the fields of a document: ids, categories, pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from cdisc_tfds.catalogue.options import CatalogueError, CatalogueOptions
from cdisc_tfds.table_cells import is_by_row
from cdisc_tfds.table_columns import ID_NAMES, ColumnFinder

# Usual names, in order of preference, as in `table_columns`.
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
    finder = ColumnFinder(names, where, CatalogueError)
    product_id = None
    if not is_by_row(options.product_id, names):
        product_id = finder.given("--id", options.product_id) or finder.first(ID_NAMES)
        if product_id is None:
            flag = "--id=COLUMN (or --id=row, which numbers the rows)"
            raise finder.lacks("a column for the product's id", ID_NAMES[:8], flag)
    category_id = finder.given("--category_id", options.category_id)
    category = finder.all_given("--category", options.category)
    if category_id is None and not category:
        category_id, category = finder.first(_CATEGORY_IDS), _levels(finder)
    elif not category:
        category = _levels(finder)
    if category_id in category:  # the user may say that a column of ids is the category
        category_id = None
    pictures = finder.pictures("--pictures", options.pictures)
    return Columns(product_id, category_id, category, pictures)


def _levels(finder: ColumnFinder) -> tuple[str, ...]:
    """The columns of a category's levels, or the one of its path."""
    groups = [list(filter(None, map(finder.named, group))) for group in _LEVEL_GROUPS]
    most = max(groups, key=len)  # the first of those with as many
    if len(most) > 1:
        return finder.all_given("", most)
    one = finder.first(_CATEGORIES)
    return () if one is None else (one,)
