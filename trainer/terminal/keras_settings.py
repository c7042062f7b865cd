"""Keras's global settings, which the user's keras.json may change."""

from __future__ import annotations

import contextlib
import pathlib
import traceback
from collections.abc import Iterator

REQUIRED = {
    "backend": "tensorflow",
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
}


class KerasSettingsError(ValueError):
    """Keras has a setting that it or the project cannot work with."""


def apply_keras_settings() -> None:
    """Sets `REQUIRED`, overriding keras.json, and verifies it. Imports Keras.

    Raises:
      KerasSettingsError: if Keras was imported earlier with another backend, which is then fixed.
    """
    import keras  # imports TensorFlow, which is too slow for `--help`
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)  # float32 means float32

    keras.config.set_floatx(REQUIRED["floatx"])
    keras.config.set_epsilon(REQUIRED["epsilon"])
    keras.config.set_image_data_format(REQUIRED["image_data_format"])
    for name, required in REQUIRED.items():
        received = getattr(keras.config, name)()
        if received != required:
            raise KerasSettingsError(
                f"Keras's setting {name!r} must be {required!r}. Received: {received!r}. "
                "Import `trainer` before Keras, and see keras.json in $KERAS_HOME or ~/.keras."
            )


@contextlib.contextmanager
def clear_settings_errors() -> Iterator[None]:
    """Explains errors that Keras raises when it is imported with settings that it rejects.

    TensorFlow contains an old Keras, which reads keras.json as well.
    """
    try:
        yield
    except (AssertionError, AttributeError, ImportError, OSError, TypeError, ValueError) as error:
        if isinstance(error, KerasSettingsError) or not _is_from_keras(error):
            raise
        received = f"{type(error).__name__} {error}".strip().rstrip(".")
        raise KerasSettingsError(
            "Keras must accept its own settings, which are in keras.json (in $KERAS_HOME or "
            f"~/.keras) and in environment variables KERAS_*. Received from Keras: {received}. "
            "Correct or remove that setting; the project sets what it needs."
        ) from error


def _is_from_keras(error: Exception) -> bool:
    """Whether the innermost function that raised the error is in a package `keras`."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return "keras" in pathlib.PurePath(files[-1]).parts
