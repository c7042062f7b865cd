"""Features of a frozen base: computed once, whole, and found again."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from cdisc_tfds.built_dataset import DatasetError
from tests.helpers.decoded_pictures import count_decoded
from tests.helpers.small_data import SIZE, SmallData, make_products, small_config
from trainer.data.input_pipeline import inference_dataset
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.training import feature_store
from trainer.training.feature_store import FeatureError, FeatureStore


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    monkeypatch.setattr(feature_store, "_BATCH_SIZE", 4)
    monkeypatch.setattr(feature_store, "_PICTURES_PER_FILE", 12)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = SmallData(tmp_path_factory.mktemp("data"))
    data.add("train", make_products(np.arange(20) % 6))
    products = make_products(np.arange(9) % 6, seed=1, first_id=1000)
    products[2].images[0] = b"\xff\xd8\xff no picture"
    data.add("damaged", products)
    data.add("unreadable", [product._replace(images=[b"no"]) for product in products])
    data.add("other", make_products(np.arange(20) % 6, seed=2))
    return data


def _base(seed=0, policy="float32"):
    keras.utils.set_random_seed(seed)
    pictures = keras.Input([SIZE, SIZE, 3], dtype="uint8")
    x = layers.Rescaling(1 / 255, dtype="float32")(pictures)
    x = layers.Conv2D(5, 3, dtype=policy)(x)
    return keras.Model(pictures, layers.GlobalAveragePooling2D(dtype=policy)(x))


def _store(data, folder, base=None, within_level1=None, **changes):
    """A store, and with it the function that gives a split's features."""
    label_map = LabelMap(data.categories, "category", within_level1)
    store = FeatureStore(base or _base(), small_config(**changes), folder)
    return _OfSplits(store, label_map)


class _OfSplits:
    """Takes plain splits, seen with one label map."""

    def __init__(self, store, label_map):
        self._store, self._label_map = store, label_map

    def of(self, split, *arguments):
        return self._store.of(LabelledSplit(split, self._label_map), *arguments)


def _all_rows(features):
    return np.concatenate([features.rows(number) for number in range(len(features.lengths))])


def _expected(split, base, products=None):
    """Each picture's features and product, computed without files."""
    batches = list(inference_dataset(split, batch_size=4, image_size=SIZE, products=products))
    rows = np.concatenate([base(batch["inputs"]).numpy() for batch in batches])
    return rows, np.concatenate([batch["product"] for batch in batches])


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_features_are_those_of_the_base(data, tmp_path, policy):
    base, split = _base(policy=policy), data.split("train")
    features = _store(data, tmp_path, base).of(split)
    rows, ordinals = _expected(split, base)
    assert features.dtype.name == ("bfloat16" if policy == "mixed_bfloat16" else "float32")
    assert _all_rows(features).dtype == rows.dtype
    np.testing.assert_array_equal(_all_rows(features), rows)
    np.testing.assert_array_equal(features.ordinals, ordinals)
    assert features.lengths[:-1].tolist() == [12] * (len(features.lengths) - 1)
    white = tf.fill([1, SIZE, SIZE, 3], np.uint8(255))
    np.testing.assert_array_equal(features.white, base(white)[0].numpy())


def test_only_products_with_a_class(data, tmp_path):
    split = data.split("train")
    features = _store(data, tmp_path, within_level1=0).of(split)
    known = np.flatnonzero(
        LabelMap(data.categories, "category", 0).classes_of(split.index.category) >= 0
    )
    assert 0 < len(known) < split.num_products
    np.testing.assert_array_equal(np.unique(features.ordinals), known)


def test_a_picture_that_cannot_be_decoded_is_left_out(data, tmp_path):
    split = data.split("damaged")
    features = _store(data, tmp_path).of(split)
    counts = np.bincount(features.ordinals, minlength=split.num_products)
    missing = split.index.num_pictures - counts
    assert missing.tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0]


def test_not_one_picture_can_be_decoded(data, tmp_path):
    features = _store(data, tmp_path).of(data.split("unreadable"))
    assert len(features.ordinals) == 0 and _all_rows(features).shape == (0, 5)


def test_computed_once_for_all_runs(data, tmp_path, monkeypatch):
    decoded, split = count_decoded(monkeypatch), data.split("train")
    store = _store(data, tmp_path)
    first = store.of(split)
    assert store.of(split) is first
    again = _store(data, tmp_path, optimizer="sgd").of(split)  # another process, say
    assert decoded["train"] == split.num_pictures
    np.testing.assert_array_equal(_all_rows(again), _all_rows(first))
    np.testing.assert_array_equal(again.ordinals, first.ordinals)


@pytest.mark.parametrize(
    "change",
    [
        {"base": 1},
        {"split": "other"},
        {"within_level1": 1},
        {"input_range": (-1.0, 1.0)},
        {"precision": "mixed_bfloat16"},
        {"decoder": "other"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_they_depend_on_names_the_folder(data, tmp_path, monkeypatch, change):
    store = _store(data, tmp_path)
    changes = {name: value for name, value in change.items() if name not in ("base", "split")}
    other = _store(data, tmp_path, base=_base(seed=change.get("base", 0)), **changes)
    monkeypatch.setattr(
        feature_store,
        "inference_dataset",
        lambda split, **arguments: inference_dataset(split, **arguments | {"decoder": "tf"}),
    )
    store.of(data.split("train"))
    other.of(data.split(change.get("split", "train")))
    assert len(list(tmp_path.iterdir())) == 2


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("batches", [1, 3, 4, 8])
def test_stopped_computing_goes_on(data, tmp_path, monkeypatch, batches):
    left = [batches]

    def stop():
        left[0] -= 1
        if not left[0]:
            raise _Killed

    split = data.split("train")
    expected = _store(data, tmp_path / "undisturbed").of(split)
    with pytest.raises(_Killed):
        _store(data, tmp_path / "killed").of(split, stop)
    decoded = count_decoded(monkeypatch)
    features = _store(data, tmp_path / "killed").of(split)
    assert decoded["train"] == split.num_pictures - 12 * (batches // 3)
    np.testing.assert_array_equal(_all_rows(features), _all_rows(expected))
    np.testing.assert_array_equal(features.ordinals, expected.ordinals)


def _cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: _cut(folder / "00001.npy", 0),
        lambda folder: _cut(folder / "00001.npy", -1),
        lambda folder: (folder / "00001.npy").unlink(),
        lambda folder: _cut(folder / "index.json", 0),
        lambda folder: _cut(folder / "index.json", -20),
        lambda folder: (folder / "index.json").write_text("[]"),
    ],
    ids=["empty", "cut", "gone", "no index", "cut index", "another index"],
)
def test_what_is_damaged_is_computed_again(data, tmp_path, monkeypatch, damage, caplog):
    split = data.split("train")
    expected = _all_rows(_store(data, tmp_path).of(split))
    (folder,) = tmp_path.iterdir()
    damage(folder)
    decoded = count_decoded(monkeypatch)
    with caplog.at_level("WARNING"):
        features = _store(data, tmp_path).of(split)
    np.testing.assert_array_equal(_all_rows(features), expected)
    assert "computed again" in caplog.text and decoded["train"] > 0
    decoded.clear()
    np.testing.assert_array_equal(_all_rows(_store(data, tmp_path).of(split)), expected)
    assert not decoded


def test_no_room_for_them(data, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_store, "free_bytes", lambda folder: 100)
    split = data.split("train")
    with pytest.raises(FeatureError) as error:
        _store(data, tmp_path).of(split)
    assert re.fullmatch(
        rf"The features of {split.num_pictures} pictures need 0.0 GB. {tmp_path}/\w+ has 0.0 GB "
        r"free. Make room, choose another disk with --features_dir, or have them computed anew in "
        r"each epoch with --nocache_features \(in a new --run_dir\).",
        str(error.value),
    )


def test_records_of_another_build(data, tmp_path):
    split = data.split("train")
    index = split.index[np.arange(split.num_products)[::-1]]
    foreign = type(split)("foreign", split.files, index)
    with pytest.raises(DatasetError, match="records of a split must be those of its index"):
        _store(data, tmp_path).of(foreign)
