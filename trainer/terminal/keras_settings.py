"""Keras's global settings, which the user's keras.json may change."""

from __future__ import annotations

REQUIRED = {"backend": "tensorflow", "floatx": "float32", "image_data_format": "channels_last"}


class KerasSettingsError(ValueError):
    """Keras runs with a setting that the project cannot work with."""


def apply_keras_settings() -> None:
    """Sets `REQUIRED`, overriding keras.json, and verifies it. Imports Keras.

    Raises:
      KerasSettingsError: if Keras was imported earlier with another backend, which is then fixed.
    """
    import keras  # imports TensorFlow, which is too slow for `--help`

    keras.config.set_floatx(REQUIRED["floatx"])
    keras.config.set_image_data_format(REQUIRED["image_data_format"])
    received = {
        "backend": keras.config.backend(),
        "floatx": keras.config.floatx(),
        "image_data_format": keras.config.image_data_format(),
    }
    for name, required in REQUIRED.items():
        if received[name] != required:
            raise KerasSettingsError(
                f"Keras's setting {name!r} must be {required!r}. Received: {received[name]!r}. "
                "Import `trainer` before Keras, and see keras.json in $KERAS_HOME or ~/.keras."
            )
