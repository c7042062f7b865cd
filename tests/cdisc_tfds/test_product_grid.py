"""How products are shown is tested through `tfds.show_examples`; here, TFDS's private list."""

import importlib

import pytest

from cdisc_tfds import product_grid


def test_registered_once():
    module = importlib.import_module("tensorflow_datasets.core.visualization.show_examples")
    product_grid.register()
    product_grid.register()
    grids = [one for one in module._ALL_VISUALIZERS if isinstance(one, product_grid.ProductGrid)]
    assert len(grids) == 1


def test_another_version_of_tfds_is_refused_in_a_sentence(monkeypatch):
    module = importlib.import_module("tensorflow_datasets.core.visualization.show_examples")
    monkeypatch.delattr(module, "_ALL_VISUALIZERS")
    with pytest.raises(ImportError, match=r"has the list _ALL_VISUALIZERS .* Install \"tensorflow"):
        product_grid.register()
