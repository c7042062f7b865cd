"""The generated competition: the real files' formats, hierarchy, skew and learnable pictures."""

import csv
import hashlib
import io
import random

import bson
import numpy as np
import pytest
from PIL import Image

from cdisc_tfds.categories import Categories
from cdisc_tfds.sample import __main__ as command
from cdisc_tfds.sample import competition as sample
from cdisc_tfds.sample.appearance import Appearance
from cdisc_tfds.sample.colours import TONES
from cdisc_tfds.sample.patterns import PATTERNS
from cdisc_tfds.sample.pictures import draw_jpeg
from cdisc_tfds.sample.shapes import SHAPES

SIZES = {"products": 120, "test_products": 40, "categories": 12, "seed": 3, "image_size": 32}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("sample")
    sample.write_sample(path, **SIZES)
    return path


@pytest.fixture(scope="module")
def train(folder):
    return bson.decode_all((folder / "train.bson").read_bytes())


@pytest.fixture(scope="module")
def test(folder):
    return bson.decode_all((folder / "test.bson").read_bytes())


def read_csv(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_writes_the_five_files_and_nothing_else(folder):
    assert sorted(p.name for p in folder.iterdir()) == sorted(sample.FILES)


def test_documents_have_the_real_layout(train, test):
    assert len(train) == 120
    assert len(test) == 40
    assert {tuple(d) for d in train} == {("_id", "imgs", "category_id")}
    assert {tuple(d) for d in test} == {("_id", "imgs")}
    for document in train + test:
        assert type(document["_id"]) is int  # Int64 is a class of its own.
        assert 1 <= len(document["imgs"]) <= 4
        for image in document["imgs"]:
            assert list(image) == ["picture"]
            picture = Image.open(io.BytesIO(image["picture"]))
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (32, 32))


def test_ids_are_int32_in_the_file(folder):
    # int32 length of the document, type 0x10 (int32; int64 is 0x12), name, value.
    assert (folder / "train.bson").read_bytes()[4:9] == b"\x10_id\x00"


def test_ids_ascend_with_gaps_and_test_ids_lie_between_train_ids(train, test):
    train_ids = [d["_id"] for d in train]
    test_ids = [d["_id"] for d in test]
    assert train_ids == sorted(set(train_ids))
    assert test_ids == sorted(set(test_ids))
    assert not set(train_ids) & set(test_ids)
    assert max(train_ids) > 160  # 160 products without gaps end at 159.
    assert train_ids[0] < test_ids[len(test_ids) // 2] < train_ids[-1]


def test_category_file_has_three_levels_and_ids_in_no_order(folder, train):
    categories = Categories.from_csv(folder / "category_names.csv")
    assert categories.num_categories == 12
    assert len(categories.level1_names) == 2
    assert len(categories.level2_names) == 6
    ids = categories.category_ids.tolist()
    assert ids != sorted(ids)
    assert {d["category_id"] for d in train} == set(ids)


def test_one_level2_name_stands_under_two_level1_names():
    table = sample._make_categories(sample.MAX_CATEGORIES, random.Random(0))
    parents = {c.names[0] for c in table if c.names[1] == "ACCESSOIRES"}
    assert parents == {"CHAUSSURES - ACCESSOIRES", "TELEPHONIE - GPS"}
    assert len({c.names for c in table}) == sample.MAX_CATEGORIES
    assert len({(c.shape, c.pattern, c.tone) for c in table}) == sample.MAX_CATEGORIES
    assert {c.shape for c in table} == set(SHAPES)


def test_categories_are_quoted_only_where_they_must_be(tmp_path):
    table = sample._make_categories(62, random.Random(0))
    path = tmp_path / "names.csv"
    with open(path, "wb") as file:
        sample._write_csv(file, ("id", "a", "b", "c"), [(c.category_id, *c.names) for c in table])
    quoted = [line for line in path.read_text().split("\n") if '"' in line]
    assert quoted
    assert all('"BOUTEILLE, CARAFE' in line for line in quoted)


def test_solution_and_submission_follow_the_test_file(folder, test):
    solution = read_csv(folder / "solution.csv")
    submission = read_csv(folder / "sample_submission.csv")
    ids = [str(d["_id"]) for d in test]
    assert solution[0] == submission[0] == ["_id", "category_id"]
    assert [row[0] for row in solution[1:]] == [row[0] for row in submission[1:]] == ids
    assert len({row[1] for row in submission[1:]}) == 1
    known = {row[0] for row in read_csv(folder / "category_names.csv")[1:]}
    assert {row[1] for row in solution[1:]} <= known


def make_plan(products=20_000, categories=48, seed=0):
    rng = random.Random(seed)
    table = sample._make_categories(categories, rng)
    return table, sample._make_products(table, products, products // 4, rng)


def test_picture_counts_have_the_real_proportions():
    _, plan = make_plan()
    shares = np.bincount([p.num_pictures for p in plan], minlength=5)[1:] / len(plan)
    real = np.array(sample.PICTURES_PER_PRODUCT) / 7_069_896
    np.testing.assert_allclose(shares, real, atol=0.012)  # 4 standard deviations


def test_class_sizes_are_skewed_and_none_is_missing():
    table, plan = make_plan(products=3000)
    sizes = {c.category_id: 0 for c in table}
    for product in plan:
        if not product.in_test:
            sizes[product.category.category_id] += 1
    ordered = sorted(sizes.values())
    assert ordered[0] >= sample.MIN_TRAIN_PRODUCTS
    assert ordered[-1] > 8 * np.median(ordered)
    assert sum(ordered) == 3000


def test_smallest_sample_has_two_train_products_of_each_category():
    _, plan = make_plan(products=96)
    train = [p.category.category_id for p in plan if not p.in_test]
    assert sorted(np.unique(train, return_counts=True)[1]) == [2] * 48


def test_position_correlates_with_category():
    """Neighbours share a category more often than by chance: a head is no fair sample."""
    _, plan = make_plan()
    labels = np.array([p.category.category_id for p in plan])
    shuffled = np.random.default_rng(0).permutation(labels)
    together = np.mean(labels[1:] == labels[:-1])
    by_chance = np.mean(shuffled[1:] == shuffled[:-1])
    assert together > 1.5 * by_chance
    head = labels[: len(labels) // 20]
    assert len(set(head)) < 48


def test_some_products_show_the_pictures_of_another_of_their_category():
    _, plan = make_plan()
    first = {}
    repeats = 0
    for product in plan:
        other = first.setdefault(product.look, product)
        repeats += other is not product
        assert other.category == product.category
    assert abs(repeats / len(plan) - sample.SAME_PICTURES) < 0.01


def digest(folder):
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sample.FILES}


def test_same_seed_gives_the_same_files(folder, tmp_path):
    sample.write_sample(tmp_path / "again", **SIZES)
    assert digest(tmp_path / "again") == digest(folder)
    sample.write_sample(tmp_path / "other", **{**SIZES, "seed": 4})
    assert not set(digest(tmp_path / "other").items()) & set(digest(folder).items())


def test_files_do_not_depend_on_the_number_of_processes(folder, tmp_path):
    sample.write_sample(tmp_path, **SIZES, processes=2)
    assert digest(tmp_path) == digest(folder)


def test_plan_of_a_seed_never_changes():
    """Golden: figures in the documentation stay comparable between releases."""
    _, plan = make_plan(products=100, categories=12, seed=0)
    text = repr([(p.product_id, p.category.names[2], p.in_test, p.num_pictures) for p in plan])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "c26b178517f96ad1"


@pytest.mark.parametrize(
    ("shape", "pattern"),
    [(shape, PATTERNS[i % len(PATTERNS)]) for i, shape in enumerate(SHAPES)]
    + [("cushion", pattern) for pattern in PATTERNS],
)
def test_every_shape_and_pattern_is_drawn(shape, pattern):
    rng = random.Random(shape)
    appearance = Appearance.of_product(shape, pattern, "red", rng)
    picture = np.asarray(Image.open(io.BytesIO(draw_jpeg(appearance, 0, random.Random(1), 64))))
    covered = np.mean(np.abs(picture.astype(int) - 255).max(-1) > 40)
    assert 0.05 < covered < 0.9


def test_pictures_are_as_large_as_real_ones():
    rng = random.Random(0)
    sizes = []
    for shape in SHAPES:
        for tone in TONES:
            appearance = Appearance.of_product(shape, rng.choice(PATTERNS), tone, rng)
            sizes.append(len(draw_jpeg(appearance, 0, rng, 180)))
    assert 3000 < np.mean(sizes) < 6500


def test_unknown_pattern_names_the_patterns():
    appearance = Appearance.of_product("mug", "tartan", "red", random.Random(0))
    with pytest.raises(ValueError, match="A pattern is one of plain, stripes, .* 'tartan'"):
        draw_jpeg(appearance, 0, random.Random(0), 32)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"categories": 0}, "categories must be from 1 to 1488. Received: 0."),
        ({"categories": 1489}, "categories must be from 1 to 1488. Received: 1489."),
        (
            {"products": 95, "categories": 48},
            "products must be at least 2 for each category, that is 96 for 48 categories. "
            "Received: 95. Ask for more products or for fewer categories.",
        ),
        ({"test_products": 0}, "test_products must be at least 1. Received: 0."),
    ],
)
def test_impossible_sizes_are_refused(tmp_path, sizes, message):
    with pytest.raises(ValueError) as error:
        sample.write_sample(tmp_path / "new", **sizes)
    assert str(error.value) == message
    assert not (tmp_path / "new").exists()


def test_existing_files_are_never_overwritten(tmp_path):
    (tmp_path / "train.bson").write_bytes(b"58 GB from Kaggle")
    with pytest.raises(FileExistsError, match="already has train.bson. Choose another"):
        sample.write_sample(tmp_path, **SIZES)
    assert (tmp_path / "train.bson").read_bytes() == b"58 GB from Kaggle"


def test_interrupted_run_leaves_no_file(tmp_path):
    def interrupt(done, total):
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample.write_sample(tmp_path, **SIZES, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_command(tmp_path, capsys):
    out = str(tmp_path / "new")
    argv = [f"--output_dir={out}", "--products=6", "--test_products=2", "--categories=3"]
    command.main(argv)
    printed = capsys.readouterr()
    assert f"{out}: 6 train products" in printed.out
    assert "2 test products" in printed.out
    assert printed.err == ""  # No progress line where there is no terminal.
    with pytest.raises(SystemExit, match="error: The sample is never written over other files"):
        command.main(argv)
