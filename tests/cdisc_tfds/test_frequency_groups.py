import numpy as np
import pytest

from cdisc_tfds.frequency_groups import frequency_group


@pytest.mark.parametrize(
    ("training", "groups"),
    [
        ([10, 10, 10], [0, 1, 2]),
        ([5, 50, 5, 30, 10], [2, 0, 2, 1, 2]),  # cut at 33.3 and 66.7 of 100
        ([1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 2, 2]),
        ([0, 9, 0], [2, 0, 2]),
        ([0, 0], [2, 2]),
    ],
)
def test_each_group_has_a_third_of_the_training_products(training, groups):
    assert frequency_group(np.array(training)).tolist() == groups
