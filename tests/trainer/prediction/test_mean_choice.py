import dataclasses
import math
import types

import numpy as np
import pytest

from tests.helpers.small_data import SmallData, make_products
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.prediction.mean_choice import choice_text, choose_mean
from trainer.prediction.predictor import PredictionError
from trainer.runs.prediction_method import MeanChoice

# Class 1 has the most first guesses; class 0 has the larger mean and median.
OUTVOTED = [[1.0, 0.0], [0.45, 0.55], [0.3, 0.35, 0.3]]


@pytest.fixture
def data(tmp_path):
    return SmallData(tmp_path)


def _source(pictures):
    """Yields these (ordinal, probabilities of the first classes), two pictures a batch."""
    ordinals = np.array([ordinal for ordinal, _ in pictures])
    probabilities = np.zeros([len(pictures), 6], np.float32)
    for row, (_, values) in zip(probabilities, pictures):
        row[: len(values)] = values

    def predict(split, products):
        assert products.tolist() == list(range(split.num_products))
        for start in range(0, len(ordinals), 2):
            yield ordinals[start : start + 2], probabilities[start : start + 2]

    return types.SimpleNamespace(pictures=predict)


def _labelled(data, labels):
    split = data.add("validation", make_products(labels))
    return LabelledSplit(split, LabelMap(data.categories))


def test_the_rule_that_is_most_often_right_is_chosen(data):
    # Only a vote is right about products 0 and 1, and all other rules are about product 2.
    pictures = [(n, row) for n in range(3) for row in OUTVOTED] + [(3, [0.0, 1.0])]
    choice = choose_mean(_source(pictures), _labelled(data, [1, 1, 0, 1]))
    # Paired differences 1, 1, -1, 0: their mean is 1/4, their variance 3/4 - 1/16.
    expected = MeanChoice(
        "vote", "arithmetic", "validation", 4, 1 / 4, pytest.approx(math.sqrt(11 / 16 / 4))
    )
    assert choice == expected
    assert choice_text(choice) == (
        "--mean=auto: vote, which on validation (4 products) beats arithmetic by 0.2500 (standard "
        "error 0.4146, so it may be chance)."
    )
    sure = dataclasses.replace(choice, standard_error=0.125)
    assert choice_text(sure).endswith("(standard error 0.1250).")


def test_among_equals_the_default_wins(data):
    choice = choose_mean(_source([(0, [0.9, 0.1]), (1, [0.9, 0.1])]), _labelled(data, [0, 1]))
    assert (choice.mean, choice.gain, choice.standard_error) == ("arithmetic", 0, 0)
    assert choice_text(choice) == "--mean=auto: on validation, no rule is better than arithmetic."


def test_a_product_without_a_picture_counts_for_no_rule(data):
    choice = choose_mean(_source([(1, row) for row in OUTVOTED]), _labelled(data, [0, 1]))
    assert (choice.mean, choice.num_products, choice.gain) == ("vote", 2, 1 / 2)


def test_a_split_without_labels_is_refused(data):
    split = data.add("test", make_products([0], unlabelled=True))
    with pytest.raises(PredictionError, match="'test' has none. Name a rule"):
        choose_mean(_source([]), LabelledSplit(split, LabelMap(data.categories)))
