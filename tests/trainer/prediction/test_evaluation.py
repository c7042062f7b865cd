import json

import numpy as np
import pytest

from cdisc_tfds.whole_files import write_json
from tests.helpers.small_data import SIZE, SmallData, make_products, small_config
from trainer.data.dataset import DatasetError
from trainer.data.duplicates import unseen_products
from trainer.data.label_map import LabelMap
from trainer.models.networks import build_model
from trainer.prediction import evaluation as evaluation_module
from trainer.prediction.averaging import ProductBatch
from trainer.prediction.evaluation import Evaluation, EvaluationError
from trainer.runs.checkpoint import save_weights
from trainer.runs.folder import RunFolder


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


def _make_run(path, data, **changes) -> RunFolder:
    run, config = RunFolder(path), small_config(**changes)
    run.checkpoints.mkdir(parents=True)
    run.config_path.write_text(config.to_json())
    run.categories_path.write_bytes(data.categories_path.read_bytes())
    label_map = LabelMap(data.categories, config.target, config.within_level1)
    write_json(run.label_map_path, {"digest": label_map.digest})
    model = build_model("logistic", label_map.num_classes, image_size=SIZE)
    entry = save_weights(model, run.checkpoints / "best.weights.h5")
    write_json(run.state_path, {"finished": True, "entries": [], "best": entry, "last": entry})
    return run


def _batch(ordinals, probabilities, num_pictures=None):
    """A batch of products with one picture each."""
    ordinals, probabilities = np.array(ordinals), np.array(probabilities, np.float32)
    counts = np.ones(len(ordinals), int) if num_pictures is None else np.array(num_pictures)
    seen = counts > 0
    return ProductBatch(ordinals, probabilities, counts, ordinals[seen], probabilities[seen])


def test_counts_by_hand(data):
    # Of the labels 0 to 3, the second is wrong but for level 1, and the third without a picture.
    split = data.add("four", make_products([0, 1, 2, 3], first_id=50))
    evaluation = Evaluation(LabelMap(data.categories), split)
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
    assert (result["num_products"], result["num_pictures"]) == (4, 3)
    assert result["num_without_picture"] == 1
    assert (result["product"]["accuracy"], result["product"]["top5"]) == (1 / 4, 3 / 4)
    assert (result["picture"]["accuracy"], result["picture"]["top5"]) == (1 / 3, 2 / 3)
    # The loss of a probability of 0 is bounded.
    expected = (87.33 - np.log([0.4, 0.3]).sum()) / 3
    assert result["picture"]["loss"] == pytest.approx(expected, rel=1e-3)
    assert result["level1"] == {
        "accuracy": 3 / 4,
        "top5": 1.0,
        "picture_accuracy": 1.0,
        "picture_top5": 1.0,
    }
    assert result["level2"]["accuracy"] == 1 / 4
    assert result["level1_names"] == ["HOME", "BOOKS", "MISC"]
    assert result["level1_confusion"] == [[3, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert result["deduplicated"] is None
    wrong, random = result["examples"][:3], result["examples"][3:]
    ids = split.index.product_id.tolist()
    assert wrong[0] == {
        "product_id": ids[2],
        "category": 2,
        "predicted": 0,
        "probability": pytest.approx(0.8),
        "correct": False,
    }
    assert [example["product_id"] for example in wrong] == [ids[2], ids[1], ids[3]]
    assert sorted(example["product_id"] for example in random) == sorted(ids)
    assert sum(example["correct"] for example in random) == 1


def test_the_surest_wrong_examples_are_kept_over_batches(data, monkeypatch):
    monkeypatch.setattr(evaluation_module, "NUM_EXAMPLES", 3)
    split = data.add("many", make_products([0] * 50))
    rng = np.random.default_rng(0)
    sure = rng.permutation(np.linspace(0.3, 0.9, 50)).astype(np.float32)
    evaluation = Evaluation(LabelMap(data.categories), split)
    for start in range(0, 50, 7):
        rows = np.arange(start, min(start + 7, 50))
        probabilities = np.zeros([len(rows), 6], np.float32)
        probabilities[:, 4] = sure[rows]
        evaluation.add(_batch(rows, probabilities))
    examples = evaluation.result()["examples"]
    assert len(examples) == 6
    found = [example["product_id"] for example in examples[:3]]
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
    run = _make_run(tmp_path / "run", data, **changes)
    result = evaluation_module.evaluate_run(run.path)
    assert result == json.loads((run.evaluation / "validation.json").read_text())
    assert result["split"] == "validation"
    assert [name for name in ("level1", "level2") if result[name] is None] == null
    if "target" in changes:
        assert result["product"]["accuracy"] == result[changes["target"]]["accuracy"]
    inside = 4 if "within_level1" in changes else 12  # two products of each of two categories
    assert (result["num_products"], result["num_foreign"]) == (inside, 12 - inside)
    assert sum(map(sum, result["level1_confusion"])) == inside
    shown = evaluation_module.table(result)
    assert f"{inside} products" in shown and ("level 2" in shown) == (not null)
    assert ("left out: 8 products of categories" in shown) == (inside == 4)


def test_the_result_does_not_depend_on_the_batch_size(data, tmp_path):
    run = _make_run(tmp_path / "run", data)
    one, all_at_once = (evaluation_module.evaluate_run(run.path, batch_size=b) for b in (1, 100))
    assert one["level1_confusion"] == all_at_once["level1_confusion"]
    assert one["product"] == pytest.approx(all_at_once["product"], rel=1e-6)
    assert one["deduplicated"] == all_at_once["deduplicated"]


def test_products_with_a_training_picture_are_left_out_of_the_deduplicated_figure(data, tmp_path):
    unseen = unseen_products(data.split("validation"), data.split("train"))
    assert unseen.tolist() == [True, False, False] + [True] * 9
    assert not unseen_products(data.split("train"), data.split("train")).any()
    run = _make_run(tmp_path / "run", data)
    assert evaluation_module.evaluate_run(run.path)["deduplicated"]["num_products"] == 10
    assert "the 10 products none of whose pictures" in evaluation_module.table(
        evaluation_module.evaluate_run(run.path)
    )
    assert evaluation_module.evaluate_run(run.path, split="train")["deduplicated"] is None
    assert evaluation_module.evaluate_run(run.path, deduplicate=False)["deduplicated"] is None


def test_unlabelled_products_are_left_out(data, tmp_path):
    products = make_products([0, 1, 2]) + make_products([3], first_id=90, unlabelled=True)
    data.add("mixed", products)
    result = evaluation_module.evaluate_run(_make_run(tmp_path / "run", data).path, "mixed")
    assert (result["num_products"], result["num_unlabelled"]) == (3, 1)
    assert "left out: 1 products without a label" in evaluation_module.table(result)


def test_a_split_without_labels_is_refused(data, tmp_path):
    run = _make_run(tmp_path / "run", data)
    (run.checkpoints / "best.weights.h5").unlink()  # never reached
    with pytest.raises(EvaluationError, match="'test' has no labels .*`python -m trainer.submit`"):
        evaluation_module.evaluate_run(run.path, "test")
    assert not run.evaluation.exists()


def test_a_split_without_a_class_of_the_run_is_refused(data):
    split = data.add("books", make_products([2, 4]))
    with pytest.raises(EvaluationError, match="No product of the split 'books' belongs to a class"):
        Evaluation(LabelMap(data.categories, within_level1=0), split)


def test_an_unknown_split_is_named(data, tmp_path):
    with pytest.raises(DatasetError, match="Received: 'valid'"):
        evaluation_module.evaluate_run(_make_run(tmp_path / "run", data).path, "valid")
