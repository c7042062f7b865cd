import math

import numpy as np

from trainer.prediction.format_check import TOGETHER, compare
from trainer.prediction.format_pictures import FilePictures

PICTURES = FilePictures(np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1), "validation")
EXPECTED = np.tile(np.float32([0.25, 0.75]), [10, 1])


def _compared(tmp_path, runtime):
    path = tmp_path / "model"
    path.write_bytes(b"12345")
    return compare(path, runtime, PICTURES, EXPECTED)


def test_differences_and_first_guesses(tmp_path):
    """Picture 3 is off by 0.1, picture 9 by 0.5, which changes its first guess."""

    def runtime(pictures):
        off = {3: 0.1, 9: 0.5}
        rows = [off.get(int(number), 0) for number in pictures.reshape(-1)]
        return np.stack([[0.25 + one, 0.75 - one] for one in rows]).astype(np.float32)

    check = _compared(tmp_path, runtime)
    assert (check.split, check.pictures, check.bytes) == ("validation", 10, 5)
    assert math.isclose(check.largest_difference, 0.5, rel_tol=1e-6)
    assert math.isclose(check.mean_difference, 0.06, rel_tol=1e-6)
    assert check.same_first_guess == 0.9
    assert check.milliseconds >= 0


def test_a_file_that_mixes_up_a_batch_is_found(tmp_path):
    def runtime(pictures):
        wrong = len(pictures) == TOGETHER
        return EXPECTED[: len(pictures)] + np.float32(0.2 * wrong)

    assert math.isclose(_compared(tmp_path, runtime).largest_difference, 0.2, rel_tol=1e-6)


def test_no_number_is_no_small_difference(tmp_path):
    def runtime(pictures):
        return EXPECTED[: len(pictures)] * np.float32(np.nan if pictures[0, 0, 0, 0] == 4 else 1)

    assert math.isnan(_compared(tmp_path, runtime).largest_difference)
