"""A person's own Keras settings do not reach training."""

import json
import os
import subprocess
import sys

import pytest

from trainer.terminal import keras_settings
from trainer.terminal.keras_settings import KerasSettingsError, apply_keras_settings

_PROGRAM = """
from trainer.models.networks import build_model
import keras
model = build_model("logistic", 3, image_size=48, weights="none")
print(keras.__version__[0], keras.config.backend(), keras.config.floatx(),
      keras.config.image_data_format(), keras.config.epsilon(),
      model.weights[0].dtype, model.input_shape)
"""


def test_networks_are_built_as_if_there_were_none(tmp_path):
    settings = {"floatx": "float16", "image_data_format": "channels_first", "backend": "jax"}
    settings["epsilon"] = 0.5
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    environment = {"KERAS_BACKEND": "torch", "TF_USE_LEGACY_KERAS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env=os.environ | {"KERAS_HOME": str(tmp_path)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "3 tensorflow float32 channels_last 1e-07 float32 (None, 48, 48, 3)\n"


def test_a_backend_that_was_imported_before_is_refused(monkeypatch):
    monkeypatch.setattr("keras.config.backend", lambda: "jax")
    with pytest.raises(KerasSettingsError, match="'backend' must be 'tensorflow'. Received: 'jax'"):
        apply_keras_settings()
    assert keras_settings.REQUIRED["backend"] == "tensorflow"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ('{"floatx": "bfloat16"}', "AssertionError"),  # of the Keras within TensorFlow
        ("[]", "AttributeError 'list' object has no attribute 'get'"),
        ('{"nnx_enabled": true}', "ImportError To use NNX with the JAX backend"),
    ],
)
def test_a_file_that_keras_rejects_is_named(tmp_path, settings, told):
    (tmp_path / "keras.json").write_text(settings)
    code = "from trainer.terminal import command; command.run(lambda: print('called'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: Keras must accept its own settings, which are in keras.json")
    assert f"Received from Keras: {told}" in last and ". Correct or remove that setting" in last
