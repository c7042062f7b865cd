"""Columns are found by the names that shops give them, or as the flags say."""

import pytest

from cdisc_tfds.catalogue.columns import Columns, find_columns
from cdisc_tfds.catalogue.options import CatalogueError, CatalogueOptions


def found(*names, **options):
    return find_columns(names, CatalogueOptions("out", csv="p.csv", **options), "p.csv")


USUAL = {
    ("product_id", "category", "image"): Columns("product_id", None, ("category",), ("image",)),
    ("SKU", "Catégorie", "Photo 2", "Photo 10", "Photo 1"): Columns(
        "SKU", None, ("Catégorie",), ("Photo 1", "Photo 2", "Photo 10")
    ),
    ("Référence", "Univers", "Rayon", "Famille", "Sous-famille", "Fichier image"): Columns(
        "Référence", None, ("Univers", "Rayon", "Famille", "Sous-famille"), ("Fichier image",)
    ),
    ("_id", "category_id", "category_level1", "category_level2", "category_level3", "images"): (
        Columns(
            "_id",
            "category_id",
            ("category_level1", "category_level2", "category_level3"),
            ("images",),
        )
    ),
    ("id", "niveau 1", "niveau 2", "fichiers"): Columns(
        "id", None, ("niveau 1", "niveau 2"), ("fichiers",)
    ),
    ("id", "Category", "Sub-Category", "Department", "image_link", "filename"): Columns(
        "id", None, ("Department", "Category", "Sub-Category"), ("filename",)
    ),
    ("Handle", "Product Type", "Image Src"): Columns(
        "Handle", None, ("Product Type",), ("Image Src",)
    ),
    ("id", "photo"): Columns("id", None, (), ("photo",)),
    # The shop's own id comes before the maker's; underscores may be left out.
    ("EAN", "Ref", "CategoryPath", "path", "photosPath2", "photosPath1"): Columns(
        "Ref", None, ("CategoryPath",), ("photosPath1", "photosPath2")
    ),
    ("articleId", "Sousfamille", "Famille", "Rayon", "Univers", "fileNames"): Columns(
        "articleId", None, ("Univers", "Rayon", "Famille", "Sousfamille"), ("fileNames",)
    ),
}


@pytest.mark.parametrize("names", USUAL)
def test_usual_names(names):
    assert found(*names) == USUAL[names]


def test_flags_come_first():
    columns = found("id", "a", "b", "c", "image", product_id="c", category=("b",), pictures=("a",))
    assert columns == Columns("c", None, ("b",), ("a",))
    columns = found("id", "n", "category", "image", category_id="N")
    assert columns == Columns("id", "n", ("category",), ("image",))
    assert found("id", "category_id", "image", category=("category_id",)).category_id is None


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (("nr", "image"), {}, "p.csv must have a column for the product's id.*--id=COLUMN"),
        (("id", "bild"), {}, "must have a column of picture files.*Received the columns: id, bild"),
        (("id", "image"), {"category": ("cat",)}, "--category must be a column of p.csv. Received"),
        (("id", "image", "image"), {}, "Received: image 2 times in p.csv. Rename one."),
    ],
)
def test_missing_columns(names, options, message):
    with pytest.raises(CatalogueError, match=message):
        found(*names, **options)


def test_numbered_rows():
    assert found("id", "image", product_id="row") == Columns(None, None, (), ("image",))
    assert found("id", "row", "image", product_id="row").product_id == "row"  # a column comes first


def test_they_are_told():
    assert str(found("id", "category_id", "category", "photo1", "photo2")) == (
        "product id = id; category id = category_id; category = category; pictures = photo1, photo2"
    )
