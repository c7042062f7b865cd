"""Every decoder against libjpeg-turbo, as Pillow runs it."""

import importlib.util
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cdisc_tfds.bson_file import read_documents
from cdisc_tfds.sample.competition import write_sample
from tests.helpers.accelerator import gpus
from trainer.data.decoder_table import RESOLVED
from trainer.data.decoding import DecoderError, decode_batches, resolve_decoder

pytestmark = pytest.mark.gpu

SIZE = 96
# (mean, largest) difference in levels of 255. nvJPEG computes the cosine transform in its own way
# and may enlarge the colours' planes otherwise, which edges between strong colours show.
SAME, NVJPEG = (0, 0), (1, 80)


@pytest.fixture(scope="module")
def jpegs(tmp_path_factory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, products=32, test_products=1, categories=8, image_size=SIZE)
    return [
        image["picture"]
        for _, _, document in read_documents(folder / "train.bson")
        for image in document["imgs"]
    ]


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False


def decoder_or_skip(name: str) -> str:
    try:
        return resolve_decoder(name)
    except DecoderError as error:
        if _is_installed("nvidia.dali_tf_plugin"):
            raise  # it is there and does not load
        pytest.skip(f"--decoder={name} is not installed: {error}")


@pytest.mark.parametrize("name", RESOLVED)
def test_pixels_are_libjpeg_turbos(jpegs, name, record_property):
    decoder = decoder_or_skip(name)
    batches = tf.data.Dataset.from_tensors((jpegs, tf.range(len(jpegs))))
    pictures, positions, numbers = next(iter(decode_batches(batches, SIZE, len(jpegs), decoder)))
    np.testing.assert_array_equal(positions, range(len(jpegs)))
    np.testing.assert_array_equal(numbers, range(len(jpegs)))
    expected = np.stack([np.asarray(Image.open(io.BytesIO(jpeg))) for jpeg in jpegs])
    difference = np.abs(pictures.numpy().astype(int) - expected)
    mean, largest = NVJPEG if decoder == "dali" and gpus() else SAME
    record_property("mean difference", float(difference.mean()))
    record_property("largest difference", int(difference.max()))
    assert difference.mean() <= mean
    assert difference.max() <= largest
