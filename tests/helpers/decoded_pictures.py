"""Counts the pictures that the cache of features decodes."""

from __future__ import annotations

import collections

import pytest
import tensorflow as tf

from trainer.data.input_pipeline import inference_dataset
from trainer.training import feature_store


def count_decoded(monkeypatch: pytest.MonkeyPatch) -> collections.Counter[str]:
    """Returns a count by split, which grows with each picture that is decoded from now on."""
    decoded: collections.Counter[str] = collections.Counter()

    def spied(split, **arguments):
        def count(ordinals):
            decoded[split.spec] += len(ordinals)
            return ordinals

        def counted(batch):
            product = tf.numpy_function(count, [batch["product"]], tf.int64)
            return batch | {"product": tf.ensure_shape(product, [None])}

        return inference_dataset(split, **arguments).map(counted)

    monkeypatch.setattr(feature_store, "inference_dataset", spied)
    return decoded
