"""What is installed on a worker, which must be the same on all."""

from __future__ import annotations

import hashlib
import pathlib
import platform

import keras
import tensorflow as tf

import cdisc_tfds
import trainer


def facts_of_installation() -> dict[str, str]:
    """Code, versions and devices, by the names that messages give them."""
    return {
        "the project's code": _code_digest(),
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
        "Python": platform.python_version(),
        "GPUs": str(len(tf.config.list_logical_devices("GPU"))),
    }


def _code_digest() -> str:
    """A digest of all modules of the project."""
    digest = hashlib.sha256()
    for package in (cdisc_tfds, trainer):
        [root] = map(pathlib.Path, package.__path__)
        for path in sorted(root.rglob("*.py")):
            digest.update(f"{path.relative_to(root.parent)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]
