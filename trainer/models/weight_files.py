"""Files of pretrained weights: where they are, and how they are loaded."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import warnings
from collections.abc import Iterator

import keras

_DOWNLOAD_TIMEOUT = 15.0  # seconds without data; urllib would wait forever


class WeightsError(ValueError):
    """A file of pretrained weights is missing or does not fit the network."""


def keras_home() -> pathlib.Path:
    """Keras's folder; its subfolder `models` holds downloaded weights."""
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return pathlib.Path(home)


def given_path(weights: str, kinds: str = ".weights.h5, .h5 or .keras") -> pathlib.Path:
    """The file that `--weights` names.

    Args:
      weights: the setting; neither `imagenet` nor `none`.
      kinds: the endings to name in the error.

    Raises:
      WeightsError: if there is no such file.
    """
    path = pathlib.Path(weights).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"`weights` must be imagenet, none, or the path of an existing file ({kinds}). "
            f"Received: {weights}, which "
            + ("is not a file." if path.exists() else "does not exist.")
        )
    return path


def missing_download(
    path: pathlib.Path, reason: BaseException, address: str, digest: str = ""
) -> WeightsError:
    """ImageNet's weights are not at hand.

    Args:
      path: where the file should be.
      reason: the error of the download.
      address: its URL.
      digest: what to verify it with.
    """
    digest = f" ({digest})" if digest else ""
    state = "could not be used" if path.exists() else "is not there and could not be downloaded"
    return WeightsError(
        f"`weights=imagenet` needs the file {path}{digest}, which {state} "
        f"({short_reason(reason)}). Put it there from a machine with network access ({address}), "
        "or give weights=PATH or weights=none."
    )


@contextlib.contextmanager
def download_timeout() -> Iterator[None]:
    """Lets a download fail that receives no data for a while."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def load_file(network: keras.Model, path: pathlib.Path, owner: str) -> None:
    """Loads a file that Keras wrote into a network.

    Args:
      network: the network that the file was written for.
      path: a .weights.h5, .h5 or .keras file.
      owner: what the file has to be of, for the error.

    Raises:
      WeightsError: if the file is damaged or belongs to another network.
    """
    try:
        with warnings.catch_warnings():
            # Keras warns about every layer that a foreign file lacks, and then raises.
            warnings.simplefilter("ignore")
            network.load_weights(path)
    except Exception as error:  # h5py, zipfile and Keras raise various errors
        raise misfit(path, owner, short_reason(error)) from error


def misfit(path: pathlib.Path, owner: str, reason: str) -> WeightsError:
    """A file that is not one of weights of `owner`."""
    return WeightsError(
        f"`weights` must be a file of weights of {owner}. Received: {path}, which cannot be "
        f"loaded as that ({reason})."
    )


def short_reason(error: BaseException) -> str:
    """An error's first sentence: Keras's messages continue with lists of objects and paths."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(" -- ")[-1].split(". ")[0].rstrip(".")[:200]
