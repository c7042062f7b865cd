"""Paths of any length become the competition's three levels."""

import pytest

from cdisc_tfds.catalogue.levels import path_of, plain_name, three_levels


@pytest.mark.parametrize(
    ("path", "levels"),
    [
        (("A",), ("A", "A", "A")),
        (("A", "B"), ("A", "B", "B")),
        (("A", "B", "C"), ("A", "B", "C")),
        (("A", "B", "C", "D", "E"), ("A", "B", "C > D > E")),
    ],
)
def test_three_levels(path, levels):
    assert three_levels(path) == levels


def test_names_are_plain():
    assert plain_name("  Cafe\u0301\n et  the\u0301 ") == "Caf\u00e9 et th\u00e9"
    assert path_of(["A", " ", "", "B "]) == ("A", "B")
