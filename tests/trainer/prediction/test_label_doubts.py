"""Doubtful labels by hand, and planted ones found by the command."""

import csv
import json

import numpy as np
import pytest

from tests.helpers.html_checks import assert_well_formed
from tests.helpers.network_runs import write_network_run
from tests.helpers.small_data import SmallData, make_products, small_config
from trainer import doubtful
from trainer.prediction.averaging import ProductBatch
from trainer.prediction.doubt_search import DoubtError
from trainer.prediction.embedding_options import EmbeddingOptions
from trainer.prediction.label_doubts import VerdictCounter, doubtful_labels
from trainer.prediction.made_embeddings import make_embeddings
from trainer.terminal.option import OptionError
from trainer.training.train import train

ROWS = np.array(
    [
        [0.8, 0.1, 0.1],  # labelled 0
        [0.6, 0.3, 0.1],  # labelled 0
        [0.2, 0.7, 0.1],  # labelled 0: the network says 1
        [0.1, 0.6, 0.3],  # labelled 1
        [0.3, 0.2, 0.5],  # labelled 1: the network says 2
        [0.5, 0.3, 0.2],  # labelled 2: the network says 0
    ],
    np.float32,
)
LABELS = np.array([0, 0, 0, 1, 1, 2])


def _verdicts(counts=(1,) * 6):
    counter = VerdictCounter(LABELS, 3)
    for rows in (slice(0, 4), slice(4, 6)):
        ordinals = np.arange(6)[rows]
        counter.add(
            ProductBatch(ordinals, ROWS[rows], np.array(counts)[rows], ordinals, ROWS[rows])
        )
    return counter.result()


def test_confident_learning_by_hand():
    verdicts = _verdicts()
    # Mean over the products labelled so: (0.8+0.6+0.2)/3, (0.6+0.2)/2, 0.2.
    np.testing.assert_allclose(verdicts.thresholds, [1.6 / 3, 0.4, 0.2], rtol=1e-6)
    # 2: 0.7 of class 1 reaches 0.4. 4: 0.5 of class 2 reaches 0.2. 5: only class 2 reaches 0.2,
    # because 0.5 of class 0 is below 0.533.
    assert verdicts.confident.tolist() == [False, False, True, False, True, False]


def test_a_class_without_products_reaches_nothing():
    counter = VerdictCounter(np.array([0, 0]), 3)
    rows = np.array([[0.1, 0.9, 0], [0.9, 0, 0.1]], np.float32)
    counter.add(ProductBatch(np.arange(2), rows, np.ones(2), np.arange(2), rows))
    assert counter.result().confident.tolist() == [False, False]


def test_products_without_a_picture_do_not_count():
    verdicts = _verdicts(counts=(1, 1, 0, 1, 1, 1))
    assert verdicts.ordinals.tolist() == [0, 1, 3, 4, 5]
    assert verdicts.thresholds[0] == pytest.approx(0.7)


@pytest.mark.parametrize("rows", [2, 100])
def test_scores_by_hand(monkeypatch, rows):
    monkeypatch.setattr("trainer.prediction.label_doubts._ROWS", rows)
    neighbours = np.array([[0, 0], [1, 1], [1, 0], [1, -1], [1, 1], [-1, -1]])
    ids, untrained = np.arange(10, 16), np.zeros(6, bool)
    found = doubtful_labels(_verdicts(), neighbours, ids, untrained)
    # 10: (0.8+1)/2 - 0.1/2. 11: 0.6/2 - (0.3+1)/2. 12: (0.2+0.5)/2 - (0.7+0.5)/2. 14: (0.2+1)/2
    # - 0.5/2. 15: 0.2/2 - 0.5/2, by the network alone.
    assert found.product_id.tolist() == [11, 12, 15]
    np.testing.assert_allclose(found.score, [-0.35, -0.25, -0.15], rtol=1e-5)
    assert found.label.tolist() == [0, 0, 2] and found.suggested.tolist() == [1, 1, 0]
    np.testing.assert_allclose(found.probability, [0.6, 0.2, 0.2])
    np.testing.assert_allclose(found.suggested_probability, [0.3, 0.7, 0.5])
    assert found.neighbours.tolist() == [0, 0.5, 0]
    assert found.suggested_neighbours.tolist() == [1, 0.5, 0]
    assert found.confident.tolist() == [False, True, False]
    assert found[:1].product_id.tolist() == [11] and len(found) == 3

    # Of a product that it was trained on, the network counts a quarter.
    found = doubtful_labels(_verdicts(), neighbours, ids, ~untrained)
    assert found.product_id.tolist() == [11, 12, 15]
    expected = [0.6 / 4 - (0.3 + 3) / 4, (0.2 + 1.5) / 4 - (0.7 + 1.5) / 4, 0.2 / 4 - 0.5 / 4]
    np.testing.assert_allclose(found.score, expected, rtol=1e-5)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Data of which four products have a wrong label, and a run that was trained on them."""
    folder = tmp_path_factory.mktemp("world")
    data = SmallData(folder)
    products = make_products([0, 2, 4, 5] * 15)
    planted = {7: 0, 22: 5, 40: 2, 51: 4}  # place -> wrong label
    for place, label in planted.items():
        assert products[place].category != label
        products[place] = products[place]._replace(category=label)
    products[3] = products[3]._replace(category=-1)
    data.add("train", products)
    data.add("validation", make_products([0, 2, 4, 5], seed=1, first_id=1000))
    config = small_config(epochs=6, learning_rate=0.003, optimizer="adam")
    run = train(config, folder / "run", data)
    return data, run, products, planted


@pytest.fixture
def opened(world, monkeypatch):
    for module in ("doubt_search", "made_embeddings"):
        name = f"trainer.prediction.{module}.open_dataset"
        monkeypatch.setattr(name, lambda data_dir: world[0])
    return world


def test_planted_labels_are_found_first(opened, tmp_path, capsys):
    data, run, products, planted = opened
    output = tmp_path / "doubtful.csv"
    options = doubtful.Options(run_dir=str(run.path), output=str(output), neighbours=5, shown=3)
    doubtful.main(options)
    with open(output, newline="") as file:
        rows = list(csv.DictReader(file))
    wrong = {products[place].product_id: label for place, label in planted.items()}
    first = {int(row["product_id"]): row for row in rows[: len(wrong)]}
    assert set(first) == set(wrong)
    true = make_products([0, 2, 4, 5] * 15)
    for place, label in planted.items():
        row = first[products[place].product_id]
        ids = data.categories.category_ids
        assert row["category_id"] == str(ids[label])
        assert row["suggested_category_id"] == str(ids[true[place].category])
    page = (tmp_path / "doubtful.csv.html").read_text()
    assert_well_formed(page)
    assert page.count('class="card wrong"') == 3
    assert json.loads((tmp_path / "doubtful.csv.made_from.json").read_text())["neighbours"] == 5
    out = capsys.readouterr().out
    assert f"{len(rows)} of 59 labels of train are doubtful (" in out
    assert "The run was trained on 60 of the products." in out

    # The same from a file of features.
    made = make_embeddings(run.path, "train", EmbeddingOptions(neighbours=5))
    made.write(tmp_path / "f.npz")
    again = tmp_path / "again.csv"
    doubtful.main(
        doubtful.Options(run_dir=str(run.path), output=str(again), features=str(tmp_path / "f.npz"))
    )
    assert again.read_bytes() == output.read_bytes()


def test_features_that_do_not_fit(opened, tmp_path):
    _, run, _, _ = opened

    def doubt(split, **options):
        made = make_embeddings(run.path, split, EmbeddingOptions(**options))
        made.write(tmp_path / "f.npz")
        doubtful.main(
            doubtful.Options(
                run_dir=str(run.path),
                output=str(tmp_path / "d.csv"),
                features=str(tmp_path / "f.npz"),
            )
        )

    with pytest.raises(DoubtError, match="must have neighbours. .*f.npz has none"):
        doubt("train")
    with pytest.raises(DoubtError, match="must be of the products of train. .*lacks 59 of them"):
        doubt("validation", neighbours=2)
    assert not (tmp_path / "d.csv").exists()


def test_what_cannot_be_doubted(opened, tmp_path):
    data, run, _, _ = opened
    data.add("test", make_products([0, 1], unlabelled=True))
    options = {"run_dir": str(run.path), "split": "test"}
    with pytest.raises(DoubtError, match="No product of the split 'test' has a class"):
        doubtful.main(doubtful.Options(**options, output=str(tmp_path / "d.csv")))
    with pytest.raises(OptionError, match="--output must end in .csv"):
        doubtful.main(doubtful.Options(**options, output=str(tmp_path / "d.jsonl")))


def test_a_run_of_a_level_has_no_ids(opened, tmp_path):
    data, _, _, _ = opened
    run = write_network_run(tmp_path / "level", data, target="level2")
    output = tmp_path / "d.csv"
    doubtful.main(doubtful.Options(run_dir=str(run.path), output=str(output), neighbours=2))
    with open(output, newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows and {row["category_id"] for row in rows} == {""}
    assert {row["category"] for row in rows} <= set(data.categories.level2_names)
