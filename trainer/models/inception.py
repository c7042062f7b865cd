"""InceptionV3's pretrained base: its layers, its weight files, and the part that is trained."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import warnings
from collections.abc import Iterator

import h5py
import keras
import numpy as np

IMAGENET_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
IMAGENET_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/" + IMAGENET_FILE
)
# Keras checks the same value but has no constant for it.
_IMAGENET_MD5 = "bcbd6486424b2319ff4ef7d526e38f63"
_DOWNLOAD_TIMEOUT = 15.0  # seconds without data; urllib would wait forever

# The top two inception blocks begin here, as in keras.io's fine-tuning example: "we will freeze
# the first 249 layers and unfreeze the rest".
_FIRST_TOP_LAYER = 249

# Range of the mean colours of ordinary photographs, by the range that their pixels are scaled to.
_MEAN_COLOURS = {(0.0, 1.0): (0.3, 0.7), (-1.0, 1.0): (-0.4, 0.2)}


class WeightsError(ValueError):
    """A file of pretrained weights is missing or does not fit the network."""


def build_base(image_size: int) -> keras.Model:
    """InceptionV3 without its top: scaled pictures [b, s, s, 3] -> [b, h, w, 2048]."""
    return keras.applications.InceptionV3(
        include_top=False, weights=None, input_shape=(image_size, image_size, 3), name="base"
    )


def weights_path(weights: str) -> pathlib.Path:
    """The file that `--weights` stands for; `imagenet` is downloaded once into Keras's folder.

    Raises:
      WeightsError: if there is no such file, or it cannot be downloaded.
    """
    if weights == "imagenet":
        return _imagenet_path()
    path = pathlib.Path(weights).expanduser()
    if not path.is_file():
        raise WeightsError(
            "`weights` must be imagenet, none, or the path of an existing file (.weights.h5, .h5 "
            f"or .keras). Received: {weights}, which "
            + ("is not a file." if path.exists() else "does not exist.")
        )
    return path


def _imagenet_path() -> pathlib.Path:
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    try:
        with _socket_timeout(_DOWNLOAD_TIMEOUT):
            return pathlib.Path(
                keras.utils.get_file(
                    IMAGENET_FILE,
                    IMAGENET_URL,
                    cache_dir=home,
                    cache_subdir="models",
                    file_hash=_IMAGENET_MD5,
                )
            )
    except Exception as error:  # get_file raises plain `Exception` when a download fails
        raise WeightsError(
            "`weights=imagenet` needs the file "
            f"{os.path.join(home, 'models', IMAGENET_FILE)} (MD5 {_IMAGENET_MD5}), which is not "
            f"there and could not be downloaded ({_reason(error)}). Put it there from a machine "
            f"with network access ({IMAGENET_URL}), or give weights=PATH or weights=none."
        ) from error


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def load_weights(base: keras.Model, path: pathlib.Path) -> None:
    """Loads a file written for `InceptionV3(include_top=False)` into `base`.

    Raises:
      WeightsError: if the file is damaged or belongs to another network.
    """
    try:
        with warnings.catch_warnings():
            # Keras warns about every layer that a foreign file lacks, and then raises.
            warnings.simplefilter("ignore")
            base.load_weights(path)
    except Exception as error:  # h5py, zipfile and Keras raise various errors
        raise _misfit(path, error) from error


def _misfit(path: pathlib.Path, error: Exception) -> WeightsError:
    return WeightsError(
        "`weights` must be a file of weights of keras.applications.InceptionV3("
        f"include_top=False). Received: {path}, which cannot be loaded as that ({_reason(error)})."
    )


def _reason(error: Exception) -> str:
    """An error's first sentence: Keras's messages continue with lists of objects and paths."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(" -- ")[-1].split(". ")[0].rstrip(".")[:200]


def trained_input_range(path: pathlib.Path) -> tuple[float, float] | None:
    """Infers the range of pixel values that a file's network was trained on.

    The first convolution has no bias. So the moving mean of the BatchNorm after it is the mean
    colour of the training pictures times the kernel, summed over its 3x3 positions. Solving for the
    colour tells [0, 1] (photographs average about 0.5) from [-1, 1] (about 0).

    Returns:
      (low, high), or None if the file's layout or the colour does not tell.

    Raises:
      WeightsError: if the file is damaged.
    """
    if not h5py.is_hdf5(path):
        return None
    try:
        with h5py.File(path) as file:
            first_layer = _first_layer(file)
    except OSError as error:
        raise _misfit(path, error) from error
    if first_layer is None:
        return None
    kernel, moving_mean = first_layer
    colour, *_ = np.linalg.lstsq(kernel.sum((0, 1)).T, moving_mean, rcond=None)
    for input_range, (darkest, brightest) in _MEAN_COLOURS.items():
        if darkest <= colour.mean() <= brightest:
            return input_range
    return None


def _first_layer(file: h5py.File) -> tuple[np.ndarray, np.ndarray] | None:
    """Kernel [3, 3, 3, 32] and BatchNorm mean [32] of the first layer, or None if not found.

    Layouts: Keras 3 (`layers/NAME/vars/INDEX`; a BatchNorm without scale has beta, mean, variance)
    and the older one (`LAYER/.../VARIABLE:0`; `layer_names` gives the order of the layers).
    """
    if "layers/conv2d/vars/0" in file and "layers/batch_normalization/vars/1" in file:
        found = [file["layers/conv2d/vars/0"], file["layers/batch_normalization/vars/1"]]
    else:
        variables = [
            (name, file[layer][name])
            for layer in map(_text, file.attrs.get("layer_names", []))
            for name in map(_text, file[layer].attrs.get("weight_names", []))
        ]
        kernels = [value for name, value in variables if value.ndim == 4]
        means = [value for name, value in variables if "moving_mean" in name]
        found = [*kernels[:1], *means[:1]]
    if [value.shape for value in found] != [(3, 3, 3, 32), (32,)]:
        return None
    kernel, moving_mean = (np.asarray(value, np.float64) for value in found)
    return kernel, moving_mean


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def set_trainable(base: keras.Model, part: str) -> None:
    """Freezes `base` (`head`), all but its top two blocks (`top_blocks`), or nothing (`all`).

    Frozen BatchNorms use their stored statistics. Those in the top blocks stay frozen too: a
    trainable functional base keeps updating their statistics, even when called with
    `training=False`, and batches of 20 would spoil the statistics of ImageNet's millions of
    pictures. With `all`, they train like the rest.
    """
    base.trainable = part != "head"
    # Set per layer: Keras does not propagate a value that the base already has.
    for index, layer in enumerate(base.layers):
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        in_top = index >= _FIRST_TOP_LAYER and not is_norm
        layer.trainable = part == "all" or (part == "top_blocks" and in_top)
