import dataclasses

import numpy as np
import pytest

from cdisc_tfds.built_dataset import DatasetError
from tests.helpers.network_runs import write_network_run
from tests.helpers.small_data import SmallData, make_products
from trainer.data.duplicates import unseen_products
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.prediction import first_guesses
from trainer.prediction.averaging import ProductBatch
from trainer.prediction.counting import Evaluation, EvaluationError
from trainer.prediction.evaluation import evaluate_run, write_result
from trainer.prediction.evaluation_table import table
from trainer.prediction.options import PredictionOptions
from trainer.runs.evaluation_file import (
    Deduplicated,
    EvaluationResult,
    Example,
    LevelAccuracies,
)
from trainer.runs.prediction_method import Method


@pytest.fixture
def data(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    data = SmallData(tmp_path / "data")
    train = make_products([0, 1, 2, 3, 4, 5] * 3)
    validation = make_products([0, 1, 2, 3, 4, 5] * 2, seed=1, first_id=100)
    # One picture of the second and all of the third are in the training split as well.
    validation[1].images[0] = train[0].images[0]
    validation[2].images[:] = train[1].images
    data.add("train", train)
    data.add("validation", validation, shards=3)
    data.add("test", make_products([0, 1], seed=2, first_id=200, unlabelled=True))
    monkeypatch.setattr("trainer.prediction.evaluation.open_dataset", lambda data_dir: data)
    return data


def _batch(ordinals, probabilities, num_pictures=None):
    """A batch of products with one picture each."""
    ordinals, probabilities = np.array(ordinals), np.array(probabilities, np.float32)
    counts = np.ones(len(ordinals), int) if num_pictures is None else np.array(num_pictures)
    seen = counts > 0
    return ProductBatch(ordinals, probabilities, counts, ordinals[seen], probabilities[seen])


def test_counts_by_hand(data):
    # Of the labels 0 to 3, the second is wrong but for level 1, and the third without a picture.
    split = data.add("four", make_products([0, 1, 2, 3], first_id=50))
    evaluation = Evaluation(LabelledSplit(split, LabelMap(data.categories)))
    evaluation.add(
        _batch(
            [0, 1],
            [
                [0.4, 0.3, 0.1, 0.1, 0.05, 0.05],  # right
                [0.1, 0.3, 0.42, 0.08, 0.05, 0.05],  # wrong; HOME 0.48, BOOKS 0.47; LAMPS 0.4
            ],
        )
    )
    evaluation.add(
        _batch(
            [3, 2],
            [
                [0.3, 0.2, 0.1, 0.0, 0.1, 0.3],  # category 3 comes last; level 1 right
                [0.8, 0.1, 0.1, 0.0, 0.0, 0.0],  # level 1 wrong
            ],
            num_pictures=[1, 0],
        )
    )
    result = evaluation.result()
    assert (result.num_products, result.num_pictures) == (4, 3)
    assert result.num_without_picture == 1
    assert (result.product.accuracy, result.product.top5_accuracy) == (1 / 4, 3 / 4)
    assert (result.picture.accuracy, result.picture.top5_accuracy) == (1 / 3, 2 / 3)
    # The loss of a probability of 0 is bounded.
    expected = (87.33 - np.log([0.4, 0.3]).sum()) / 3
    assert result.picture.loss == pytest.approx(expected, rel=1e-3)
    assert result.level1 == LevelAccuracies(3 / 4, 1.0, 1.0, 1.0)
    assert result.level2.accuracy == 1 / 4
    assert result.level1_names == ["HOME", "BOOKS", "MISC"]
    assert result.level1_confusion == [[3, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert result.deduplicated is None
    wrong, random = result.examples[:3], result.examples[3:]
    ids = split.index.product_id.tolist()
    assert wrong[0] == Example(ids[2], 2, 0, pytest.approx(0.8), False)
    assert [example.product_id for example in wrong] == [ids[2], ids[1], ids[3]]
    assert sorted(example.product_id for example in random) == sorted(ids)
    assert sum(example.correct for example in random) == 1
    guesses = evaluation.guesses()  # in the order of the split, not of the batches
    assert guesses.product_id.tolist() == ids
    assert guesses.true.tolist() == [0, 1, 2, 3]
    assert guesses.predicted.tolist() == [0, 2, 0, 0]
    np.testing.assert_allclose(guesses.probability, [0.4, 0.42, 0.8, 0.3], rtol=1e-6)


def test_the_surest_wrong_examples_are_kept_over_batches(data, monkeypatch):
    monkeypatch.setattr(first_guesses, "NUM_EXAMPLES", 3)
    split = data.add("many", make_products([0] * 50))
    rng = np.random.default_rng(0)
    sure = rng.permutation(np.linspace(0.3, 0.9, 50)).astype(np.float32)
    evaluation = Evaluation(LabelledSplit(split, LabelMap(data.categories)))
    for start in range(0, 50, 7):
        rows = np.arange(start, min(start + 7, 50))
        probabilities = np.zeros([len(rows), 6], np.float32)
        probabilities[:, 4] = sure[rows]
        evaluation.add(_batch(rows, probabilities))
    examples = evaluation.result().examples
    assert len(examples) == 6
    found = [example.product_id for example in examples[:3]]
    assert found == split.index.product_id[np.argsort(-sure)[:3]].tolist()


@pytest.mark.parametrize(
    ("changes", "null"),
    [
        ({}, []),
        ({"target": "level2"}, []),
        ({"target": "level1"}, ["level2"]),
        ({"within_level1": 1}, []),
    ],
)
def test_a_run_of_any_target_is_evaluated(data, tmp_path, changes, null):
    run = write_network_run(tmp_path / "run", data, **changes)
    result = evaluate_run(run.path)
    path = write_result(run.path, result)
    assert path == run.evaluation / "validation.json"
    assert EvaluationResult.read(path) == result
    best = run.state.best
    assert result.method == Method(
        "validation",
        "best",
        False,
        "arithmetic",
        epoch=0,
        weights_sha256=best.sha256,
        data_digest=data.split("validation").index.digest,
    )
    shown, result = table(result), result.counts
    assert [name for name in ("level1", "level2") if getattr(result, name) is None] == null
    if "target" in changes:
        assert result.product.accuracy == getattr(result, changes["target"]).accuracy
    inside = 4 if "within_level1" in changes else 12  # two products of each of two categories
    assert (result.num_products, result.num_foreign) == (inside, 12 - inside)
    assert sum(map(sum, result.level1_confusion)) == inside
    assert f"{inside} products" in shown and ("level 2" in shown) == (not null)
    assert ("left out: 8 products of categories" in shown) == (inside == 4)


def test_the_result_does_not_depend_on_the_batch_size(data, tmp_path):
    run = write_network_run(tmp_path / "run", data)
    one, all_at_once = (
        evaluate_run(run.path, options=PredictionOptions(batch_size=b)).counts for b in (1, 100)
    )
    assert one.level1_confusion == all_at_once.level1_confusion
    assert dataclasses.astuple(one.product) == pytest.approx(
        dataclasses.astuple(all_at_once.product), rel=1e-6
    )
    assert one.deduplicated == all_at_once.deduplicated


def test_products_with_a_training_picture_are_left_out_of_the_deduplicated_figure(data, tmp_path):
    unseen = unseen_products(data.split("validation"), data.split("train"))
    assert unseen.tolist() == [True, False, False] + [True] * 9
    assert not unseen_products(data.split("train"), data.split("train")).any()
    run = write_network_run(tmp_path / "run", data)
    result = evaluate_run(run.path)
    assert isinstance(result.counts.deduplicated, Deduplicated)
    assert result.counts.deduplicated.num_products == 10
    assert "the 10 products none of whose pictures" in table(result)
    assert evaluate_run(run.path, split="train").counts.deduplicated is None
    assert evaluate_run(run.path, deduplicate=False).counts.deduplicated is None


def test_unlabelled_products_are_left_out(data, tmp_path):
    products = make_products([0, 1, 2]) + make_products([3], first_id=90, unlabelled=True)
    data.add("mixed", products)
    result = evaluate_run(write_network_run(tmp_path / "run", data).path, "mixed")
    assert (result.counts.num_products, result.counts.num_unlabelled) == (3, 1)
    assert "left out: 1 products without a label" in table(result)


def test_a_split_without_labels_is_refused(data, tmp_path):
    run = write_network_run(tmp_path / "run", data)
    (run.checkpoints / "best.weights.h5").unlink()  # never reached
    with pytest.raises(EvaluationError, match="'test' has no labels .*`python -m trainer.submit`"):
        evaluate_run(run.path, "test")
    assert not run.evaluation.exists()


def test_a_split_without_a_class_of_the_run_is_refused(data):
    split = data.add("books", make_products([2, 4]))
    with pytest.raises(EvaluationError, match="No product of the split 'books' belongs to a class"):
        Evaluation(LabelledSplit(split, LabelMap(data.categories, within_level1=0)))


def test_an_unknown_split_is_named(data, tmp_path):
    with pytest.raises(DatasetError, match="Received: 'valid'"):
        evaluate_run(write_network_run(tmp_path / "run", data).path, "valid")
