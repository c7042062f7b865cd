"""The study's InceptionV3: its base, its weight files, and what they say of their pictures."""

from __future__ import annotations

import pathlib

import h5py
import keras
import numpy as np

from trainer.models.fused_batch_norm import fuse_batch_norms
from trainer.models.model_entry import BaseEntry
from trainer.models.weight_files import (
    download_timeout,
    given_path,
    keras_home,
    load_file,
    misfit,
    missing_download,
    short_reason,
)

# Keras checks the same value but has no constant for it.
_IMAGENET_MD5 = "bcbd6486424b2319ff4ef7d526e38f63"
_OWNER = "keras.applications.InceptionV3(include_top=False)"

# Range of the mean colours of ordinary photographs, by the range that their pixels are scaled to.
_MEAN_COLOURS = {(0.0, 1.0): (0.3, 0.7), (-1.0, 1.0): (-0.4, 0.2)}


def build_base(base: BaseEntry, image_size: int | None) -> keras.Model:
    """InceptionV3 without its top: scaled pictures [b, s, s, 3] -> [b, h, w, 2048]."""
    return fuse_batch_norms(
        keras.applications.InceptionV3(
            include_top=False, weights=None, input_shape=(image_size, image_size, 3), name="base"
        )
    )


def weights_path(base: BaseEntry, weights: str) -> pathlib.Path:
    """The file that `--weights` stands for; `imagenet` is downloaded once into Keras's folder.

    Raises:
      WeightsError: if there is no such file, or it cannot be downloaded.
    """
    if weights != "imagenet":
        return given_path(weights)
    try:
        with download_timeout():
            return pathlib.Path(
                keras.utils.get_file(
                    base.weights_file,
                    base.weights_source,
                    cache_dir=str(keras_home()),
                    cache_subdir="models",
                    file_hash=_IMAGENET_MD5,
                )
            )
    except Exception as error:  # get_file raises plain `Exception` when a download fails
        path = keras_home() / "models" / base.weights_file
        md5 = f"MD5 {_IMAGENET_MD5}"
        raise missing_download(path, error, base.weights_source, md5) from error


def load_weights(network: keras.Model, base: BaseEntry, path: pathlib.Path) -> None:
    """Loads a file written for `InceptionV3(include_top=False)` into the network `base`.

    Raises:
      WeightsError: if the file is damaged or belongs to another network.
    """
    load_file(network, path, _OWNER)


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
        raise misfit(path, _OWNER, short_reason(error)) from error
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
