"""Features of products, from the network by hand to the files of the command."""

import csv
import json

import numpy as np
import pyarrow.parquet
import pytest
import tensorflow as tf

from cdisc_tfds.records import Product
from tests.helpers.fused_runs import config_of, write_members
from tests.helpers.html_checks import assert_well_formed
from tests.helpers.network_runs import write_network_run
from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer import embed as command
from trainer.data.tf_decoding import decode_jpeg
from trainer.models.networks import build_model, split_at_features
from trainer.prediction.embedding_options import EmbeddingOptions
from trainer.prediction.loading import load_network
from trainer.prediction.made_embeddings import make_embeddings
from trainer.prediction.neighbours import NeighbourError
from trainer.prediction.product_embeddings import EmbeddingError, unit
from trainer.runs.embedding_file import EmbeddingFileError, Embeddings, check_output
from trainer.runs.embedding_origin import EmbeddingFile
from trainer.terminal.option import OptionError
from trainer.training.train import train

DAMAGED = b"\xff\xd8\xff no picture"


@pytest.fixture
def data(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    data = SmallData(tmp_path / "data")
    products = make_products([0, 1, 2, 3, 4, 5] * 2)
    products[3] = products[3]._replace(images=[DAMAGED])
    products[5] = products[5]._replace(images=[DAMAGED, *products[5].images])
    products[7] = products[7]._replace(images=list(products[1].images), category=4)  # a copy of 1
    products[8] = products[8]._replace(images=list(products[2].images), category=-1)
    data.add("train", products)
    data.add("validation", make_products([0, 1], seed=1, first_id=500))
    data.products = products
    monkeypatch.setattr("trainer.prediction.made_embeddings.open_dataset", lambda data_dir: data)
    return data


def _by_hand(run, products: list[Product], flip=False):
    """The features of products with a picture."""
    base, _ = split_at_features(load_network(run))
    rows = []
    for product in products:
        jpegs = [jpeg for jpeg in product.images if jpeg != DAMAGED]
        if not jpegs:
            continue
        pixels = tf.stack([decode_jpeg(jpeg, SIZE) for jpeg in jpegs])
        features = base(pixels).numpy()
        if flip:
            features = (features + base(pixels[:, :, ::-1]).numpy()) / 2
        rows.append(unit(features).mean(axis=0, keepdims=True))
    return unit(np.concatenate(rows))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("batch_size", [2, 100])
def test_features_are_those_of_the_network_by_hand(data, tmp_path, flip, batch_size):
    (run,) = write_members(tmp_path, data, 1)
    found = make_embeddings(
        run.path, "train", EmbeddingOptions(flip=flip, batch_size=batch_size)
    ).embeddings
    whole = [product for product in data.products if product.images != [DAMAGED]]
    assert found.product_id.tolist() == [product.product_id for product in whole]
    ids = [*data.categories.category_ids, -1]
    assert found.category_id.tolist() == [ids[product.category] for product in whole]
    expected = [sum(image != DAMAGED for image in product.images) for product in whole]
    assert found.num_pictures.tolist() == expected
    assert found.features.dtype == np.float16
    np.testing.assert_allclose(
        found.features, _by_hand(run, data.products, flip), rtol=2e-3, atol=1e-6
    )
    assert found.neighbour_id is None


def test_a_fused_run_has_the_features_of_its_members_side_by_side(data, tmp_path):
    members = write_members(tmp_path, data)
    train(config_of(tmp_path / "fused", members, data), tmp_path / "fused", data)
    made = make_embeddings(tmp_path / "fused", "validation", EmbeddingOptions())
    parts = [_by_hand(run, [product]) for run in members for product in data_validation()]
    half = len(parts) // 2
    expected = np.concatenate([np.concatenate(parts[:half]), np.concatenate(parts[half:])], axis=1)
    # Not exactly: the mean over pictures was scaled as a whole, not each part by itself.
    cosines = (unit(expected) * made.embeddings.features).sum(axis=1)
    np.testing.assert_allclose(cosines, 1, atol=1e-3)
    assert [row["run"] for row in made.origin.runs] == ["member0", "member1"]


def data_validation():
    return make_products([0, 1], seed=1, first_id=500)


def test_runs_without_features_of_products(data, tmp_path):
    run = write_network_run(tmp_path / "run", data)
    (run.path / "two_stage.json").write_text("{}")
    with pytest.raises(EmbeddingError, match="a run of two stages.*--run_dir=.*run/level1"):
        make_embeddings(run.path, "train", EmbeddingOptions())
    (run.path / "two_stage.json").unlink()
    data.add("empty", [Product(1, [DAMAGED])])
    with pytest.raises(EmbeddingError, match="readable picture. The split 'empty' has none"):
        make_embeddings(run.path, "empty", EmbeddingOptions())


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_the_command_writes_features_neighbours_and_near_duplicates(data, tmp_path, capsys, kind):
    run = write_network_run(tmp_path / "run", data)
    output = tmp_path / f"f.{kind}"
    command.main(
        command.Options(
            run_dir=str(run.path), output=str(output), neighbours=3, duplicates=0.999, shown=1
        )
    )
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"{output}: 11 products of train, {SIZE * SIZE * 3} features each."
    assert out[1] == "1 products have no readable picture, and so no features."
    found = Embeddings.read(output)
    first, second = (data.products[place].product_id for place in (1, 7))
    row = found.product_id.tolist().index(first)
    assert found.neighbour_id.shape == (11, 3) and found.neighbour_id[row, 0] == second
    assert found.similarity[row, 0] == pytest.approx(1, abs=2e-3)
    assert (np.diff(found.similarity, axis=1) <= 0).all()
    with open(f"{output}.duplicates.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    ids = data.categories.category_ids
    pairs = [(row["same_category"], row["product_id"], row["other_product_id"]) for row in rows]
    assert pairs[:2] == [
        ("false", str(data.products[one].product_id), str(data.products[other].product_id))
        for one, other in sorted(
            [(1, 7), (2, 8)], key=lambda pair: -_similarity(found, *pair, data)
        )
    ]
    assert {row["category_id"] for row in rows[:2]} == {str(ids[1]), str(ids[2])}
    assert {row["other_category_id"] for row in rows[:2]} == {str(ids[4]), "-1"}
    page = (tmp_path / f"f.{kind}.duplicates.html").read_text()
    assert_well_formed(page)
    assert page.count('class="card wrong"') == 1 and "2 in different categories" in page
    made_from = json.loads((tmp_path / f"f.{kind}.made_from.json").read_text())
    assert (made_from["split"], made_from["search"]) == ("train", "exact")
    assert made_from["runs"][0]["sha256"] == run.state.best.sha256


def _similarity(found, one, other, data):
    places = [found.product_id.tolist().index(data.products[p].product_id) for p in (one, other)]
    row = found.neighbour_id[places[0]].tolist()
    return found.similarity[places[0], row.index(found.product_id[places[1]])]


def test_parquet_has_lists_of_a_fixed_size(data, tmp_path):
    run = write_network_run(tmp_path / "run", data)
    made = make_embeddings(run.path, "train", EmbeddingOptions(neighbours=2))
    made.write(tmp_path / "f.parquet")
    schema = pyarrow.parquet.read_schema(tmp_path / "f.parquet")
    assert str(schema.field("features").type).startswith("fixed_size_list<element: halffloat")
    made.write(tmp_path / "f.npz")
    one, other = (Embeddings.read(tmp_path / f"f.{kind}") for kind in ("npz", "parquet"))
    for name, value in one.columns().items():
        assert np.array_equal(value, other.columns()[name]), name
        assert value.dtype == other.columns()[name].dtype


def test_files_that_are_no_features(tmp_path):
    for name in ("f.npz", "f.parquet"):
        with pytest.raises(EmbeddingFileError, match="trainer.embed` wrote. .*cannot be read"):
            Embeddings.read(tmp_path / name)
        (tmp_path / name).write_bytes(b"PK\x03\x04 nothing")
        with pytest.raises(EmbeddingFileError, match="trainer.embed` wrote. .*cannot be read"):
            Embeddings.read(tmp_path / name)
    for name, message in (("f.csv", "end in .npz or .parquet"), ("x/f.npz", "an existing folder")):
        with pytest.raises(EmbeddingFileError, match=message):
            check_output(tmp_path / name)


def test_duplicates_need_neighbours():
    with pytest.raises(OptionError, match="among neighbours. Name their number"):
        command.main(command.Options(run_dir="x", output="f.npz", duplicates=0.9))


def test_neighbours_among_another_split(data, tmp_path, capsys):
    run = write_network_run(tmp_path / "run", data)
    # The first product of `validation` has the pictures of one of `train`.
    copied = data.products[4]
    products = data_validation()
    products[0] = products[0]._replace(images=list(copied.images), category=-1)
    data.add("validation", products)
    whole = make_embeddings(run.path, "train", EmbeddingOptions())
    whole.write(tmp_path / "train.npz")
    found = {}
    for number, among in enumerate(("train", str(tmp_path / "train.npz"))):
        output = tmp_path / f"f{number}.npz"
        options = command.Options(
            run_dir=str(run.path),
            output=str(output),
            split="validation",
            neighbours=11,
            among=among,
            duplicates=0.9999,
        )
        command.main(options)
        assert "Neighbours are among 11 products of train." in capsys.readouterr().out
        found[number] = Embeddings.read(output)
        with open(f"{output}.duplicates.csv", newline="") as file:
            first, *_ = csv.DictReader(file)
        assert int(first["product_id"]) == products[0].product_id
        assert int(first["other_product_id"]) == copied.product_id
        origin = EmbeddingFile.open(output).origin
        assert (origin.split, origin.among["split"]) == ("validation", "train")
        assert (origin.among["file_sha256"] is None) == (number == 0)
    for name, value in found[0].columns().items():
        np.testing.assert_array_equal(value, found[1].columns()[name])
    assert found[0].product_id.tolist() == [product.product_id for product in products]
    rows = found[0].features.astype(np.float32) @ whole.embeddings.features.astype(np.float32).T
    order = np.argsort(-rows, axis=1, kind="stable")
    np.testing.assert_array_equal(found[0].neighbour_id, whole.embeddings.product_id[order])


def test_a_product_of_both_splits_is_not_its_own_neighbour(data, tmp_path):
    run = write_network_run(tmp_path / "run", data)
    options = EmbeddingOptions(neighbours=10, among="train+validation")
    found = make_embeddings(run.path, "train", options).embeddings
    assert not (found.neighbour_id == found.product_id[:, None]).any()


def test_what_neighbours_cannot_be_among(data, tmp_path):
    run = write_network_run(tmp_path / "run", data)
    file = tmp_path / "f.npz"
    make_embeddings(run.path, "train", EmbeddingOptions()).write(file)

    def made(path=run.path, **options):
        values = {"neighbours": 1, "among": str(file)} | options
        return make_embeddings(path, "validation", EmbeddingOptions(**values))

    with pytest.raises(OptionError, match="--among says where neighbours.*such as --neighbours=10"):
        made(neighbours=0)
    with pytest.raises(EmbeddingFileError, match="without --flip; here they are made with --flip"):
        made(flip=True)
    with pytest.raises(NeighbourError, match="--neighbours must be from 1 to 12 for 12 products"):
        made(neighbours=13)
    other = write_network_run(
        tmp_path / "other", data, best=build_model("logistic", 6, image_size=SIZE, seed=9)
    )
    with pytest.raises(EmbeddingFileError, match="of run .weights .*; here are other .weights"):
        made(other.path)
    content = file.read_bytes()
    make_embeddings(run.path, "validation", EmbeddingOptions()).embeddings.write(file)
    with pytest.raises(EmbeddingFileError, match="SHA-256 is another than it says"):
        made()
    file.write_bytes(content)
    data.add("train", data_validation())
    with pytest.raises(EmbeddingFileError, match="train has other products: it is another data"):
        made()
