import pathlib

import pytest

from cdisc_tfds.built_dataset import DatasetError
from cdisc_tfds.tfrecord import frame
from tests.helpers.fake_runs import write_run
from tests.helpers.small_data import SmallData, make_products
from trainer.data.dataset import FilePart, Split
from trainer.reporting import pictures
from trainer.reporting.pictures import DataSets, pictures_of
from trainer.reporting.reported_runs import load_runs


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    return SmallData(tmp_path / "data")


def test_pictures_are_the_records_own(data):
    products = make_products([0, 1, 2, 3, 4, 5] * 4)
    split = data.add("train", products, shards=3)
    # At both ends of the first shard, in the last one; none of the second.
    wanted = [products[0], products[7], products[20]]
    found = pictures_of(split, [*(product.product_id for product in wanted), 123456789])
    assert found == {product.product_id: product.images for product in wanted}
    assert pictures_of(split, []) == {}


def test_pictures_of_a_sub_split(data):
    products = make_products([0, 1, 2, 3, 4, 5] * 4)
    path = data.add("train", products, shards=1).files[0].path
    files = (FilePart(path, 18, 6), FilePart(path, 2, 5))
    index = data.split("train").index[[*range(18, 24), *range(2, 7)]]
    split = Split("train[18:]+train[2:7]", files, index)
    for place in (2, 6, 18, 23):
        product = products[place]
        assert pictures_of(split, [product.product_id]) == {product.product_id: product.images}
    assert pictures_of(split, [products[1].product_id, products[7].product_id]) == {}


def test_a_data_set_that_is_gone(tmp_path, data, monkeypatch):
    opened = []

    def open_dataset(data_dir):
        opened.append(data_dir)
        raise DatasetError("Not built.")

    monkeypatch.setattr(pictures, "open_dataset", open_dataset)
    write_run(tmp_path / "run", data, [], data_dir="/gone")
    (run,) = load_runs([tmp_path / "run"])
    data_sets = DataSets()
    assert data_sets.why_not(run) == data_sets.why_not(run) == "Not built."
    assert opened == ["/gone"]
    with pytest.raises(DatasetError, match="Not built."):
        DataSets("/given")


def test_each_run_has_its_own_data_set(tmp_path, data, monkeypatch):
    data.add("validation", make_products([0, 1]))
    (tmp_path / "other").mkdir()
    other = SmallData(tmp_path / "other")
    text = other.categories_path.read_text().replace("1000010", "7")
    other.categories_path.write_text(text)
    other.categories = type(other.categories).from_csv(other.categories_path)
    folders = {"/data": data, "/other": other}
    monkeypatch.setattr(pictures, "open_dataset", folders.__getitem__)
    write_run(tmp_path / "run", data, [], data_dir="/data")
    write_run(tmp_path / "moved", data, [], data_dir="/other")
    run, moved = load_runs([tmp_path / "run", tmp_path / "moved"])
    data_sets = DataSets()
    assert data_sets.of(run) is data
    assert data_sets.why_not(run, "validation") == ""
    assert data_sets.why_not(run, "train") == "A split is one of validation. Received: 'train'."
    assert "same categories in the same order" in data_sets.why_not(moved)
    assert DataSets("/data").why_not(moved) == ""


def test_damaged_records_and_those_of_other_products(data):
    products = make_products([0, 1, 2, 3, 4, 5])
    split = data.add("train", products, shards=1)
    other = data.add("other", make_products([0, 1, 2, 3, 4, 5], first_id=500), shards=1)
    swapped = Split("train", other.files, split.index)
    with pytest.raises(DatasetError, match="hold other products"):
        pictures_of(swapped, [products[2].product_id])
    path = pathlib.Path(split.files[0].path)
    content = bytearray(path.read_bytes())
    content[40] ^= 1  # within the first record
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="a corrupted record"):
        pictures_of(split, [products[0].product_id])
    content[2] ^= 1  # the length of the first record, which leads to the others
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="a corrupted record"):
        pictures_of(split, [products[2].product_id])


def test_a_shard_that_is_cut_or_gone(data):
    products = make_products([0, 1, 2, 3, 4, 5])
    split = data.add("train", products, shards=1)
    path = pathlib.Path(split.files[0].path)
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 5, 0):
        path.write_bytes(whole[:size])
        with pytest.raises(DatasetError, match="a truncated record"):
            pictures_of(split, [products[5].product_id])
    path.write_bytes(b"".join(frame([b"no example"]) * 6))
    with pytest.raises(DatasetError, match="a record of another format"):
        pictures_of(split, [products[5].product_id])
    path.unlink()
    with pytest.raises(DatasetError, match="must stay while they are read"):
        pictures_of(split, [products[5].product_id])
