"""The largest confusions, and their heat map."""

import numpy as np

from tests.helpers.png_checks import image_of
from trainer.reporting.confusion_chart import Confusion, confusion_chart, largest_confusions


def test_largest_confusions():
    matrix = [[90, 10, 0], [5, 5, 10], [0, 0, 7]]
    assert largest_confusions(matrix) == [
        Confusion(1, 2, 10, 0.5),
        Confusion(0, 1, 10, 0.1),
        Confusion(1, 0, 5, 0.25),
    ]


def test_confusion_chart_shows_only_the_categories_of_the_largest_confusions():
    matrix = np.eye(49, dtype=int) * 20
    matrix[3, 4] = matrix[30, 31] = 9
    names = ["VÊTEMENT - LINGERIE ET BEAUCOUP D'AUTRES CHOSES ENCORE"] * 49
    few = image_of(confusion_chart(matrix, names, limit=2))
    four = image_of(confusion_chart(matrix, names, limit=14))
    assert few.width < four.width < 1200
    assert few.height < four.height
    matrix[:, 0] += 5  # all are taken for the first
    assert image_of(confusion_chart(matrix, names)).height < 1400
