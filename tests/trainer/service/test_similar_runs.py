"""Similar products with fused runs, with several, by a graph; files that do not fit the runs."""

import importlib.util
import itertools
import pathlib
import re
import shlex

import numpy as np
import pytest

from tests.helpers.fused_runs import config_of, write_members
from tests.helpers.network_runs import write_network_run
from tests.helpers.running_service import running_service
from tests.helpers.similar_products import small_similar
from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer import embed, serve
from trainer.data.tf_decoding import decode_jpeg
from trainer.models.networks import build_model
from trainer.prediction.embedding_options import EmbeddingOptions
from trainer.prediction.featured_runs import featured_runs
from trainer.prediction.loaded_runs import load_runs
from trainer.prediction.made_embeddings import make_embeddings
from trainer.prediction.options import NetworkOptions
from trainer.prediction.run_selection import RunSelection
from trainer.runs.embedding_file import EmbeddingFileError, Embeddings
from trainer.runs.embedding_origin import EmbeddingFile, EmbeddingOrigin, FeatureRun
from trainer.terminal.command_line import parse
from trainer.terminal.option import OptionError
from trainer.training.train import train

PART = "train[:25%]"
SMALL = 12
RUNS = {"plain": ("plain",), "fused": ("fused",), "several": ("small", "fused")}
USEARCH = pytest.mark.skipif(
    not importlib.util.find_spec("usearch"), reason="needs the extra `neighbours`"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """(data, products of PART, a folder whose name has a space): in it the runs of RUNS."""
    folder = tmp_path_factory.mktemp("similar") / "my runs"
    folder.mkdir()
    data = SmallData(folder)
    data.add("train", make_products(np.arange(12) % 6))
    data.add("validation", make_products(np.arange(6), seed=1, first_id=500))
    products = make_products(np.arange(7) % 6, seed=2, first_id=900)
    data.add(PART, products)
    for name, size in (("plain", SIZE), ("small", SMALL)):
        network = build_model("logistic", 6, image_size=size, seed=size)
        write_network_run(folder / name, data, best=network, image_size=size, epochs=2)
    members = write_members(folder, data)
    train(config_of(folder / "fused", members, data, epochs=1), folder / "fused", data)
    return data, products, folder


@pytest.fixture
def opened(world, monkeypatch):
    """Commands find the small data set, and start beside the folder of runs."""
    for name in ("trainer.prediction.made_embeddings", "trainer.service.similar"):
        monkeypatch.setattr(f"{name}.open_dataset", lambda data_dir: world[0])
    monkeypatch.chdir(world[2].parent)


def loaded(folder, names, **options):
    paths = [str(folder / name) for name in names]
    chosen = RunSelection(run_dir=paths[0])
    if len(paths) > 1:
        chosen = RunSelection(run_dirs=",".join(paths))
    return load_runs(chosen, NetworkOptions(**options), "arithmetic")


def named(folder, names):
    return [FeatureRun(str(folder / name)) for name in names]


@pytest.fixture(scope="module")
def written(world):
    """By run and flip, the file that `trainer.embed` writes of PART."""
    data, _, folder = world
    files = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.prediction.made_embeddings.open_dataset", lambda data_dir: data)
        for name, flip in itertools.product(("plain", "fused"), (False, True)):
            files[name, flip] = folder / f"{name}-{flip}.npz"
            options = EmbeddingOptions(flip=flip, batch_size=4)
            make_embeddings(folder / name, PART, options).write(files[name, flip])
    return files


@pytest.mark.parametrize(
    ("kind", "served_flip", "flip"),
    [
        ("plain", False, True),
        ("plain", True, False),
        ("fused", False, False),
        ("fused", False, True),
        ("fused", True, True),
        ("several", False, True),
    ],
)
def test_features_are_those_that_embed_writes(world, written, kind, served_flip, flip):
    _, products, folder = world
    names = RUNS[kind]
    runs = loaded(folder, names, flip=served_flip)
    file = EmbeddingFile.open(written[names[-1], flip])
    featured = featured_runs(runs, file, named(folder, names))
    assert featured.place == len(names) - 1
    pictures = {
        size: np.stack([decode_jpeg(jpeg, size) for one in products for jpeg in one.images])
        for size in runs.image_sizes
    }
    ordinals = np.repeat(np.arange(len(products)), [len(one.images) for one in products])
    batch, features = featured.predict(pictures, ordinals)
    np.testing.assert_allclose(features, Embeddings.read(file.path).features, atol=1e-4)
    others = Embeddings.read(written[names[-1], not flip]).features
    assert not np.allclose(features, others, atol=1e-4)  # so that the test can fail
    expected = runs.predict(pictures, ordinals)
    np.testing.assert_allclose(batch.probabilities, expected.probabilities, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "search"),
    [
        ("fused", "exact"),
        ("several", "exact"),
        pytest.param("plain", "approximate", marks=USEARCH),
    ],
)
def test_a_service_finds_a_product_from_training(world, tmp_path, capsys, kind, search):
    data, products, folder = world
    runs = loaded(folder, RUNS[kind])
    run_dirs = [folder / name for name in RUNS[kind]]
    output = tmp_path / "f.npz"
    similar = small_similar(runs, run_dirs, data, PART, output, search=search)
    told = "Built the graph of 7 products" in capsys.readouterr().err
    assert told == (search == "approximate")
    with running_service(runs, similar) as client:
        for product in products:
            files = [(f"{number}.jpg", jpeg) for number, jpeg in enumerate(product.images)]
            (row,) = client.classify(*files).json["products"]
            assert len(row["similar"]) == 3
            first = row["similar"][0]
            assert first["product_id"] == product.product_id
            assert first["similarity"] == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize(
    ("flags", "run", "words"),
    [
        ({"run_dir": "my runs/fused"}, "my runs/fused", []),
        ({"run_dirs": "my runs/fused,my runs/small"}, "my runs/fused", []),
        (
            {"run_dir": "my runs/small", "checkpoint": "last", "data_dir": "my data"},
            "my runs/small",
            ["--checkpoint=last", "--data_dir=my data"],
        ),
    ],
)
def test_the_command_in_a_refusal_works(world, opened, tmp_path, flags, run, words):
    file = tmp_path / "a file.npz"
    made = make_embeddings("my runs/plain", PART, EmbeddingOptions(flip=True))
    made.write(file)
    options = serve.Options(port=0, similar=str(file), **flags)
    with pytest.raises(EmbeddingFileError, match="has those of plain .weights .*; here are") as one:
        serve.main(options)
    (command,) = re.findall("with `(.*)`[.]$", str(one.value))
    assert "'--split=train[:25%]'" in command  # a shell would look for files of such names
    python, module, *pasted = shlex.split(command)
    expected = [f"--run_dir={run}", f"--split={PART}", f"--output={file}", *words, "--flip"]
    assert [python, module, *pasted] == ["python", "-m", "trainer.embed", *expected]
    _, (values,) = parse(pasted, [embed.Options], "")
    embed.main(values)
    runs = load_runs(options, options, "arithmetic")
    folders = [FeatureRun(folder) for folder in options.folders]
    assert featured_runs(runs, EmbeddingFile.open(file), folders).place == 0


def test_other_products_or_another_file_name_the_command_as_well(world, opened, tmp_path):
    file = tmp_path / "f.npz"
    made = make_embeddings("my runs/plain", PART, EmbeddingOptions())
    made.write(file)
    content = file.read_bytes()
    file.write_bytes(content + b"x")
    options = serve.Options(run_dir="my runs/plain", port=0, similar=str(file))
    again = f"`python -m trainer.embed '--run_dir=my runs/plain' '--split={PART}' --output={file}`."
    with pytest.raises(EmbeddingFileError) as one:
        serve.main(options)
    assert "SHA-256 is another" in str(one.value) and str(one.value).endswith(again)
    origin = EmbeddingOrigin(made.origin.runs, PART, "other", "tf", False)
    origin.write(file, "")
    with pytest.raises(EmbeddingFileError) as one:
        serve.main(options)
    assert "has other products" in str(one.value) and str(one.value).endswith(again)


def test_runs_of_two_stages_have_no_features():
    origin = EmbeddingOrigin(({"run": "a", "sha256": "0" * 64},), PART, "digest", "tf", False)
    file = EmbeddingFile(pathlib.Path("f.npz"), origin, "")
    with pytest.raises(EmbeddingFileError, match="those of a plain or a fused run") as one:
        file.place_of_weights([FeatureRun("runs/a"), FeatureRun("runs/b")], [(), ()])
    assert "Received: runs/a, runs/b." in str(one.value)


@pytest.mark.parametrize(
    "flags", [{"neighbours": 6}, {"search": "auto"}, {"data_dir": "data"}], ids=str
)
def test_flags_about_similar_products_need_a_file_of_them(tmp_path, flags):
    ((name, value),) = flags.items()
    text = f"name it with --similar=FILE. Received: --{name}={value} without --similar. Leave it"
    with pytest.raises(OptionError, match=text):
        serve.main(serve.Options(run_dir=str(tmp_path), port=0, **flags))
