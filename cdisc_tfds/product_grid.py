"""`tfds.show_examples` for products, which have several pictures each.

TFDS's own grid expects records with one `Image` each. This one draws one product per cell, with its
pictures side by side, and adds itself to the list that `tfds.show_examples` searches.
"""

from __future__ import annotations

import importlib
from typing import Any

import tensorflow_datasets as tfds


class ProductGrid(tfds.visualization.Visualizer):
    """One product per cell: its pictures side by side, its id and the name of its category."""

    def match(self, ds_info: tfds.core.DatasetInfo) -> bool:
        return bool(ds_info.name == "cdiscount")

    def show(
        self,
        ds: Any,
        ds_info: tfds.core.DatasetInfo,
        rows: int = 3,
        cols: int = 3,
        plot_scale: float = 3.0,
    ) -> Any:
        """Draws the first `rows` x `cols` products of `ds` and returns the matplotlib figure."""
        plt = tfds.core.lazy_imports.matplotlib.pyplot
        figure = plt.figure(figsize=(plot_scale * cols, plot_scale * rows))
        cells = figure.subplots(rows, cols, squeeze=False).ravel()
        for cell in cells:
            cell.axis("off")
        for cell, product in zip(cells, tfds.as_numpy(ds.take(rows * cols))):
            _draw_pictures(cell, product["images"])
            cell.set_title(_title(product, ds_info), fontsize=7)
        plt.show()
        return figure


def _draw_pictures(cell: Any, images: Any) -> None:
    """Draws pictures (uint8 [n, height, width, 3]) side by side in one cell."""
    for position, image in enumerate(images):
        inset = cell.inset_axes((position / len(images), 0, 1 / len(images), 1))
        inset.imshow(image)
        inset.axis("off")


def _title(product: dict[str, Any], ds_info: tfds.core.DatasetInfo) -> str:
    title = str(product.get("product_id", ""))
    label = product.get("category", -1)
    if label < 0:
        return title
    return f"{title}\n{ds_info.features['category'].int2str(label)}"


def register() -> None:
    """Makes `tfds.show_examples` use this grid; repeated calls have no further effect.

    TFDS has no public way to add a visualizer.

    Raises:
      ImportError: TFDS's private list of visualizers is not where version 4.9.10 has it.
    """
    # Imported by name: in its package, a function of the same name hides the module.
    module = importlib.import_module("tensorflow_datasets.core.visualization.show_examples")
    visualizers = getattr(module, "_ALL_VISUALIZERS", None)
    if not isinstance(visualizers, list):
        raise ImportError(
            "cdisc_tfds needs a version of tensorflow-datasets whose module `show_examples` has "
            f"the list _ALL_VISUALIZERS (4.9.10 has it). Received: {tfds.__version__}. Install "
            '"tensorflow-datasets>=4.9.10,<4.10".'
        )
    if not any(isinstance(known, ProductGrid) for known in visualizers):
        visualizers.append(ProductGrid())
