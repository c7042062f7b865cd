"""DALI against TensorFlow: the same pictures in the same batches, also where files are damaged.

On a machine without a GPU this runs DALI's CPU backend; `pip install -e '.[dali]'` installs it.
"""

import dataclasses
import importlib.util
import io
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cdisc_tfds.records import Product
from tests.helpers.small_data import SIZE, SmallData, make_products, picture, small_config
from trainer.data import decoding
from trainer.data.augmentation_table import AUGMENTATIONS
from trainer.data.decoding import DecoderError, decode_batches, resolve_decoder
from trainer.data.input_pipeline import inference_dataset, train_dataset
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.training import admission
from trainer.training.admission import open_run_folder
from trainer.training.train import train


def _dali_is_installed() -> bool:
    try:
        return importlib.util.find_spec("nvidia.dali_tf_plugin") is not None
    except ModuleNotFoundError:
        return False


needs_dali = pytest.mark.skipif(
    not _dali_is_installed(),
    reason="needs NVIDIA DALI and its TensorFlow plugin (`make dali`)",
)


# Who decodes.


@pytest.fixture
def machine(monkeypatch):
    """Pretends to a GPU and to an installed DALI; returns what was asked of it."""

    def pretend(gpus: int, installed: bool, error: Exception | None = None) -> list[str]:
        calls = []

        class Dali:
            @staticmethod
            def leave_gpu_memory():
                calls.append("leave_gpu_memory")

        def load(name):
            if name != "trainer.data.dali_decoding":
                return importlib.import_module(name)
            if error:
                raise error
            return Dali

        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU"] * gpus)
        monkeypatch.setattr(decoding, "_has_dali", lambda: installed)
        monkeypatch.setattr(decoding, "importlib", types.SimpleNamespace(import_module=load))
        return calls

    return pretend


@pytest.mark.parametrize(
    ("gpus", "installed", "expected"),
    [(0, False, "tf"), (0, True, "tf"), (1, False, "tf"), (1, True, "dali"), (2, True, "dali")],
)
def test_auto_takes_dali_where_it_is_installed_and_a_gpu_is(machine, gpus, installed, expected):
    calls = machine(gpus, installed)
    assert resolve_decoder("auto") == expected
    assert calls == (["leave_gpu_memory"] if expected == "dali" else [])


def test_a_request_is_kept(machine):
    machine(2, True)
    assert resolve_decoder("tf") == "tf"
    machine(0, True)
    assert resolve_decoder("dali") == "dali"


@pytest.mark.parametrize(
    "error",
    [ImportError("No module named 'nvidia'"), tf.errors.NotFoundError(None, None, "no symbol")],
)
def test_dali_that_cannot_be_imported_is_explained(machine, error):
    machine(1, True, error)
    with pytest.raises(
        DecoderError,
        match=r"decoder=dali needs NVIDIA DALI.*Received: .*(nvidia|no symbol).*`make gpu`",
    ):
        resolve_decoder("dali")
    assert resolve_decoder("auto") == "tf"


@pytest.mark.skipif(_dali_is_installed(), reason="DALI is installed")
def test_without_the_package_the_pipeline_says_what_to_do():
    with pytest.raises(DecoderError, match="Received: No module named 'nvidia"):
        decode_batches(tf.data.Dataset.from_tensors(0), SIZE, 8, decoder="dali")


def test_unknown_decoders_are_refused():
    with pytest.raises(DecoderError) as error:
        resolve_decoder("opencv")
    assert str(error.value) == ("`decoder` must be one of auto, tf, dali. Received: 'opencv'.")


def test_pipelines_take_a_resolved_decoder_only():
    """Resolving has an effect on the GPU's memory: it happens once, before the network is built."""
    with pytest.raises(DecoderError, match="is one of tf, dali. Received: 'auto'"):
        decode_batches(tf.data.Dataset.from_tensors(0), SIZE, 8, decoder="auto")


# The same batches.


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = SmallData(tmp_path_factory.mktemp("data"))
    data.add("train", make_products(np.arange(60) % 6, seed=1), shards=5)
    data.add("validation", make_products(np.arange(12) % 6, seed=2, first_id=1000))
    return data


def train_batches(split, data, decoder, **changes):
    arguments = dict(batch_size=8, image_size=SIZE, seed=3, epoch=0) | changes
    arguments["augment"] = AUGMENTATIONS[arguments.get("augment", "none")]
    dataset = train_dataset(
        LabelledSplit(split, LabelMap(data.categories)), decoder=decoder, **arguments
    )
    return [tuple(part.numpy() for part in batch) for batch in dataset]


def inference_batches(split, decoder, **changes):
    arguments = dict(batch_size=8, image_size=SIZE) | changes
    dataset = inference_dataset(split, decoder=decoder, **arguments)
    return [(batch["inputs"].numpy(), batch["product"].numpy()) for batch in dataset]


def assert_equal_batches(ours, expected):
    assert len(ours) == len(expected)
    for batch, expected_batch in zip(ours, expected):
        for part, expected_part in zip(batch, expected_batch, strict=True):
            assert part.dtype == expected_part.dtype
            np.testing.assert_array_equal(part, expected_part)


@needs_dali
@pytest.mark.parametrize("batch_size", [1, 8, 1000])
@pytest.mark.parametrize("augment", ["none", "flip", "flip_shift"])
def test_training_batches_are_tensorflows(data, batch_size, augment):
    split, settings = data.split("train"), dict(batch_size=batch_size, augment=augment)
    expected = train_batches(split, data, "tf", **settings)
    assert_equal_batches(train_batches(split, data, "dali", **settings), expected)


@needs_dali
def test_skipped_steps_leave_the_tail_of_the_epoch(data):
    split = data.split("train")
    whole = train_batches(split, data, "dali", augment="flip_shift")
    for skip in (1, len(whole) - 1, len(whole)):
        tail = train_batches(split, data, "dali", augment="flip_shift", skip_steps=skip)
        assert_equal_batches(tail, whole[skip:])


@needs_dali
@pytest.mark.parametrize("batch_size", [1, 8, 1000])
def test_prediction_batches_are_tensorflows(data, batch_size):
    split = data.split("train")
    expected = inference_batches(split, "tf", batch_size=batch_size)
    assert_equal_batches(inference_batches(split, "dali", batch_size=batch_size), expected)
    wanted = dict(products=np.array([0, 7, 59]))
    assert_equal_batches(
        inference_batches(split, "dali", **wanted), inference_batches(split, "tf", **wanted)
    )
    assert inference_batches(split, "dali", products=np.array([], np.int64)) == []


@needs_dali
@pytest.mark.parametrize("image_size", [11, 16, 40])
def test_photographs_are_equal_and_resized_ones_within_a_level(grocery_files, image_size):
    """Mean difference; single pixels at the edges of reduced pictures differ by more."""
    import bson

    with open(grocery_files / "train.bson", "rb") as file:
        documents = [document for document, _ in zip(bson.decode_file_iter(file), range(60))]
    jpegs = [bytes(entry["picture"]) for document in documents for entry in document["imgs"]]
    batches = tf.data.Dataset.from_tensors((jpegs, tf.range(len(jpegs))))
    for size, most, mean in ((180, 0, 0), (9 * image_size, 16, 0.1)):
        (ours, *_), (expected, *_) = (
            next(iter(decode_batches(batches, size, len(jpegs), decoder=decoder)))
            for decoder in ("dali", "tf")
        )
        difference = np.abs(ours.numpy().astype(int) - expected.numpy())
        assert difference.mean() <= mean and difference.max() <= most


# Pictures that are not as they should be.


def one_product_a_picture(folder, jpegs):
    products = [Product(i, [jpeg], i % 6) for i, jpeg in enumerate(jpegs)]
    return SmallData(folder).add("train", products)


def encode(array, mode="RGB") -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).convert(mode).save(file, "JPEG")
    return file.getvalue()


def odd_pictures() -> list[bytes]:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, [SIZE, SIZE, 3], np.uint8)
    good = [picture(rng, i % 6) for i in range(5)]
    return [
        good[0],
        b"",
        encode(noise, "L"),
        good[1],
        encode(noise, "CMYK"),
        b"GIF89a, or so it says",
        encode(noise)[:-60],  # keeps its upper rows
        good[2],
        good[3][:30],
        good[4] + b"\0\0",
    ]


@needs_dali
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_odd_pictures_are_tensorflows_and_cost_no_other(data, tmp_path, batch_size, capfd):
    split = one_product_a_picture(tmp_path, odd_pictures())
    for augment in ("none", "flip_shift"):
        settings = dict(batch_size=batch_size, augment=augment)
        ours = train_batches(split, data, "dali", **settings)
        assert_equal_batches(ours, train_batches(split, data, "tf", **settings))
    capfd.readouterr()
    ours = inference_batches(split, "dali", batch_size=batch_size)
    assert_equal_batches(ours, inference_batches(split, "tf", batch_size=batch_size))
    assert np.concatenate([products for _, products in ours]).tolist() == [0, 2, 3, 4, 6, 7, 9]
    assert "picture(s) of a batch cannot be decoded. They are left out" in capfd.readouterr().err


@needs_dali
def test_damaged_files_never_stop_training(data, tmp_path):
    """Headers are where damage makes DALI refuse a file, and a batch with it."""
    rng = np.random.default_rng(5)
    jpegs = []
    for i in range(300):
        jpeg = bytearray(picture(rng, i % 6))
        for place in rng.integers(0, len(jpeg), rng.integers(1, 6)):
            jpeg[place] ^= 1 << rng.integers(8)
        # A claim of millions of pixels is the builder's to refuse (`cdisc_tfds.jpeg`).
        size = jpeg.find(b"\xff\xc0") + 5
        jpeg[size] = jpeg[size + 2] = 0
        jpegs.append(bytes(jpeg))
    split = one_product_a_picture(tmp_path, jpegs)
    batches = train_batches(split, data, "dali", batch_size=16)
    assert sum(len(labels) for _, labels in batches) == 300
    whole = [pictures for pictures, _ in train_batches(split, data, "tf", batch_size=16)]
    # DALI shows what TensorFlow gives up on in some; where both decode, pixels are equal.
    same = [
        np.array_equal(ours, theirs)
        for (batch, _), expected in zip(batches, whole)
        for ours, theirs in zip(batch, expected)
    ]
    assert np.mean(same) > 0.9


@needs_dali
def test_a_run_is_the_same_with_either(data, tmp_path):
    runs = [
        train(small_config(decoder=decoder, augment="flip"), tmp_path / decoder, data)
        for decoder in ("tf", "dali")
    ]
    histories = [
        {
            name: getattr(row, name)
            for name in ("loss", "accuracy", "val_loss", "val_product_accuracy")
        }
        for row in (run.history[0] for run in runs)
    ]
    assert histories[0] == histories[1]
    assert [run.config.decoder for run in runs] == ["tf", "dali"]


# A run to be continued.


def test_a_run_keeps_its_decoder_and_says_when_it_is_told_to_change(data, tmp_path, monkeypatch):
    messages = []
    monkeypatch.setattr(
        admission.logging, "warning", lambda text, *args: messages.append(text % args)
    )
    monkeypatch.setattr(
        admission, "resolve_decoder", lambda name: "dali" if name == "auto" else name
    )
    config = small_config(epochs=1)
    for requested, expected in (("auto", "dali"), ("auto", "dali"), ("tf", "tf"), ("auto", "tf")):
        asked = dataclasses.replace(config, decoder=requested)
        assert open_run_folder(asked, tmp_path / "run", data).config.decoder == expected
    assert [message.split(":")[0] for message in messages] == [
        "--decoder=tf goes on where dali decoded so far"
    ]
