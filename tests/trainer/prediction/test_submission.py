import gzip
import hashlib
import json
import subprocess
import sys
import types

import numpy as np
import pytest

from cdisc_tfds.built_dataset import DatasetError
from tests.helpers.network_runs import write_network_run
from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer.data.label_map import LabelMap, LabelMapError
from trainer.prediction import submission
from trainer.prediction.options import PredictionOptions
from trainer.prediction.predictor import Predictor
from trainer.prediction.submission import SubmissionError, check_products, write_submission
from trainer.runs.checkpoint import CheckpointError
from trainer.runs.folder import RunFolderError


@pytest.fixture
def data(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    data = SmallData(tmp_path / "data")
    data.add("train", make_products([0, 1, 2, 3, 4, 5, 3, 3]))
    data.add("test", make_products([0, 1, 2, 3, 4] * 4, seed=2, first_id=200, unlabelled=True))
    monkeypatch.setattr("trainer.prediction.submission.open_dataset", lambda data_dir: data)
    return data


@pytest.fixture
def run(data, tmp_path):
    return write_network_run(tmp_path / "run", data)


def _sample(path, ids):
    path.write_text("_id,category_id\n" + "".join(f"{i},1000010\n" for i in ids))
    return str(path)


@pytest.mark.parametrize("batch_size", [3, 100])
def test_a_submission_has_the_most_probable_category_of_each_product(
    run, data, tmp_path, batch_size
):
    output = tmp_path / "submission.csv"
    split = data.split("test")
    sample = _sample(tmp_path / "sample.csv", sorted(split.index.product_id))
    rows = submission.submit(
        run.path, output, sample_submission=sample, options=PredictionOptions(batch_size=batch_size)
    )
    assert rows == split.num_products == 20

    network = _network_of(run, data)
    expected = {}
    for product in make_products([0, 1, 2, 3, 4] * 4, seed=2, first_id=200):
        label = network(product.images).mean(axis=0).argmax()
        expected[product.product_id] = data.categories.category_ids[label]
    lines = "".join(f"{i},{expected[i]}\n" for i in sorted(expected))
    assert output.read_text() == "_id,category_id\n" + lines
    assert len(set(expected.values())) > 1
    assert json.loads((tmp_path / "submission.csv.made_from.json").read_text()) == {
        "run": "run",
        "checkpoint": "best",
        "epoch": 0,
        "sha256": run.state.best.sha256,
        "trained_on": None,  # the run's state does not say
        "file_sha256": hashlib.sha256(output.read_bytes()).hexdigest(),
        "split": "test",
        "data_digest": split.index.digest,
        "decoder": "tf",
        "flip": False,
        "scales": [1.0],
        "known_pictures": None,
        "mean": "arithmetic",
        "mean_choice": None,
    }


def _network_of(run, data):
    import tensorflow as tf

    from trainer.data.tf_decoding import decode_jpeg
    from trainer.prediction.loading import load_network

    network = Predictor(load_network(run), LabelMap(data.categories), image_size=SIZE)
    return lambda jpegs: network.probabilities(tf.stack([decode_jpeg(j, SIZE) for j in jpegs]))


def test_a_compressed_submission_is_the_same_bytes_each_time(run, tmp_path):
    first, second = tmp_path / "first.csv.gz", tmp_path / "second.csv.gz"
    submission.submit(run.path, first)
    submission.submit(run.path, second)
    assert first.read_bytes() == second.read_bytes()
    submission.submit(run.path, tmp_path / "plain.csv")
    assert gzip.decompress(first.read_bytes()) == (tmp_path / "plain.csv").read_bytes()


def test_a_product_without_pictures_keeps_its_row(run, data, tmp_path):
    products = make_products([0, 1, 2], seed=3, unlabelled=True)
    products[1].images[:] = []
    data.add("test", products)
    submission.submit(run.path, tmp_path / "submission.csv")
    rows = (tmp_path / "submission.csv").read_text().splitlines()
    # Category 3 is the most frequent in training.
    assert f"{products[1].product_id},{data.categories.category_ids[3]}" in rows
    assert len(rows) == 4


@pytest.mark.parametrize("changes", [{"target": "level1"}, {"target": "level2"}])
def test_a_run_of_a_level_is_refused(data, tmp_path, changes):
    run = write_network_run(tmp_path / "run", data, **changes)
    with pytest.raises(
        SubmissionError, match=rf"tells all categories apart.*one has target={changes['target']}\."
    ):
        submission.submit(run.path, tmp_path / "submission.csv")


def test_a_specialist_is_refused(data, tmp_path):
    run = write_network_run(tmp_path / "run", data, within_level1=1)
    with pytest.raises(SubmissionError, match="target=category within level-1 category 1"):
        submission.submit(run.path, tmp_path / "submission.csv")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([200, 203], "18 of the sample|0 of the sample.*18 are not in the sample"),
        ([*range(200, 260, 3), 999], r"1 of the sample's are missing \(e.g. 999\), 0 are not"),
        (reversed(range(200, 260, 3)), "lists each product once, in ascending _id"),
        ([*range(200, 260, 3), 200], "lists each product once, in ascending _id"),
    ],
)
def test_another_competitions_sample_is_refused_before_the_work(data, run, tmp_path, ids, message):
    sample = _sample(tmp_path / "sample.csv", ids)
    (run.checkpoints / "best.weights.h5").unlink()  # never reached
    with pytest.raises(SubmissionError, match=message):
        submission.submit(run.path, tmp_path / "submission.csv", sample_submission=sample)
    assert not (tmp_path / "submission.csv").exists()


def test_a_file_that_is_no_sample_submission_is_refused(tmp_path):
    path = tmp_path / "sample.csv"
    with pytest.raises(SubmissionError, match="--sample_submission must be a file. Received: .*"):
        check_products(np.array([1]), str(path))
    path.write_text("id,label\n1,2\n")
    with pytest.raises(
        SubmissionError, match="first line must be '_id,category_id'. .* has 'id,label'"
    ):
        check_products(np.array([1]), str(path))
    path.write_text("_id,category_id\n1,two\n")
    with pytest.raises(SubmissionError, match="rows of two integers. .* cannot be read so"):
        check_products(np.array([1]), str(path))
    path.with_suffix(".csv.gz").write_bytes(b"no gzip")
    with pytest.raises(SubmissionError, match="rows of two integers. .* cannot be read so"):
        check_products(np.array([1]), str(path.with_suffix(".csv.gz")))


def test_a_compressed_sample_submission_is_read(tmp_path):
    path = tmp_path / "sample.csv.gz"
    path.write_bytes(gzip.compress(b"_id,category_id\n4,1\n7,1\n"))
    check_products(np.array([7, 4]), str(path))


@pytest.mark.parametrize("name", ["submission.txt", "submission", "csv"])
def test_an_output_that_kaggle_would_not_take_is_refused(run, tmp_path, name):
    with pytest.raises(SubmissionError, match="must end in .csv or .csv.gz"):
        submission.submit(run.path, tmp_path / name)


def test_an_output_without_a_folder_is_refused(run, tmp_path):
    with pytest.raises(SubmissionError, match="a file in an existing folder"):
        submission.submit(run.path, tmp_path / "none" / "submission.csv")


def test_a_product_twice_is_refused(tmp_path):
    with pytest.raises(SubmissionError, match="more than one product with _id 4, 9"):
        write_submission(tmp_path / "s.csv", np.array([9, 4, 1, 4, 9, 9]), np.arange(6))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_run_or_split_is_named(run, data, tmp_path):
    with pytest.raises(RunFolderError, match="does not exist"):
        submission.submit(tmp_path / "none", tmp_path / "s.csv")
    with pytest.raises(DatasetError, match="A split is one of train, test. Received: 'tset'"):
        submission.submit(run.path, tmp_path / "s.csv", split="tset")


def test_foreign_data_and_damaged_checkpoints_leave_no_file(run, data, tmp_path):
    path = run.checkpoints / "best.weights.h5"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="the file is damaged"):
        submission.submit(run.path, tmp_path / "s.csv")
    data.categories = type(data.categories)([(1, "A", "B", "C")] * 1)
    with pytest.raises(LabelMapError, match="same categories in the same order"):
        submission.submit(run.path, tmp_path / "s.csv")
    assert not (tmp_path / "s.csv").exists()


def test_a_submission_that_reads_back_differently_does_not_appear(tmp_path, monkeypatch):
    monkeypatch.setattr(
        submission, "_write_rows", lambda file, rows: file.write(b"_id,category_id\n")
    )
    with pytest.raises(SubmissionError, match="is not what was written: 0 rows of 2"):
        write_submission(tmp_path / "s.csv", np.array([1, 2]), np.array([3, 4]))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_submission_leaves_the_old_one(run, tmp_path, monkeypatch):
    output = tmp_path / "s.csv"
    submission.submit(run.path, output)
    before = hashlib.sha256(output.read_bytes()).hexdigest()

    def full(file, rows):
        file.write(b"_id,categ")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(submission, "_write_rows", full)
    with pytest.raises(
        SubmissionError,
        match=r"No space left on device; the previous submission is unchanged: .*s\.csv\. Make",
    ):
        submission.submit(run.path, output)
    assert hashlib.sha256(output.read_bytes()).hexdigest() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "data",
        "run",
        "s.csv",
        "s.csv.made_from.json",
    ]


def test_the_file_beside_it_names_the_own_file(run, tmp_path, monkeypatch):
    """Another command may replace the submission before that file is written."""
    output, write, digests = tmp_path / "s.csv", submission.write_submission, []

    def replaced(path, *arrays):
        digests.append(write(path, *arrays))
        output.write_text("of another command")
        return digests[-1]

    monkeypatch.setattr(submission, "write_submission", replaced)
    submission.submit(run.path, output)
    beside = json.loads((tmp_path / "s.csv.made_from.json").read_text())
    assert beside["file_sha256"] == digests[0]
    submission.submit(run.path, output)
    assert digests[1] == digests[0]  # of the file's bytes


def test_a_name_that_is_too_long_for_the_file_beside_it(run, tmp_path):
    with pytest.raises(SubmissionError, match="name may have at most 200 bytes.*made_from.json"):
        submission.submit(run.path, tmp_path / f"{'x' * 240}.csv")


def test_every_product_needs_one_prediction(data):
    source = _fake_source(data, [[0, 1], [1, 2]])
    with pytest.raises(SubmissionError, match="A product was predicted twice"):
        submission.predict_categories(source, data.split("test"))
    source = _fake_source(data, [[0, 1], [2]])
    with pytest.raises(
        SubmissionError, match="Every product needs a prediction. 17 of 20 got none"
    ):
        submission.predict_categories(source, data.split("test"))


def _fake_source(data, ordinals):
    """A source that predicts these batches of products."""
    batches = _fake_batches(ordinals)
    return types.SimpleNamespace(
        label_map=LabelMap(data.categories), predict=lambda split: iter(batches)
    )


def _fake_batches(ordinals):
    from trainer.prediction.averaging import ProductBatch

    empty = np.zeros(0, np.int64)
    return [
        ProductBatch(np.array(rows), np.ones([len(rows), 6]), np.ones(len(rows)), empty, empty)
        for rows in ordinals
    ]


def test_the_command_says_an_error_in_one_line(tmp_path):
    command = [sys.executable, "-m", "trainer.submit", "--run_dir=x", f"--output={tmp_path}/s.txt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "Error: A submission's name must end in .csv or .csv.gz, which Kaggle goes by. Received: "
        f"--output={tmp_path}/s.txt."
    ]
