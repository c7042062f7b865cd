import itertools
import json

import numpy as np
import pytest

from cdisc_tfds.file_lock import locked
from tests.helpers.network_runs import write_network_run
from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer.models.networks import build_model
from trainer.prediction import kept_predictions, predictor
from trainer.prediction.evaluation import evaluate_run
from trainer.prediction.kept_predictions import KeptPredictions, bytes_per_picture
from trainer.prediction.options import PredictionOptions
from trainer.runs import shared_files

KEY = {"weights": "5" * 64}


class Computed:
    """20 pictures in batches of 3, and how often a batch was computed."""

    def __init__(self, num_classes=6):
        rng = np.random.default_rng(0)
        self.ordinals = np.sort(rng.integers(0, 9, 20))
        self.probabilities = rng.dirichlet(np.ones(num_classes), 20).astype(np.float32)
        self.batches = 0

    def __call__(self, first, end=None):
        stop = 20 if end is None else min(20, 3 * end)
        for start in range(3 * first, stop, 3):
            self.batches += 1
            rows = slice(start, start + 3)
            yield self.ordinals[rows], self.probabilities[rows]


@pytest.fixture(autouse=True)
def two_batches_per_file(monkeypatch):
    monkeypatch.setattr(kept_predictions, "_PICTURES_PER_FILE", 6)
    monkeypatch.setattr(shared_files, "_LEAST_FILES", 1)


def _kept(parent, computed):
    classes = computed.probabilities.shape[1]
    return KeptPredictions(parent, KEY, classes, 20, 3, computed)


def _folder(parent):
    (folder,) = parent.iterdir()
    return folder


def _joined(pictures):
    ordinals, probabilities = zip(*pictures, strict=True)
    return np.concatenate(ordinals), np.concatenate(probabilities)


def test_the_second_time_they_come_from_the_disk(tmp_path):
    computed = Computed()
    for _ in range(2):
        ordinals, probabilities = _joined(_kept(tmp_path, computed).pictures())
        assert np.array_equal(ordinals, computed.ordinals)
        assert np.array_equal(probabilities, computed.probabilities)
    assert computed.batches == 7
    assert sorted(path.name for path in _folder(tmp_path).iterdir()) == [
        *(f"{number:05d}.npy" for number in range(4)),
        "index.json",
    ]


def test_another_key_has_another_folder(tmp_path):
    computed = Computed()
    list(_kept(tmp_path, computed).pictures())
    other = KeptPredictions(tmp_path, {"weights": "6" * 64}, 6, 20, 3, computed)
    list(other.pictures())
    assert computed.batches == 14 and len(list(tmp_path.iterdir())) == 2


def test_an_interrupted_pass_continues_after_the_last_finished_file(tmp_path):
    computed = Computed()
    pictures = _kept(tmp_path, computed).pictures()
    list(itertools.islice(pictures, 5))  # two files of two batches each
    pictures.close()
    assert computed.batches == 5
    _, probabilities = _joined(_kept(tmp_path, computed).pictures())
    assert np.array_equal(probabilities, computed.probabilities)
    assert computed.batches == 5 + 3


def test_damaged_files_are_computed_again_with_a_warning(tmp_path, caplog):
    computed = Computed()
    list(_kept(tmp_path, computed).pictures())
    path = _folder(tmp_path) / "00001.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for _ in range(2):
        _, probabilities = _joined(_kept(tmp_path, computed).pictures())
        assert np.array_equal(probabilities, computed.probabilities)
    assert computed.batches == 7 + 5
    assert caplog.text.count("the file is damaged. It is computed again.") == 1


def test_a_damaged_index_is_computed_again_with_a_warning(tmp_path, caplog):
    computed = Computed()
    list(_kept(tmp_path, computed).pictures())
    (_folder(tmp_path) / "index.json").write_text("{")
    list(_kept(tmp_path, computed).pictures())
    assert computed.batches == 14 and "its files are computed again" in caplog.text


@pytest.mark.parametrize("num_classes", [128, 129, 1000])
def test_the_most_probable_classes_are_exact(tmp_path, num_classes):
    computed = Computed(num_classes)
    first = _joined(_kept(tmp_path, computed).pictures())
    second = _joined(_kept(tmp_path, computed).pictures())
    assert computed.batches == 7
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one, other)
    _, probabilities = first
    for row, true in zip(probabilities, computed.probabilities, strict=True):
        top = np.argsort(-true)[:128]
        assert np.array_equal(row[top], true[top])
        others = np.setdiff1d(np.arange(num_classes), top)
        if len(others):
            np.testing.assert_allclose(row[others], true[others].mean(), rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    on_disk = sum(path.stat().st_size for path in tmp_path.rglob("*.npy"))
    assert on_disk == pytest.approx(20 * bytes_per_picture(num_classes), rel=0.2)


def test_the_documented_sizes():
    assert bytes_per_picture(100) == 8 + 400
    assert bytes_per_picture(5270) == 776
    assert bytes_per_picture(70_000) == 8 + 128 * 8


def test_without_room_they_are_not_kept(tmp_path, monkeypatch, caplog):
    computed = Computed()
    monkeypatch.setattr(kept_predictions, "free_bytes", lambda folder: 9)
    _, probabilities = _joined(_kept(tmp_path, computed).pictures())
    assert np.array_equal(probabilities, computed.probabilities)
    assert "are not kept in" in caplog.text and "0.0 GB are free" in caplog.text
    assert not list(tmp_path.rglob("*.npy"))


def test_a_disk_that_fills_up_meanwhile_ends_the_keeping_only(tmp_path, monkeypatch, caplog):
    computed, write = Computed(), kept_predictions.write_pictures

    def full(folder, number, arrays):
        if number == 1:
            raise OSError(28, "No space left on device")
        return write(folder, number, arrays)

    with monkeypatch.context() as patch:
        patch.setattr(kept_predictions, "write_pictures", full)
        _, probabilities = _joined(_kept(tmp_path, computed).pictures())
    assert np.array_equal(probabilities, computed.probabilities) and computed.batches == 7
    assert "No space left on device" in caplog.text
    _, probabilities = _joined(_kept(tmp_path, computed).pictures())
    assert np.array_equal(probabilities, computed.probabilities) and computed.batches == 7 + 5


def test_only_one_process_writes(tmp_path, caplog):
    computed = Computed()
    _kept(tmp_path, computed).folder.mkdir()
    with locked(_folder(tmp_path) / "writer.lock", RuntimeError()):
        _, probabilities = _joined(_kept(tmp_path, computed).pictures())
    assert np.array_equal(probabilities, computed.probabilities)
    assert "another process is computing them" in caplog.text
    assert not list(tmp_path.rglob("*.npy"))


# With a run.


@pytest.fixture
def run(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    data = SmallData(tmp_path / "data")
    data.add("train", make_products([0, 1, 2]))
    products = make_products([0, 1, 2, 3, 4, 5] * 2, seed=1, first_id=100)
    products[3].images[:] = [b"\xff\xd8\xff no picture"]
    data.add("validation", products)
    monkeypatch.setattr("trainer.prediction.evaluation.open_dataset", lambda data_dir: data)
    network = build_model("logistic", 6, image_size=SIZE, seed=0)
    return write_network_run(tmp_path / "run", data, best=network)


@pytest.fixture
def forwards(monkeypatch):
    """Counts the batches that a network predicts."""
    batches, probabilities = [], predictor.Predictor.probabilities

    def counted(self, images):
        batches.append(len(images))
        return probabilities(self, images)

    monkeypatch.setattr(predictor.Predictor, "probabilities", counted)
    return batches


def test_one_pass_serves_all_rules_and_fits(run, forwards):
    auto = evaluate_run(run.path, options=PredictionOptions(mean="auto"), calibrate=True)
    batches = len(forwards)
    (run.checkpoints / "best.weights.h5").unlink()  # no network is loaded
    for mean in ("arithmetic", "vote", auto.method.mean):
        result = evaluate_run(run.path, options=PredictionOptions(mean=mean))
    assert len(forwards) == batches
    assert result.counts == auto.counts


def test_kept_predictions_change_nothing(run, forwards):
    plain, first, second = (
        evaluate_run(run.path, options=PredictionOptions(keep_predictions=keep)).counts
        for keep in (False, True, True)
    )
    assert plain == first == second
    assert plain.num_without_picture == 1


@pytest.mark.parametrize(
    "changes",
    [{"flip": True}, {"scales": "1,1.15"}, {"checkpoint": "last"}, {"batch_size": 5}],
)
def test_another_method_is_computed(run, forwards, changes):
    # The weights of `last` are those of `best` in this run, so they are computed only once.
    evaluate_run(run.path)
    before = len(forwards)
    evaluate_run(run.path, options=PredictionOptions(**changes))
    assert (len(forwards) > before) == ("checkpoint" not in changes)


def test_the_key_names_what_they_depend_on(run):
    evaluate_run(run.path)
    (path,) = run.predictions.glob("*/index.json")
    key = json.loads(path.read_text())["key"]
    assert key["weights"] == run.state.best.sha256
    assert key["decoder"] == "tf" and key["precision"] == "float32" and key["scales"] == [1.0]
