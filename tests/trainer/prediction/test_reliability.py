import numpy as np
import pytest

from trainer.prediction.reliability import (
    NUM_BINS,
    Confidences,
    acceptance,
    equal_mass_bins,
    expected_calibration_error,
)
from trainer.runs.evaluation_parts import Acceptance, ReliabilityBin


def test_bins_hold_equally_many_products():
    rng = np.random.default_rng(0)
    confidence = rng.random(100).astype(np.float32) ** 3
    right = rng.random(100) < confidence
    bins = equal_mass_bins(confidence, right)
    assert sorted({one.count for one in bins}) == [6, 7] and len(bins) == NUM_BINS
    order = np.argsort(confidence)
    first = order[: bins[0].count]
    assert bins[0].confidence == pytest.approx(confidence[first].mean())
    assert bins[0].accuracy == right[first].mean()
    assert sum(one.count * one.accuracy for one in bins) == pytest.approx(right.sum())
    confidences = [one.confidence for one in bins]
    assert confidences == sorted(confidences)


def test_fewer_products_than_bins():
    bins = equal_mass_bins(np.array([0.5, 0.25], np.float32), np.array([True, False]))
    assert bins == (ReliabilityBin(1, 0.25, 0.0), ReliabilityBin(1, 0.5, 1.0))


def test_the_calibration_error_by_hand():
    bins = (ReliabilityBin(3, 0.5, 0.75), ReliabilityBin(1, 0.9, 0.4))
    assert expected_calibration_error(bins) == pytest.approx((3 * 0.25 + 0.5) / 4)


def test_the_threshold_accepts_as_many_as_possible():
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5], np.float32)
    right = np.array([True, False, True, True, False])
    # Accepting 1, 2, ... 5 products, the accuracy is 1, 1/2, 2/3, 3/4, 3/5.
    order = np.random.default_rng(0).permutation(5)
    found = acceptance(confidence[order], right[order], 0.75)
    assert found == Acceptance(0.75, pytest.approx(0.6), 0.8, 0.75)
    assert acceptance(confidence, right, 0.9) == Acceptance(0.9, pytest.approx(0.9), 0.2, 1.0)
    assert acceptance(confidence, right, 0.6).share == 1


def test_equal_confidences_are_accepted_together():
    confidence = np.array([0.9, 0.9, 0.9], np.float32)
    right = np.array([True, True, False])
    assert acceptance(confidence, right, 0.9) == Acceptance(0.9, None, 0.0, 0.0)
    assert acceptance(confidence, right, 0.6).threshold == pytest.approx(0.9)


def test_figures_do_not_depend_on_batches():
    rng = np.random.default_rng(1)
    confidence, before = rng.random([2, 50]).astype(np.float32)
    right = rng.random(50) < 0.7
    one, several = Confidences(50, True), Confidences(50, True)
    one.add(confidence, right, before)
    for start in range(0, 50, 7):
        rows = slice(start, start + 7)
        several.add(confidence[rows], right[rows], before[rows])
    assert one.result() == several.result()
    result = one.result()
    assert result.ece == expected_calibration_error(equal_mass_bins(confidence, right))
    assert result.ece_before == expected_calibration_error(equal_mass_bins(before, right))
    assert [row.wanted for row in result.acceptance] == [0.9, 0.95, 0.99]
    plain = Confidences(50, False)
    plain.add(confidence, right, confidence)
    assert plain.result().ece_before is None and plain.result().ece == result.ece
