"""First guesses on disk."""

import hashlib

import numpy as np
import pytest

from tests.helpers.fake_runs import guesses_of
from trainer.runs.guess_file import Guesses, path_beside

GUESSES = guesses_of([0, 5, 5], [0, 4, 5], [0.5, 0.25, 1.0], [7, 1 << 40, 3])


def test_round_trip(tmp_path):
    evaluation = tmp_path / "train[80%:].json"
    sha256 = GUESSES.write(evaluation)
    found = Guesses.read(evaluation, sha256)
    assert found == GUESSES and len(found) == 3
    assert found != guesses_of([0, 5, 4], [0, 4, 5], [0.5, 0.25, 1.0], [7, 1 << 40, 3])
    assert found.right.tolist() == [True, False, True]
    path = path_beside(evaluation)
    assert path.name == "train[80%:].guesses.npy"
    rows = np.load(path)
    assert rows.dtype.names == ("product_id", "true", "predicted", "probability")
    assert rows.dtype.itemsize == 20
    assert rows["product_id"].tolist() == [7, 1 << 40, 3]


def test_a_file_that_is_gone_or_changed(tmp_path, caplog):
    evaluation = tmp_path / "e.json"
    assert Guesses.read(evaluation, "0" * 64) is None
    assert not caplog.text
    sha256 = GUESSES.write(evaluation)
    content = path_beside(evaluation).read_bytes()
    path_beside(evaluation).write_bytes(content[:-1])
    assert Guesses.read(evaluation, sha256) is None
    assert "belongs to another evaluation: its first guesses are left out" in caplog.text


def test_another_array(tmp_path):
    evaluation = tmp_path / "e.json"
    np.save(path_beside(evaluation), np.arange(3))
    sha256 = hashlib.sha256(path_beside(evaluation).read_bytes()).hexdigest()
    with pytest.raises(ValueError, match="first guesses with the columns int64"):
        Guesses.read(evaluation, sha256)
