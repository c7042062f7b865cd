"""Batches for training and for prediction: which pictures, in which order, with which pixels."""

import hashlib
import io
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cdisc_tfds.built_dataset import DatasetError
from cdisc_tfds.records import Product
from tests.helpers.small_data import SIZE, SmallData, make_products, picture
from trainer.data import tf_decoding
from trainer.data.augmentation_table import AUGMENTATIONS, Augmentation
from trainer.data.input_pipeline import inference_dataset, train_dataset
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.data.record_reading import clear_record_errors

EVERYTHING = Augmentation(
    flip=True,
    shift=0.1,
    zoom=(0.75, 1.15),
    rotate=10.0,
    colour=0.2,
    rand_augment=1,
    erase=0.3,
    mixup=0.2,
    cutmix=1.0,
)
LABELS = [i * 7 % 6 for i in range(60)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """60 labelled products in 5 files, 9 unlabelled ones in 2."""
    data = SmallData(tmp_path_factory.mktemp("data"))
    data.products = {
        "train": make_products(LABELS, seed=1),
        "test": make_products(LABELS[:9], seed=2, first_id=1000, unlabelled=True),
    }
    data.add("train", data.products["train"], shards=5)
    data.add("test", data.products["test"])
    return data


@pytest.fixture
def label_map(data):
    return LabelMap(data.categories)


def train_batches(data, label_map, **changes):
    arguments = dict(batch_size=8, image_size=SIZE, seed=3, epoch=0) | changes
    split = arguments.pop("split", None) or data.split("train")
    if isinstance(arguments.get("augment"), str):
        arguments["augment"] = AUGMENTATIONS[arguments["augment"]]
    dataset = train_dataset(LabelledSplit(split, label_map), **arguments)
    return [tuple(part.numpy() for part in batch) for batch in dataset]


def inference_batches(split, **changes):
    dataset = inference_dataset(split, **dict(batch_size=8, image_size=SIZE) | changes)
    return [(batch["inputs"].numpy(), batch["product"].numpy()) for batch in dataset]


def pixels(jpeg: bytes) -> np.ndarray:
    """As Pillow decodes it, which is libjpeg-turbo at its most accurate."""
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def as_set(batches) -> list:
    """The pictures with their labels, in an order that does not depend on the batches'."""
    return sorted(
        (int(label), image.tobytes()) for batch in batches for image, label in zip(*batch)
    )


def pictures_of(products) -> list:
    return sorted((p.category, pixels(image).tobytes()) for p in products for image in p.images)


def assert_equal_batches(ours, expected):
    assert len(ours) == len(expected)
    for of_ours, of_expected in zip(ours, expected, strict=True):
        for part, expected_part in zip(of_ours, of_expected, strict=True):
            np.testing.assert_array_equal(part, expected_part)


# Training.


@pytest.mark.parametrize("shuffle_buffer", [1, 7, 1000])
@pytest.mark.parametrize("batch_size", [1, 8, 1000])
def test_an_epoch_has_every_picture_once(data, label_map, batch_size, shuffle_buffer):
    batches = train_batches(data, label_map, batch_size=batch_size, shuffle_buffer=shuffle_buffer)
    assert as_set(batches) == pictures_of(data.products["train"])
    pictures = data.split("train").num_pictures
    sizes = [len(labels) for _, labels in batches]
    assert sizes[:-1] == [batch_size] * (len(sizes) - 1)
    assert sum(sizes) == pictures == LabelledSplit(data.split("train"), label_map).num_pictures
    assert len(sizes) == -(-pictures // batch_size)


def test_element_spec_has_static_shapes(data, label_map):
    split = LabelledSplit(data.split("train"), label_map)
    dataset = train_dataset(split, batch_size=8, image_size=SIZE, seed=0, epoch=0)
    assert dataset.element_spec == (
        tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8),
        tf.TensorSpec([None], tf.int32),
    )
    assert len(dataset) == split.steps(8)
    assert inference_dataset(data.split("test"), batch_size=8, image_size=SIZE).element_spec == {
        "inputs": tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8),
        "product": tf.TensorSpec([None], tf.int64),
    }


def test_each_seed_and_epoch_has_an_order_of_its_own(data, label_map):
    orders = {
        b"".join(labels.tobytes() for _, labels in train_batches(data, label_map, seed=s, epoch=e))
        for s, e in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 7)]
    }
    assert len(orders) == 5


def test_pictures_of_a_product_are_spread(data, label_map):
    """Neighbours in the records must not be neighbours in the batches."""
    batches = train_batches(data, label_map, batch_size=1000, shuffle_buffer=1000)
    place = {image.tobytes(): i for i, image in enumerate(batches[0][0])}
    distances = [
        abs(place[pixels(first).tobytes()] - place[pixels(second).tobytes()])
        for product in data.products["train"]
        for first, second in zip(product.images, product.images[1:])
    ]
    assert np.mean(distances) > len(place) / 5  # a third is to be expected


@pytest.mark.parametrize("augment", ["none", "flip_shift", EVERYTHING])
def test_batches_do_not_depend_on_the_number_of_cores(data, label_map, augment, monkeypatch):
    expected = train_batches(data, label_map, augment=augment)
    for cores in (1, 3, 16):
        monkeypatch.setattr(tf_decoding, "num_cores", lambda cores=cores: cores)
        assert_equal_batches(train_batches(data, label_map, augment=augment), expected)


def test_batches_do_not_depend_on_how_many_wait_at_a_time(data, label_map, monkeypatch):
    """With large batches on many cores, the pictures within one batch are decoded in parallel."""
    expected = train_batches(data, label_map, augment="flip")
    monkeypatch.setattr(tf_decoding, "num_cores", lambda: 16)
    monkeypatch.setattr(tf_decoding, "PICTURES_IN_FLIGHT", 16)
    assert_equal_batches(train_batches(data, label_map, augment="flip"), expected)


@pytest.mark.parametrize("augment", ["none", "flip", "flip_shift", EVERYTHING])
@pytest.mark.parametrize("skip_steps", [0, 1, 5])
def test_skipped_steps_leave_the_tail_of_the_epoch(data, label_map, augment, skip_steps):
    whole = train_batches(data, label_map, augment=augment, epoch=4)
    tail = train_batches(data, label_map, augment=augment, epoch=4, skip_steps=skip_steps)
    assert_equal_batches(tail, whole[skip_steps:])


def test_all_steps_skipped(data, label_map):
    steps = LabelledSplit(data.split("train"), label_map).steps(8)
    assert train_batches(data, label_map, skip_steps=steps) == []
    assert len(train_batches(data, label_map, skip_steps=steps - 1)) == 1


def test_specialist_gets_its_own_products_only(data):
    label_map = LabelMap(data.categories, within_level1=0)  # HOME: rows 0, 1 and 3
    own = [p for p in data.products["train"] if p.category in (0, 1, 3)]
    classes = {0: 0, 1: 1, 3: 2}
    batches = train_batches(data, label_map)
    assert as_set(batches) == sorted(
        (classes[p.category], pixels(image).tobytes()) for p in own for image in p.images
    )
    split = LabelledSplit(data.split("train"), label_map)
    assert split.num_pictures == sum(len(p.images) for p in own)
    assert split.steps(8) == len(batches)


def test_labels_of_level1(data):
    batches = train_batches(data, LabelMap(data.categories, target="level1"))
    level1 = data.categories.level1
    labels = [level1[p.category] for p in data.products["train"] for _ in p.images]
    assert sorted(np.concatenate([labels for _, labels in batches])) == sorted(labels)


def test_unlabelled_products_are_not_trained_on(data, label_map):
    assert LabelledSplit(data.split("test"), label_map).num_pictures == 0
    assert train_batches(data, label_map, split=data.split("test")) == []


@pytest.mark.parametrize("column", ["product_id", "num_pictures", "category"])
def test_an_index_that_is_not_the_records_ends_training(label_map, tmp_path, column):
    """Also in a place where the counts agree: labels would be wrong without a word."""
    split = SmallData(tmp_path).add("train", make_products(LABELS))
    values = getattr(split.index, column)
    first, second = 3, int(np.flatnonzero(values != values[3])[-1])
    values[[first, second]] = values[[second, first]]
    with (
        pytest.raises(DatasetError, match="those of its index.*'train'.*other products, or other"),
        clear_record_errors(split),
    ):
        train_batches(None, label_map, split=split)
    with (
        pytest.raises(DatasetError, match="another build. Copy the data set again"),
        clear_record_errors(split),
    ):
        inference_batches(split, products=np.array([second]))


def test_swapped_shards_end_training(label_map, tmp_path):
    """Two shards with equally many records, each under the other's name."""
    split = SmallData(tmp_path).add("train", make_products([0, 1, 2, 3] * 5), shards=2)
    first, second = (pathlib.Path(part.path) for part in split.files)
    first.rename(tmp_path / "aside")
    second.rename(first)
    (tmp_path / "aside").rename(second)
    with pytest.raises(DatasetError, match="other products"), clear_record_errors(split):
        train_batches(None, label_map, split=split)


def test_a_damaged_record_is_told(label_map, tmp_path):
    split = SmallData(tmp_path).add("train", make_products(LABELS))
    path = pathlib.Path(split.files[0].path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with (
        pytest.raises(DatasetError, match=r"must be intact.*a corrupted record at \d+. Copy"),
        clear_record_errors(split),
    ):
        train_batches(None, label_map, split=split)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for _ in range(split.files[0].take):
            writer.write(b"not an example")
    with (
        pytest.raises(DatasetError, match="must be intact.*a record of another format"),
        clear_record_errors(split),
    ):
        train_batches(None, label_map, split=split)


def test_a_shard_that_disappears_is_told(label_map, tmp_path):
    """As when somebody builds the data set again meanwhile."""
    split = SmallData(tmp_path).add("train", make_products(LABELS), shards=2)
    pathlib.Path(split.files[1].path).unlink()
    with pytest.raises(DatasetError, match="no longer in .* deleted or is built again"):
        with clear_record_errors(split):
            train_batches(None, label_map, split=split)


def test_errors_that_are_not_about_the_records_stay_as_they_are(data):
    with pytest.raises(tf.errors.InvalidArgumentError), clear_record_errors(data.split("train")):
        tf.reshape(tf.zeros([3]), [2])


def test_the_order_of_an_epoch_is_the_one_of_earlier_versions(data, label_map):
    """Golden: a run that an earlier version began continues with the same batches."""
    tf.random.set_seed(None)  # TensorFlow mixes the shuffle's seed with the global one
    number = {
        pixels(image).tobytes(): place
        for place, image in enumerate(i for p in data.products["train"] for i in p.images)
    }
    batches = train_batches(data, label_map, seed=3, epoch=1, shuffle_buffer=20)
    order = [number[image.tobytes()] for images, _ in batches for image in images]
    assert order[:12] == [135, 145, 142, 141, 134, 130, 140, 139, 144, 146, 155, 156]
    assert hashlib.sha256(bytes(order)).hexdigest()[:16] == "f7bee330e7668e90"


# Augmentation.


def test_flip_mirrors_about_half_of_the_pictures(data, label_map):
    plain = train_batches(data, label_map, batch_size=1000)[0][0]
    flipped = train_batches(data, label_map, batch_size=1000, augment="flip")[0][0]
    mirrored = (flipped == plain[:, :, ::-1]).all(axis=(1, 2, 3))
    same = (flipped == plain).all(axis=(1, 2, 3))
    assert (mirrored | same).all()
    assert 0.3 < mirrored.mean() < 0.7
    again = train_batches(data, label_map, batch_size=1000, augment="flip", epoch=0)[0][0]
    np.testing.assert_array_equal(again, flipped)


def test_shift_moves_by_up_to_a_tenth_and_fills_with_white(data, label_map):
    size = 40  # up to 4 pixels
    plain = train_batches(data, label_map, batch_size=1000, image_size=size)[0][0]
    moved = train_batches(data, label_map, batch_size=1000, image_size=size, augment="flip_shift")[
        0
    ][0]
    shifts = [find_shift(a, b) for a, b in zip(plain, moved)]
    down, right = np.abs(np.array(shifts)).T
    assert down.max() == right.max() == 4
    assert len(set(shifts)) > 40  # of 81


def find_shift(plain, moved) -> tuple[int, int]:
    """By how much `moved` is `plain`, or its mirror image, moved over white."""
    padded = np.pad(plain, [(4, 4), (4, 4), (0, 0)], constant_values=255)
    height, width = plain.shape[:2]
    for down in range(-4, 5):
        for right in range(-4, 5):
            window = padded[4 - down : 4 - down + height, 4 - right : 4 - right + width]
            if np.array_equal(window, moved) or np.array_equal(window[:, ::-1], moved):
                return down, right
    raise AssertionError("the picture is not a shifted one")


def test_mixed_pictures_have_two_labels_of_their_batch(data, label_map):
    mixing = Augmentation(mixup=1.0)
    for (images, labels, shares), (plain, classes) in zip(
        train_batches(data, label_map, augment=mixing), train_batches(data, label_map), strict=True
    ):
        np.testing.assert_array_equal(labels, np.stack([classes, classes[::-1]], axis=1))
        np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
        blend = plain * shares[:, 0, None, None, None] + (
            plain[::-1] * shares[:, 1, None, None, None]
        )
        np.testing.assert_allclose(images, blend, atol=0.51)


# Prediction.


@pytest.mark.parametrize("name", ["train", "test"])
@pytest.mark.parametrize("batch_size", [1, 8, 1000])
def test_prediction_sees_every_picture_in_order(data, name, batch_size):
    batches = inference_batches(data.split(name), batch_size=batch_size)
    expected = [
        (ordinal, pixels(image))
        for ordinal, product in enumerate(data.products[name])
        for image in product.images
    ]
    np.testing.assert_array_equal(
        np.concatenate([ordinals for _, ordinals in batches]), [ordinal for ordinal, _ in expected]
    )
    np.testing.assert_array_equal(
        np.concatenate([images for images, _ in batches]), [image for _, image in expected]
    )


def test_prediction_of_some_products(data):
    split = data.split("train")
    wanted = np.array([0, 7, 8, 59])
    batches = inference_batches(split, products=wanted)
    ordinals = np.concatenate([ordinals for _, ordinals in batches])
    np.testing.assert_array_equal(ordinals, np.repeat(wanted, split.index.num_pictures[wanted]))
    assert inference_batches(split, products=np.array([], np.int64)) == []


def test_products_without_pictures_have_no_element(data, label_map, tmp_path):
    products = make_products([0, 1, 2, 3])
    products[0] = Product(products[0].product_id, [], 0)
    products[2] = Product(products[2].product_id, [], 2)
    split = SmallData(tmp_path).add("train", products)
    ordinals = np.concatenate([ordinals for _, ordinals in inference_batches(split)])
    assert set(ordinals) == {1, 3}
    batches = train_batches(data, label_map, split=split)
    assert as_set(batches) == pictures_of(products)


# Pictures that are not as they should be.


def one_product_a_picture(folder, jpegs):
    products = [Product(i, [jpeg], i % 6) for i, jpeg in enumerate(jpegs)]
    return SmallData(folder).add("train", products)


def encode(array, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "JPEG", **options)
    return file.getvalue()


def test_other_sizes_and_colour_spaces(data, label_map, tmp_path):
    rng = np.random.default_rng(0)
    flat = np.full([30, 47, 3], (200, 30, 90), np.uint8)
    grey = rng.integers(0, 256, [SIZE, SIZE], np.uint8)
    cmyk = Image.new("CMYK", (SIZE, SIZE), (0, 255, 255, 0))
    file = io.BytesIO()
    cmyk.save(file, "JPEG")
    jpegs = [encode(flat), encode(grey), file.getvalue(), encode(flat[:1, :1])]
    split = one_product_a_picture(tmp_path, jpegs)
    (images, ordinals), *rest = inference_batches(split)
    assert ordinals.tolist() == [0, 1, 2, 3]
    assert not rest
    np.testing.assert_allclose(images[0], np.broadcast_to(pixels(jpegs[0])[0, 0], images[0].shape))
    np.testing.assert_array_equal(images[1], np.stack([pixels(jpegs[1])[:, :, 0]] * 3, axis=-1))
    np.testing.assert_allclose(
        images[2].astype(int), np.broadcast_to((255, 0, 0), images[2].shape), atol=3
    )
    (trained, _), *_ = train_batches(data, label_map, split=split, batch_size=4)
    assert sorted(i.tobytes() for i in trained) == sorted(i.tobytes() for i in images)


def test_smaller_size_is_antialiased(tmp_path):
    """Every second row white would be all white or all black without the averaging."""
    stripes = np.zeros([64, 64, 3], np.uint8)
    stripes[::2] = 255
    split = one_product_a_picture(tmp_path, [encode(stripes, quality=100)])
    [(images, _)] = inference_batches(split, image_size=16)
    assert abs(images[0, 2:-2, 2:-2].mean() - 127.5) < 3


BAD = {
    "empty": b"",
    "no JPEG": b"GIF89a, or so it says",
    "header only": picture(np.random.default_rng(0), 0)[:30],
}


@pytest.mark.parametrize("kind", BAD)
def test_undecodable_pictures_do_not_stop_training(data, label_map, tmp_path, kind, capfd):
    good = [picture(np.random.default_rng(i), i % 6) for i in range(6)]
    jpegs = [good[0], BAD[kind], *good[2:], BAD[kind]]
    split = one_product_a_picture(tmp_path, jpegs)
    for batch_size in (1, 3, 100):
        batches = train_batches(data, label_map, split=split, batch_size=batch_size)
        white = np.full([SIZE, SIZE, 3], 255, np.uint8)
        expected = [
            (i % 6, (white if jpeg == BAD[kind] else pixels(jpeg)).tobytes())
            for i, jpeg in enumerate(jpegs)
        ]
        assert as_set(batches) == sorted(expected)
        assert len(batches) == LabelledSplit(split, label_map).steps(batch_size)
    assert "picture(s) of a batch cannot be decoded. White ones stand in" in capfd.readouterr().err


@pytest.mark.parametrize("kind", BAD)
def test_undecodable_pictures_are_left_out_of_predictions(tmp_path, kind, capfd):
    good = [picture(np.random.default_rng(i), i % 6) for i in range(6)]
    split = one_product_a_picture(tmp_path, [good[0], BAD[kind], *good[2:], BAD[kind]])
    for batch_size in (1, 3, 100):
        batches = inference_batches(split, batch_size=batch_size)
        assert np.concatenate([ordinals for _, ordinals in batches]).tolist() == [0, 2, 3, 4, 5]
        images = np.concatenate([images for images, _ in batches])
        np.testing.assert_array_equal(images, [pixels(good[i]) for i in (0, 2, 3, 4, 5)])
    assert "picture(s) of a batch cannot be decoded. They are left out" in capfd.readouterr().err


def test_picture_cut_short_keeps_its_upper_part(tmp_path):
    whole = np.random.default_rng(0).integers(0, 256, [64, 64, 3], np.uint8)
    jpeg = encode(whole)
    split = one_product_a_picture(tmp_path, [jpeg[: len(jpeg) * 2 // 3], jpeg])
    [(images, _)] = inference_batches(split, image_size=64)
    np.testing.assert_array_equal(images[0, :24], images[1, :24])
    assert (images[0, 48:] != images[1, 48:]).any()


def test_random_damage_never_raises(data, label_map, tmp_path):
    rng = np.random.default_rng(5)
    jpegs = []
    for _ in range(200):
        jpeg = bytearray(picture(rng, 0))
        for place in rng.integers(0, len(jpeg), rng.integers(1, 20)):
            jpeg[place] ^= 1 << rng.integers(8)
        # A claim of millions of pixels is the builder's to refuse (`cdisc_tfds.jpeg`).
        jpegs.append(bytes(jpeg))
    split = one_product_a_picture(tmp_path, jpegs)
    batches = train_batches(data, label_map, split=split, batch_size=16)
    assert sum(len(labels) for _, labels in batches) == 200
