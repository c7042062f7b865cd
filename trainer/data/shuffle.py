"""The JPEGs of an epoch in random order: of a whole split, or of one of its lanes."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from cdisc_tfds.machine import num_cores
from trainer.data.labelled_split import LabelledSplit
from trainer.data.lanes import Lanes
from trainer.data.picture_selection import PictureSelection
from trainer.data.record_reading import (
    RECORDS_PER_STEP,
    located_parts,
    picture_parser,
    read_parts,
)

_FILES_AT_ONCE = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Shuffle:
    """The random order of an epoch.

    Attributes:
      split: the products and their classes; those without a class are left out.
      seed, epoch: the order depends on both.
      buffer: number of pictures (as JPEGs) to shuffle among; the order of the files is also
        shuffled.
      selection: how often to show each picture; None: once.
    """

    split: LabelledSplit
    seed: int
    epoch: int
    buffer: int
    selection: PictureSelection | None = None

    @property
    def num_pictures(self) -> int:
        """Number of pictures of the epoch."""
        return (self.split if self.selection is None else self.selection).num_pictures

    def jpegs(self) -> tf.data.Dataset:
        """(jpeg, class int32) of each picture of the split."""
        return self._jpegs(0, self.split.split.num_products, "", self.buffer)

    def lane(self, lanes: Lanes, lane: int) -> tf.data.Dataset:
        """(jpeg, class int32) of each picture of a lane, which has its part of the buffer."""
        begin, end = lanes.cuts[lane : lane + 2].tolist()
        name = f" of lane {lane} of {lanes.num}"
        return self._jpegs(begin, end, name, max(1, self.buffer // lanes.num))

    def _jpegs(self, begin: int, end: int, name: str, buffer: int) -> tf.data.Dataset:
        parts = located_parts(self.split.split, begin, end)
        files = derived_seed(self.seed, self.epoch, f"files{name}")
        order = np.random.default_rng(files).permutation(len(parts))
        return (
            read_parts(
                [parts[place] for place in order],
                files_at_once=_FILES_AT_ONCE,
                records_per_step=RECORDS_PER_STEP,
            )
            .map(self._parse, num_parallel_calls=num_cores())
            .unbatch()
            .shuffle(
                buffer,
                derived_seed(self.seed, self.epoch, f"pictures{name}"),
                reshuffle_each_iteration=False,
            )
        )

    @functools.cached_property
    def _parse(self) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
        """The function from records to pictures; all lanes share its tables."""
        return _labelled_pictures(self.split, self.selection)


def _labelled_pictures(
    labelled: LabelledSplit, selection: PictureSelection | None
) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Returns a function: (ordinals [n], records [n]) -> (jpegs [m], classes int32 [m]).

    It keeps only the pictures of products with a class, each as often as selected.
    """
    if selection is not None:
        return _selected_pictures(labelled, selection)
    pictures_of = picture_parser(labelled.split)
    class_of_product = tf.constant(labelled.classes)
    all_known = labelled.num_products == labelled.split.num_products

    def parse(ordinals: tf.Tensor, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        jpegs = pictures_of(ordinals, records)
        classes = tf.gather(class_of_product, ordinals)
        if not all_known:
            known = classes >= 0
            jpegs, classes = tf.ragged.boolean_mask(jpegs, known), classes[known]
        return jpegs.flat_values, tf.repeat(classes, jpegs.row_lengths())

    return parse


def _selected_pictures(
    labelled: LabelledSplit, selection: PictureSelection
) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """As `_labelled_pictures`, with a selection."""
    pictures_of = picture_parser(labelled.split)
    num_pictures = labelled.split.index.num_pictures
    class_of_product = tf.constant(labelled.classes)
    first_of_product = tf.constant(np.cumsum(num_pictures, dtype=np.int64) - num_pictures)
    counts = tf.constant(selection.counts)

    def parse(ordinals: tf.Tensor, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        jpegs = pictures_of(ordinals, records)
        lengths = jpegs.row_lengths()
        first = tf.gather(first_of_product, ordinals)
        places = tf.ragged.range(first, first + tf.cast(lengths, tf.int64)).flat_values
        times = tf.cast(tf.gather(counts, places), tf.int32)
        classes = tf.repeat(tf.gather(class_of_product, ordinals), lengths)
        return tf.repeat(jpegs.flat_values, times), tf.repeat(classes, times)

    return parse


def derived_seed(seed: int, epoch: int, purpose: str) -> int:
    """A hash in [0, 2**63), so that neighbouring seeds and epochs give unrelated numbers."""
    digest = hashlib.sha256(f"{purpose} {seed} {epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
