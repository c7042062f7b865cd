"""A frozen base's features of the pictures of a split: computed once, kept on disk.

While only the new layers train, the base gives the same features for a picture in every epoch. A
folder named after a hash of everything they depend on (the base's weights, the pictures, how they
are decoded and scaled) holds them. An interrupted computation continues after the last finished
file; damaged files are computed again. Several workers share the computation.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cdisc_tfds.progress_line import ProgressLine
from cdisc_tfds.storage import free_bytes, path_of
from trainer.cluster.shared_work import OwnWork
from trainer.cluster.workers import ALONE, Workers
from trainer.data.dataset import records_identity
from trainer.data.input_pipeline import inference_dataset
from trainer.data.labelled_split import LabelledSplit
from trainer.data.record_reading import clear_record_errors
from trainer.models.fusion import features_of
from trainer.prediction.ahead import ahead
from trainer.runs.picture_files import PictureIndex, digest_of, folder_of
from trainer.runs.shared_files import SharedFiles, batches_per_file
from trainer.settings.config import Config
from trainer.training.feature_files import Features, stored, write_features

# Fixed, because the last bits of a feature depend on how many pictures are computed together.
_BATCH_SIZE = 64
_PICTURES_PER_FILE = 256 * _BATCH_SIZE  # 64 MB of InceptionV3's features in 16-bit floats


class FeatureError(ValueError):
    """Features that cannot be stored."""


class FeatureStore:
    """Computes the features of splits, or finds them on disk.

    Args:
      base: uint8 [b, size, size, 3] -> features [b, f]; its weights must not change.
      config: the run's resolved settings.
      folder: folder of the features of all runs, with one subfolder per set of features.
      flip: whether the features are the means of those of a picture and of its mirror image.
      workers: those that share the computation; all ask for the same features.
    """

    def __init__(
        self,
        base: keras.Model,
        config: Config,
        folder: str | os.PathLike[str],
        flip: bool = False,
        workers: Workers = ALONE,
    ):
        self._config, self._folder, self._flip = config, path_of(folder), flip
        self._workers = workers
        self._dtype = tf.as_dtype(base.outputs[0].dtype)
        self._size = base.output_shape[-1]
        self._base_digest = digest_of(base.get_weights())
        # Traced here, in the thread that built the network; another thread calls it.
        self._base = tf.function(
            lambda images: features_of(base, images, flip)
        ).get_concrete_function(tf.TensorSpec([None, *base.input_shape[1:]], tf.uint8))
        self._found: dict[str, Features] = {}

    def of(
        self, split: LabelledSplit, between_batches: Callable[[], None] = lambda: None
    ) -> Features:
        """The features of the pictures with a class, computed now or earlier.

        Args:
          split: the products.
          between_batches: called after each batch; an exception from it ends the computation, and
            the next call continues after the finished files.

        Raises:
          FeatureError: if the disk has no room for them.
          DatasetError: if a record is damaged.
        """
        spec = split.split.spec
        if spec not in self._found:
            self._found[spec] = self._open_or_compute(split, between_batches)
        return self._found[spec]

    def _open_or_compute(
        self, split: LabelledSplit, between_batches: Callable[[], None]
    ) -> Features:
        # The chief's: copies of the data on other machines may have other times.
        key = self._workers.value_of_chief(lambda: self._key(split))
        folder = folder_of(self._folder, key)
        if self._workers.several:
            index = self._shared_out(split, folder, key, between_batches)
        else:
            index = self._found_and_repaired(split, folder, key)
            if not index.finished:
                index = self._compute(split, folder, index, between_batches)
        size = self._config.image_size
        white = self._base(tf.fill([1, size, size, 3], tf.constant(255, tf.uint8)))[0].numpy()
        return Features(folder, index.files, white, self._dtype)

    def _found_and_repaired(
        self, split: LabelledSplit, folder: pathlib.Path, key: dict[str, Any]
    ) -> PictureIndex:
        index = PictureIndex.read(folder, key)
        for number in index.damaged(folder):
            index = self._repair(split, folder, index, number)
        return index

    def _key(self, split: LabelledSplit) -> dict[str, Any]:
        """Everything that the features depend on."""
        config = self._config
        return {
            "weights": self._base_digest,
            "model": config.model,
            "products": digest_of([split.split.index.product_id[split.products]]),
            "records": records_identity(split.split),
            "image_size": config.image_size,
            "input_range": config.input_range and list(config.input_range),
            "precision": config.precision,
            "decoder": config.decoder,
            "tensorflow": tf.__version__,
        } | self._of_files(split)

    def _of_files(self, split: LabelledSplit) -> dict[str, Any]:
        """What only some keys have, so that features of earlier versions are still found."""
        batches = self._batches_per_file(split)
        key: dict[str, Any] = {"flip": True} if self._flip else {}
        return key if self._config.lanes == 1 else key | {"batches_per_file": batches}

    def _batches_per_file(self, split: LabelledSplit) -> int:
        """Files are shuffled as a whole: a run's order must not change with the machines."""
        if self._config.lanes == 1:
            return _PICTURES_PER_FILE // _BATCH_SIZE
        return batches_per_file(split.num_pictures, _BATCH_SIZE, _PICTURES_PER_FILE)

    def _compute(
        self,
        split: LabelledSplit,
        folder: pathlib.Path,
        index: PictureIndex,
        between_batches: Callable[[], None],
    ) -> PictureIndex:
        """Computes the remaining files."""
        done = self._made_room(split, folder, index)
        spec = split.split.spec
        line = ProgressLine(f"features of {spec}", split.num_pictures, "pictures", done)
        with OwnWork(line, done) as work:
            batches = _watched(self._batches(split, len(index.files)), between_batches, work.did)
            for ordinals, features in _joined(batches, self._batches_per_file(split)):
                file = write_features(folder, len(index.files), ordinals, features)
                index = dataclasses.replace(index, files=(*index.files, file))
                index.write(folder)
        index = dataclasses.replace(index, finished=True)
        index.write(folder)
        line.close(
            f"The features of {spec} ({index.size(folder) / 1e6:,.0f} MB) are kept in {folder}; "
            "delete it when no run needs them."
        )
        return index

    def _shared_out(
        self,
        split: LabelledSplit,
        folder: pathlib.Path,
        key: dict[str, Any],
        between_batches: Callable[[], None],
    ) -> PictureIndex:
        """Computes the remaining files together with the other workers."""

        def begin() -> PictureIndex:
            index = self._found_and_repaired(split, folder, key)
            if not index.finished:
                self._made_room(split, folder, index)
            return index

        def compute(
            first: int, end: int, did: Callable[[int], None]
        ) -> Iterator[Sequence[np.ndarray]]:
            batches = _watched(self._batches(split, first, end), between_batches, did)
            for ordinals, features in _joined(batches, self._batches_per_file(split)):
                yield stored(ordinals, features)

        pictures = split.num_pictures
        files = -(-pictures // (_BATCH_SIZE * self._batches_per_file(split)))
        label = f"features of {split.split.spec}"
        return SharedFiles(folder, files, label, pictures, self._workers).completed(begin, compute)

    def _made_room(self, split: LabelledSplit, folder: pathlib.Path, index: PictureIndex) -> int:
        """Makes the folder, which must have room for the rest; returns the pictures it has."""
        done = sum(file.pictures for file in index.files)
        folder.mkdir(parents=True, exist_ok=True)
        self._require_space(folder, split.num_pictures - done)
        return done

    def _repair(
        self, split: LabelledSplit, folder: pathlib.Path, index: PictureIndex, number: int
    ) -> PictureIndex:
        """Computes one file again."""
        batches = self._batches(split, number, number + 1)
        for ordinals, features in _joined(batches, self._batches_per_file(split)):
            file = write_features(folder, number, ordinals, features)
            files = (*index.files[:number], file, *index.files[number + 1 :])
            index = dataclasses.replace(index, files=files)
            index.write(folder)
        return index

    def _batches(
        self, split: LabelledSplit, first: int, end: int | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (ordinals int64 [b], features [b, f]) of the files at [first, end)."""
        of_file = self._batches_per_file(split)
        dataset = inference_dataset(
            split.split,
            batch_size=_BATCH_SIZE,
            image_size=self._config.image_size,
            products=split.products,
            decoder=self._config.decoder,
            steps=(first * of_file, None if end is None else end * of_file),
        )

        def compute(element: dict[str, tf.Tensor]) -> tuple[np.ndarray, np.ndarray]:
            ordinals = element["product"].numpy()
            if not len(ordinals):  # no picture of the batch can be decoded
                return ordinals, np.zeros([0, self._size], self._dtype.as_numpy_dtype)
            return ordinals, self._base(element["inputs"]).numpy()

        with clear_record_errors(split.split):
            yield from ahead(compute, dataset)

    def _require_space(self, folder: pathlib.Path, pictures: int) -> None:
        needed = pictures * self._size * self._dtype.size
        free = free_bytes(folder)
        if needed > free:
            raise FeatureError(
                f"The features of {pictures:,} pictures need {needed / 1e9:.1f} GB. {folder} has "
                f"{free / 1e9:.1f} GB free. Make room, choose another disk with --features_dir, or "
                "have them computed anew in each epoch with --nocache_features (in a new "
                "--run_dir)."
            )


def _watched(
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    between_batches: Callable[[], None],
    did: Callable[[int], None],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same batches; after each, tells `did` its pictures and calls `between_batches`."""
    for batch in batches:
        yield batch
        did(len(batch[0]))
        between_batches()


def _joined(
    batches: Iterable[tuple[np.ndarray, np.ndarray]], of_file: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Concatenates the batches of each file, `of_file` of them."""
    iterator = iter(batches)
    while some := list(itertools.islice(iterator, of_file)):
        ordinals, features = zip(*some, strict=True)
        yield np.concatenate(ordinals), np.concatenate(features)
