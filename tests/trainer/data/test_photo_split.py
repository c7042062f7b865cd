import errno
import threading

import numpy as np
import pytest

from cdisc_tfds.photo_products import PhotoProduct
from cdisc_tfds.records import MAX_PICTURES
from tests.helpers.photo_files import write_product_folders
from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer.data import photo_split
from trainer.data.input_pipeline import inference_dataset
from trainer.data.photo_split import photo_parts

PRODUCTS = make_products([0, 1, 2, 3, 4, 5] * 2, seed=2)


@pytest.fixture
def categories(tmp_path):
    (tmp_path / "data").mkdir()
    return SmallData(tmp_path / "data").categories


@pytest.fixture
def photos(tmp_path):
    folder = write_product_folders(tmp_path / "photos", PRODUCTS)
    return [
        PhotoProduct(str(product.product_id), tuple(map(str, sorted(own.iterdir()))))
        for product in PRODUCTS
        for own in [folder / f"{product.product_id:06d}"]
    ]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The system's folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def _files(folder):
    return {path.name for path in folder.rglob("*.tfrecord")}


def test_parts_hold_all_pictures_in_order(photos, categories, temporary, monkeypatch):
    monkeypatch.setattr(photo_split, "_PART_PICTURES", 6)
    pictures, names, parts = [], [], 0
    with photo_parts(photos, categories, SIZE) as found:
        for part in found:
            dataset = inference_dataset(part.split, batch_size=4, image_size=SIZE)
            pictures += [batch["inputs"].numpy() for batch in dataset]
            names += [product.name for product in part.products]
            assert part.split.passing and part.rejected == []
            assert part.places.tolist() == list(range(len(part.products)))
            assert part.photos == [list(product.photos) for product in part.products]
            assert f"{parts - 1}.tfrecord" not in _files(temporary)
            assert len(_files(temporary)) <= 3  # this one, the next one, an empty last one
            parts += 1
    assert parts >= 4 and list(temporary.glob("photos-*")) == []
    assert names == [str(product.product_id) for product in PRODUCTS]
    split = SmallData(temporary).add("all", PRODUCTS)
    expected = [
        batch["inputs"].numpy()
        for batch in inference_dataset(split, batch_size=99, image_size=SIZE)
    ]
    assert np.array_equal(np.concatenate(pictures), np.concatenate(expected))


def test_reading_ahead_is_bounded(photos, categories, monkeypatch):
    """Files are read a few at a time, and only when they are asked for."""
    monkeypatch.setattr(photo_split, "_PART_PICTURES", 1)
    monkeypatch.setattr(photo_split, "_BYTES_AHEAD", 1)
    read, original = [], photo_split.read_picture
    monkeypatch.setattr(
        photo_split, "read_picture", lambda path: read.append(path) or original(path)
    )
    with photo_parts(photos, categories, SIZE) as found:
        next(found)
        assert next(found).products[0] == photos[1]
    # Two parts taken, one made, one product waiting.
    assert set(read) <= {photo for product in photos[:5] for photo in product.photos}


def test_a_product_has_at_most_255_photos(tmp_path, categories):
    files = []
    for number in range(MAX_PICTURES + 2):
        files.append(tmp_path / f"{number}.jpg")
        files[-1].write_bytes(PRODUCTS[0].images[0])
    with photo_parts([PhotoProduct("a", tuple(map(str, files)))], categories, SIZE) as found:
        (part,) = found
    assert part.split.index.num_pictures.tolist() == [MAX_PICTURES]
    assert [(one.photo, one.reason) for one in part.rejected] == [
        (str(file), "a product has at most 255 photos") for file in files[-2:]
    ]


def test_an_interruption_stops_the_threads_and_leaves_no_file(
    photos, categories, temporary, monkeypatch
):
    monkeypatch.setattr(photo_split, "_PART_PICTURES", 1)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        with photo_parts(photos * 50, categories, SIZE) as found:
            next(found)
            raise KeyboardInterrupt
    assert list(temporary.glob("photos-*")) == []
    assert threading.active_count() == before


def test_a_full_disk_is_an_error(photos, categories, monkeypatch):
    def full(pieces):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(photo_split, "frame", full)
    with pytest.raises(OSError, match="temporary file in .*: No space left on device. .*TMPDIR"):
        with photo_parts(photos, categories, SIZE) as found:
            next(found)


def test_products_without_a_usable_photo_make_no_split(categories):
    products = [PhotoProduct("a", ()), PhotoProduct("b", ("none.jpg",))]
    with photo_parts(products, categories, SIZE) as found:
        (part,) = found
    assert part.split is None and part.products == products
    assert [tuple(one) for one in part.rejected] == [
        ("a", None, "it has no usable photo"),
        ("b", "none.jpg", "there is no such file"),
        ("b", None, "it has no usable photo"),
    ]


def test_too_little_memory_for_a_photo_does_not_end_the_run(photos, categories, monkeypatch):
    original, refused = photo_split.decodable, photos[1].photos[0]

    def short(data, max_side):
        if data == PRODUCTS[1].images[0]:
            raise MemoryError
        return original(data, max_side)

    monkeypatch.setattr(photo_split, "decodable", short)
    with photo_parts(photos[:3], categories, SIZE) as found:
        (part,) = found
    assert [(one.photo, one.reason) for one in part.rejected if one.photo is not None] == [
        (refused, "there is too little memory to decode it")
    ]
