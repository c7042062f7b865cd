"""A generated competition, written out as a shop's files, comes back as it was."""

import pathlib

import bson
import pytest
import tensorflow_datasets as tfds

import cdisc_tfds
from cdisc_tfds.categories import Categories
from cdisc_tfds.sample.competition import write_sample
from tests.helpers.shop_files import documents, make, rejected, table, write_csv


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, products=40, test_products=12, categories=6, image_size=48, processes=1)
    return folder


@pytest.fixture(scope="module")
def names(sample):
    """The three levels of each category_id."""
    rows = table(sample / "category_names.csv")[1:]
    return {int(number): levels for number, *levels in rows}


def products(sample):
    for split in ("train", "test"):
        yield from bson.decode_all((sample / f"{split}.bson").read_bytes())


def picture_files(document):
    for position, entry in enumerate(document["imgs"]):
        yield f"{document['_id']}_{position}.jpg", entry["picture"]


@pytest.fixture(scope="module")
def as_table(sample, names, tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    rows = [("Réf. produit", "category_id", "Niveau 1", "Niveau 2", "Niveau 3", "Photos")]
    for document in products(sample):
        number = document.get("category_id")
        levels = names[number] if number else ("", "", "")
        rows.append((document["_id"], number or "", *levels, ""))
        files = dict(picture_files(document))
        rows[-1] = (*rows[-1][:-1], "|".join(files))
        for name, data in files.items():
            (folder / name).write_bytes(data)
    return write_csv(folder / "products.csv", rows, ";", "utf-8-sig")


@pytest.fixture(scope="module")
def as_folders(sample, names, tmp_path_factory):
    root = tmp_path_factory.mktemp("folders")
    for document in products(sample):
        number = document.get("category_id")
        folder = root.joinpath(*(names[number] if number else ()))
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in picture_files(document):
            (folder / name).write_bytes(data)
    return root


def records(data_dir, manual_dir):
    """Digest of the data set that the build makes."""
    builder = cdisc_tfds.Builder(data_dir=data_dir)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    builder.download_and_prepare(download_config=config)
    shards = {path.name: path.read_bytes() for path in builder.data_path.glob("*.tfrecord*")}
    return builder.info.metadata["digest"], shards


def test_a_table_gives_the_same_records(tmp_path, sample, as_table):
    options = dict(csv=as_table, category_names=sample / "category_names.csv")
    make(tmp_path / "out", **options)
    for split in ("train", "test"):
        found, expected = (
            documents(folder / f"{split}.bson") for folder in (tmp_path / "out", sample)
        )
        assert list(found.items()) == list(expected.items())
    assert not (tmp_path / "out" / "rejected.jsonl").exists()
    assert records(tmp_path / "a", tmp_path / "out") == records(tmp_path / "b", sample)


def test_a_table_without_given_categories(tmp_path, sample, as_table):
    make(tmp_path / "out", csv=as_table)
    assert documents(tmp_path / "out" / "train.bson") == documents(sample / "train.bson")
    found, expected = (
        Categories.from_csv(folder / "category_names.csv") for folder in (tmp_path / "out", sample)
    )
    assert found.category_ids.tolist() == expected.category_ids.tolist()  # both by name
    assert found.level2_names == expected.level2_names


def test_folders_give_the_same_products(tmp_path, sample, as_folders, names):
    make(tmp_path / "out", folders=as_folders, product="name")
    own = {int(row[0]): row[1:] for row in table(tmp_path / "out" / "category_names.csv")[1:]}
    found = documents(tmp_path / "out" / "train.bson")
    expected = documents(sample / "train.bson")
    assert {n: (own[c], pictures) for n, (c, pictures) in found.items()} == {
        n: (names[c], pictures) for n, (c, pictures) in expected.items()
    }
    assert documents(tmp_path / "out" / "test.bson") == documents(sample / "test.bson")


def test_the_number_of_processes_changes_nothing(tmp_path, as_table):
    """Nor does one picture in eight that cannot be used, and a few products."""
    lines = pathlib.Path(as_table).read_text(encoding="utf-8-sig").splitlines()
    lines += ["9999;;a;b;c;none.jpg", ";;a;b;c;none.jpg"]
    lines = [line.replace("3_0.jpg", "none.jpg") for line in lines]
    path = as_table.with_name("damaged.csv")
    path.write_text("\n".join(lines), encoding="utf-8")
    options = dict(csv=path, max_size=40, keep_going=True)
    for processes in (1, 3):
        make(tmp_path / f"{processes}", num_processes=processes, **options)
    for name in ("train.bson", "test.bson", "category_names.csv", "rejected.jsonl"):
        one, several = ((tmp_path / folder / name).read_bytes() for folder in ("1", "3"))
        assert one == several
    assert len(rejected(tmp_path / "1")) > 2


def test_grocery_comes_back(tmp_path, grocery_files):
    for split in ("train", "test"):
        make(
            tmp_path / split,
            dump=grocery_files / f"{split}.bson",
            split=split,
            category_names=grocery_files / "category_names.csv",
            num_processes=2,
        )
        found = documents(tmp_path / split / f"{split}.bson")
        assert found == documents(grocery_files / f"{split}.bson")
