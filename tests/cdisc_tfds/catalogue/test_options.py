"""Options that do not fit together are refused."""

import pytest

from cdisc_tfds.catalogue.options import CatalogueError, CatalogueOptions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of --csv, --folders and --dump. Received: none of them."),
        ({"csv": "a", "dump": "b"}, "Received: --csv and --dump."),
        ({"csv": "a", "max_size": 0}, "--max_size must be 1 or more. Received: 0."),
        ({"csv": "a", "num_processes": 0}, "--processes must be 1 or more. Received: 0."),
        ({"csv": "a", "test_share": 1.0}, "--test_share must be from 0 to below 1. Received: 1.0."),
        ({"csv": "a", "test_share": 0.1, "split": "test"}, "goes without --split"),
        ({"csv": "a", "category_separator": ""}, "--category_separator must not be empty"),
        ({"csv": "a", "product": "name"}, "--product says how to read folders"),
        ({"csv": "a", "collection": "b.c"}, "--collection has no meaning with --csv"),
        ({"folders": "a", "images": "b"}, "--images has no meaning with --folders"),
        ({"dump": "a", "delimiter": ";"}, "--delimiter has no meaning with --dump"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(CatalogueError) as caught:
        CatalogueOptions("out", **options)
    assert message in str(caught.value)


def test_the_number_of_processes_does_not_shape_the_files():
    one, other = (CatalogueOptions("out", csv="a", num_processes=n) for n in (1, 2))
    assert one.that_shape_the_files() == other.that_shape_the_files()
