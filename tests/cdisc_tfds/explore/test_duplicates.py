"""Equal pictures, by hand and against a plain search."""

import collections
import csv

import numpy as np

from cdisc_tfds.explore.disputed_file import HEADER, write_disputed
from cdisc_tfds.explore.duplicates import find_repeats
from cdisc_tfds.explore.scan import ScannedSplit, scan
from cdisc_tfds.product_index import ProductIndex
from cdisc_tfds.records import image_hash
from tests.conftest import jpeg


def split_of(name, products):
    """A split whose products are (category, hashes of the pictures)."""
    index = ProductIndex(
        np.arange(len(products)) + 100,
        np.array([len(hashes) for _, hashes in products], int),
        np.array([category for category, _ in products], int),
    )
    hashes = np.array([number for _, own in products for number in own], np.int64)
    none = np.zeros((0, 3), np.int32)
    read = np.ones(1, bool)
    return ScannedSplit(name, index, (), read, index.product_id, hashes, len(hashes), 0, none)


def test_by_hand(data):
    splits = scan(data, on_start=lambda total: lambda number: None)
    assert [split.name for split in splits] == ["train", "test"]
    repeats = find_repeats(splits)
    assert (repeats.num_pictures, repeats.num_distinct, repeats.num_groups) == (12, 7, 2)
    placeholder, other = repeats.most_frequent
    assert repeats.hashes[placeholder] == image_hash(jpeg(0))
    assert repeats.hashes[other] == image_hash(jpeg(3))
    assert (repeats.pictures[placeholder], repeats.products[placeholder]) == (5, 4)
    assert (repeats.pictures[other], repeats.products[other]) == (2, 2)
    assert repeats.categories(placeholder) == [(0, 2), (1, 1)]
    assert repeats.categories(other) == [(2, 2)]
    assert repeats.disputed.tolist() == [placeholder]
    assert repeats.num_products(repeats.disputed) == 4
    assert repeats.num_products(repeats.most_frequent) == 6
    assert repeats.shared_with(0, 1) == (1, 1)
    assert repeats.shared_with(1, 0) == (4, 3)


def test_against_a_plain_search():
    rng = np.random.default_rng(0)
    splits = [
        split_of(
            name,
            [
                (int(rng.integers(low, 4)), rng.integers(-6, 7, rng.integers(0, 4)).tolist())
                for _ in range(30)
            ],
        )
        for name, low in (("train", 0), ("empty", 0), ("test", -1))
    ]
    splits[1] = split_of("empty", [])
    repeats = find_repeats(splits)
    found = collections.defaultdict(list)
    for number, split in enumerate(splits):
        rows = np.repeat(np.arange(len(split.index)), split.index.num_pictures)
        starts = np.cumsum(split.index.num_pictures) - split.index.num_pictures
        for place, (row, picture) in enumerate(zip(rows, split.hashes)):
            found[int(picture)].append((number, row, place - starts[row]))
    repeated = {picture: places for picture, places in found.items() if len(places) > 1}
    assert repeats.num_distinct == len(found)
    assert repeats.hashes.tolist() == sorted(repeated)
    for group, picture in enumerate(sorted(repeated)):
        members = repeats.members(group)
        places = list(zip(repeats.split[members], repeats.row[members], repeats.position[members]))
        assert places == repeated[picture]
        products = {place[:2] for place in repeated[picture]}
        labels = collections.Counter(
            int(splits[number].index.category[row]) for number, row in products
        )
        labels.pop(-1, None)
        assert dict(repeats.categories(group)) == dict(labels)
        assert repeats.num_categories[group] == len(labels)
        assert repeats.products[group] == len(products)


def test_no_pictures_and_no_repeats():
    for products in ([], [(0, [])], [(0, [1]), (1, [2])]):
        repeats = find_repeats([split_of("train", products)])
        assert repeats.num_groups == 0
        assert repeats.num_distinct == repeats.num_pictures == sum(len(p) for _, p in products)
        assert len(repeats.disputed) == len(repeats.most_frequent) == 0


def test_disputed_pictures_as_csv(tmp_path, data):
    splits = scan(data, on_start=lambda total: lambda number: None)
    write_disputed(tmp_path / "x.csv", find_repeats(splits), splits, data.categories)
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == HEADER
    counts = [str(image_hash(jpeg(0))), "4", "2", "train"]
    names = ['<b>A & "B"</b>', "x > y"]
    assert sorted(rows) == [
        [*counts, "1", "7", *names, "日本語 😀"],
        [*counts, "2", "8", *names, "{0} {} %s"],
        [*counts, "3", "7", *names, "日本語 😀"],
    ]
