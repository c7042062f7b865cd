"""A card that shows one product: its pictures, its category and the predicted one."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from cdisc_tfds.pages.page_figures import data_uri


def product_card(
    product_id: int,
    pictures: Sequence[bytes],
    true_name: str,
    predicted_name: str,
    probability: float,
) -> Markup:
    """One product with its prediction.

    Args:
      product_id: its `_id`.
      pictures: its JPEGs.
      true_name, predicted_name: paths, `level 1 > level 2 > level 3`; the last part is bold.
      probability: of the prediction, 0 to 1.
    """
    right = true_name == predicted_name
    rows: list[tuple[str, object]] = [
        ("predicted", category_path(predicted_name)),
        ("probability", f"{probability:.1%}"),
        ("product", product_id),
    ]
    if not right:
        rows.insert(0, ("true", category_path(true_name)))
    return card([(product_id, pictures)], rows, right)


def card(
    products: Sequence[tuple[int, Sequence[bytes]]],
    rows: Sequence[tuple[str, object]],
    right: bool,
) -> Markup:
    """A card with products' pictures, and facts about them.

    Args:
      products: `_id` and JPEGs of each, in a line of their own.
      rows: name and value of each fact; values are escaped, except Markup.
      right: whether all is well; colours the card's edge.
    """
    lines = Markup("\n").join(
        Markup('<div class="pictures">{}</div>').format(
            Markup("\n").join(
                Markup('<img src="{}" alt="product {}">').format(
                    data_uri("image/jpeg", picture), product_id
                )
                for picture in pictures
            )
        )
        for product_id, pictures in products
    )
    return Markup('<div class="card {}">{}<dl>{}</dl></div>').format(
        "right" if right else "wrong",
        lines,
        Markup("\n").join(Markup("<dt>{}</dt><dd>{}</dd>").format(*row) for row in rows),
    )


def category_path(name: str) -> Markup:
    """A path, `level 1 > level 2 > level 3`, with the last part in bold."""
    before, arrow, leaf = name.rpartition(" > ")
    return Markup('{}<span class="leaf">{}</span>').format(before + arrow, leaf)
