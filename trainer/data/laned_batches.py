"""The batches of an epoch whose pictures come from lanes: a machine's share of each."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from trainer.data.augmentation import Drawer
from trainer.data.lanes import Lanes, Share, SharedBatches, partners_of, weights_of
from trainer.data.shuffle import Shuffle


def laned_batches(
    shuffle: Shuffle, lanes: Lanes, shared: SharedBatches, drawer: Drawer, skip_steps: int
) -> tf.data.Dataset:
    """This machine's share of each batch, as JPEGs.

    A share is filled up with its own first pictures (a white one, if it has none), so that all
    machines have as many. The random numbers are those of the pictures' places in the epoch.

    Args:
      shuffle: the random order of each lane.
      lanes: the lanes of the epoch.
      shared: who has which pictures.
      drawer: draws the random numbers of the epoch's changes.
      skip_steps: batches to skip at the start; the others do not change.

    Yields:
      (jpegs string [n], (classes int32 [n], draws [n, ...])); with several machines, also weights,
      float32 [n], after the draws.
    """
    white = tf.io.encode_jpeg(tf.fill([8, 8, 3], tf.constant(255, tf.uint8)))
    filling = tf.data.Dataset.from_tensors((tf.constant(""), tf.constant(0))).repeat()
    streams = [shuffle.lane(lanes, lane) for lane in shared.own.tolist()]
    jpegs = tf.data.Dataset.choose_from_datasets(
        [*streams, filling],
        tf.data.Dataset.range(shared.steps).map(shared.streams).unbatch(),
        stop_on_empty_dataset=False,
    )

    def complete(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, Any]:
        share = shared.share(step)
        jpegs, labels = batch
        places = _filled_up(share)
        jpegs = tf.where(tf.size(share.rows) > 0, tf.gather(jpegs, places), white)
        rows = tf.gather(tf.concat([share.rows, [0]], axis=0), places)
        draws = {
            name: tf.gather(drawn, rows) for name, drawn in drawer.draws(step, share.size).items()
        }
        if drawer.mixes:
            draws["partner"] = partners_of(share)
        weights = () if shared.workers == 1 else (weights_of(share, shared.workers),)
        return jpegs, (tf.gather(labels, places), draws, *weights)

    return jpegs.batch(shared.largest).enumerate().skip(skip_steps).map(complete)


def _filled_up(share: Share) -> tf.Tensor:
    """Places within the share of its pictures, and of those that fill it up: int32 [filled]."""
    return tf.range(share.filled) % tf.maximum(tf.size(share.rows), 1)
