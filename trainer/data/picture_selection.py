"""Chooses how often an epoch shows each training picture: once, unless a setting says otherwise."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from trainer.data.class_weights import balanced_weights
from trainer.data.duplicates import picture_hashes
from trainer.data.labelled_split import LabelledSplit

_MOST = 255  # times that an epoch may show a picture


@dataclasses.dataclass(frozen=True, eq=False)
class PictureSelection:
    """How often an epoch shows each picture of a split.

    Attributes:
      counts: uint8 [pictures], in the order of the records; 0 for products without a class.
    """

    counts: np.ndarray

    @functools.cached_property
    def num_pictures(self) -> int:
        """Number of pictures that the epoch shows, repetitions included."""
        return int(self.counts.sum(dtype=np.int64))


def distinct_pictures(labelled: LabelledSplit) -> np.ndarray:
    """Marks the first of equal pictures (byte for byte) of a class: bool [pictures].

    Equal pictures of two classes stay, once in each. Pictures without a class are not marked. Reads
    the records once, without decoding pictures; takes about 40 bytes of memory per picture.
    """
    hashes = np.concatenate([some for _, some, _ in picture_hashes(labelled.split)])
    classes = _class_of_picture(labelled)
    keys = np.empty(len(hashes), [("hash", "i8"), ("class", "i4")])
    keys["hash"], keys["class"] = hashes, classes
    _, first = np.unique(keys, return_index=True)
    chosen = np.zeros(len(hashes), bool)
    chosen[first] = True
    return chosen & (classes >= 0)


def select_pictures(
    labelled: LabelledSplit, distinct: np.ndarray | None, balance: float, seed: int
) -> PictureSelection:
    """Selects the pictures of an epoch.

    Args:
      labelled: the products and their classes.
      distinct: bool [pictures], the pictures to select from; None: all with a class.
      balance: exponent of `balanced_weights`, by which pictures of rare classes are repeated and
        those of frequent ones left out at random; 0: every picture once.
      seed: seed of the epoch.
    """
    classes = _class_of_picture(labelled)
    candidates = classes >= 0 if distinct is None else distinct
    if not balance:
        return PictureSelection(candidates.astype(np.uint8))
    of_class = np.bincount(classes[candidates], minlength=labelled.label_map.num_classes)
    rates = balanced_weights(of_class, balance)[classes]
    # A rate of 1.3 shows three pictures in ten twice, and the others once.
    draws = np.random.default_rng(seed).random(len(classes), np.float32)
    counts = np.minimum(np.floor(rates + draws), _MOST)
    return PictureSelection(np.where(candidates, counts, 0).astype(np.uint8))


def _class_of_picture(labelled: LabelledSplit) -> np.ndarray:
    """int32 [pictures]; -1 without a class."""
    return np.repeat(labelled.classes, labelled.split.index.num_pictures)
