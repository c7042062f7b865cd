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
    images = Markup("\n").join(
        Markup('<img src="{}" alt="product {}">').format(
            data_uri("image/jpeg", picture), product_id
        )
        for picture in pictures
    )
    rows = [("predicted", _path(predicted_name)), ("probability", f"{probability:.1%}")]
    if not right:
        rows.insert(0, ("true", _path(true_name)))
    return Markup('<div class="card {}"><div class="pictures">{}</div><dl>{}</dl></div>').format(
        "right" if right else "wrong",
        images,
        Markup("\n").join(
            Markup("<dt>{}</dt><dd>{}</dd>").format(*row)
            for row in [*rows, ("product", str(product_id))]
        ),
    )


def _path(name: str) -> Markup:
    before, arrow, leaf = name.rpartition(" > ")
    return Markup('{}<span class="leaf">{}</span>').format(before + arrow, leaf)
