"""What a frozen base makes of the pictures of a split: computed once, kept on disk.

While the new layers are trained alone, the base gives the same features for a picture in every
epoch. A folder named by all that they depend on (the base's weights, the pictures, how they are
decoded and scaled) holds them in files of some thousand pictures, and `index.json`, which names the
finished files. Computing that was stopped goes on behind the last of them.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.data.dataset import Split, damaged_shard, require_indexed
from trainer.data.input_pipeline import inference_dataset
from trainer.data.label_map import LabelMap
from trainer.prediction.ahead import ahead
from trainer.runs.checkpoint import CheckpointError, verified_path, write_arrays
from trainer.runs.folder import write_json
from trainer.settings.config import Config
from trainer.terminal.progress import ProgressLine

# Fixed, because the last bits of a feature depend on how many are computed together.
_BATCH_SIZE = 64
_BATCHES_A_FILE = 256  # 64 MB of InceptionV3's features in 16-bit floats


class FeatureError(ValueError):
    """Features that cannot be kept or read."""


class Features:
    """The features of the readable pictures of some products, in the records' order.

    Attributes:
      ordinals: int64 [n], the place in the split of each picture's product.
      lengths: int64 [files], how many pictures each file holds.
      white: [f], the features of a white picture, which stands for one that cannot be decoded.
      dtype: TensorFlow's, of the features.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        files: list[dict[str, Any]],
        ordinals: np.ndarray,
        white: np.ndarray,
        dtype: tf.DType,
    ):
        self.ordinals, self.white, self.dtype = ordinals, white, dtype
        self.lengths = np.array([file["pictures"] for file in files], np.int64)
        self._folder, self._files = folder, files
        self._intact: set[int] = set()

    def rows(self, number: int) -> np.ndarray:
        """[n, f], the features in a file; raises FeatureError if it is damaged."""
        if number not in self._intact:
            _verify(self._folder, self._files[number])
            self._intact.add(number)
        with open(self._folder / self._files[number]["file"], "rb") as file:
            np.load(file)  # the ordinals
            return np.load(file).view(self.dtype.as_numpy_dtype)


class FeatureStore:
    """Computes the features of splits, or finds them.

    Args:
      base: uint8 [b, size, size, 3] -> features [b, f]; its weights stay as they are.
      config: the run's resolved settings.
      label_map: pictures of products without one of its classes are left out.
      folder: where the features of all runs are kept, each in a folder of its own.
    """

    def __init__(
        self,
        base: keras.Model,
        config: Config,
        label_map: LabelMap,
        folder: str | os.PathLike[str],
    ):
        self._config, self._label_map, self._folder = config, label_map, pathlib.Path(folder)
        self._dtype = tf.as_dtype(base.outputs[0].dtype)
        self._size = base.output_shape[-1]
        self._base_digest = _digest(base.get_weights())
        # Traced here, in the thread that made the network; the calls come from another.
        self._base = tf.function(lambda images: base(images, training=False)).get_concrete_function(
            tf.TensorSpec([None, *base.input_shape[1:]], tf.uint8)
        )
        self._found: dict[str, Features] = {}

    def of(self, split: Split, between_batches: Callable[[], None] = lambda: None) -> Features:
        """The features of a split, computed now or earlier.

        Args:
          split: the products.
          between_batches: is called after each batch; what it raises ends the computing, and the
            next call goes on from the files that are finished.

        Raises:
          FeatureError: if there is no room for them, or what is there is damaged.
        """
        if split.spec not in self._found:
            self._found[split.spec] = self._open_or_compute(split, between_batches)
        return self._found[split.spec]

    def _open_or_compute(self, split: Split, between_batches: Callable[[], None]) -> Features:
        products = np.flatnonzero(self._label_map.classes_of(split.index.category) >= 0)
        key = self._key(split, products)
        folder = self._folder / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
        index_path = folder / "index.json"
        index = json.loads(index_path.read_text()) if index_path.exists() else {}
        if index.get("key") != key:
            index = {"key": key, "finished": False, "files": []}
        if not index["finished"]:
            self._compute(split, products, folder, index, between_batches)
        return self._open(folder, index)

    def _key(self, split: Split, products: np.ndarray) -> dict[str, Any]:
        """All that the features depend on."""
        config = self._config
        stats = [(part, os.stat(part.path)) for part in split.files]
        return {
            "weights": self._base_digest,
            "model": config.model,
            "products": _digest([split.index.product_id[products]]),
            "records": [
                [os.path.basename(part.path), part.skip, part.take, stat.st_size, stat.st_mtime_ns]
                for part, stat in stats
            ],
            "image_size": config.image_size,
            "input_range": list(config.input_range),
            "precision": config.precision,
            "decoder": config.decoder,
            "tensorflow": tf.__version__,
        }

    def _compute(
        self,
        split: Split,
        products: np.ndarray,
        folder: pathlib.Path,
        index: dict[str, Any],
        between_batches: Callable[[], None],
    ) -> None:
        pictures = int(split.index.num_pictures[products].sum(dtype=np.int64))
        done = sum(entry["pictures"] for entry in index["files"])
        folder.mkdir(parents=True, exist_ok=True)
        self._require_space(folder, pictures - done)
        batches = inference_dataset(
            split,
            batch_size=_BATCH_SIZE,
            image_size=self._config.image_size,
            products=products,
            decoder=self._config.decoder,
            skip_steps=_BATCHES_A_FILE * len(index["files"]),
        )

        def compute(element: dict[str, tf.Tensor]) -> tuple[np.ndarray, np.ndarray]:
            ordinals = element["product"].numpy()
            require_indexed(split, ordinals)
            if not len(ordinals):  # not one of the batch can be decoded
                return ordinals, np.zeros([0, self._size], self._dtype.as_numpy_dtype)
            return ordinals, self._base(element["image"]).numpy()

        line = ProgressLine(f"features of {split.spec}", pictures, "pictures", done)
        computed = _watched(ahead(compute, batches), between_batches, line, done)
        try:
            for ordinals, features in _joined(computed):
                name = f"{len(index['files']):05d}.npy"
                partial = folder / f"partial-{os.getpid()}-{name}"
                entry = write_arrays(partial, [ordinals, _as_integers(features)])
                os.replace(partial, folder / name)
                index["files"].append(entry | {"file": name, "pictures": len(ordinals)})
                write_json(folder / "index.json", index)
        except tf.errors.DataLossError as error:
            raise damaged_shard(split, error) from error
        index["finished"] = True
        write_json(folder / "index.json", index)
        size = sum(os.path.getsize(folder / entry["file"]) for entry in index["files"])
        line.close(
            f"The features of {split.spec} ({size / 1e6:,.0f} MB) are kept in {folder}; delete it "
            "when no run needs them."
        )

    def _require_space(self, folder: pathlib.Path, pictures: int) -> None:
        needed = pictures * self._size * self._dtype.size
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise FeatureError(
                f"The features of {pictures:,} pictures need {needed / 1e9:.1f} GB. {folder} has "
                f"{free / 1e9:.1f} GB free. Make room, choose another disk with --features_dir, or "
                "have them computed anew in each epoch with --nocache_features (in a new "
                "--run_dir)."
            )

    def _open(self, folder: pathlib.Path, index: dict[str, Any]) -> Features:
        ordinals = [np.zeros(0, np.int64)]
        for entry in index["files"]:
            if not (folder / entry["file"]).exists():
                _verify(folder, entry)
            with open(folder / entry["file"], "rb") as file:
                ordinals.append(np.load(file))
        size = self._config.image_size
        white = self._base(tf.fill([1, size, size, 3], tf.constant(255, tf.uint8)))[0].numpy()
        return Features(folder, index["files"], np.concatenate(ordinals), white, self._dtype)


def _watched(
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    between_batches: Callable[[], None],
    line: ProgressLine,
    done: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same batches, with progress."""
    for batch in batches:
        yield batch
        done += len(batch[0])
        line.update(done)
        between_batches()


def _joined(
    batches: Iterator[tuple[np.ndarray, np.ndarray]],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Puts the batches of each file together."""
    while some := list(itertools.islice(batches, _BATCHES_A_FILE)):
        ordinals, features = zip(*some, strict=True)
        yield np.concatenate(ordinals), np.concatenate(features)


def _as_integers(features: np.ndarray) -> np.ndarray:
    """The same bits in a type that every NumPy can save and load."""
    return features.view(np.dtype(f"u{features.dtype.itemsize}"))


def _verify(folder: pathlib.Path, entry: dict[str, str]) -> None:
    try:
        verified_path(folder, entry)
    except CheckpointError as error:
        raise FeatureError(
            f"Cached features must be as they were written. {error} Delete {folder} and start the "
            "same command again: they are computed anew."
        ) from error


def _digest(arrays: Iterable[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()
