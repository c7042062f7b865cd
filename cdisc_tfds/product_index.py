"""A split's products in record order, without their pictures: 13 bytes per product.

The index is stored beside the split's shards as `cdiscount-<split>.index.npz`. It lets the trainer
count products, look up labels and write a submission without reading the records.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import zipfile
from collections.abc import Sequence

import numpy as np
import xxhash

from cdisc_tfds.storage import path_of
from cdisc_tfds.whole_files import whole_file


class ProductIndexError(ValueError):
    """The index file is missing or damaged."""


@dataclasses.dataclass(frozen=True, eq=False)
class ProductIndex:
    """One row per record, shard by shard, in record order.

    Attributes:
      product_id: int64 [n].
      num_pictures: uint8 [n].
      category: int32 [n], label of the category, -1 if unlabelled.
    """

    product_id: np.ndarray
    num_pictures: np.ndarray
    category: np.ndarray

    def __post_init__(self) -> None:
        columns = (self.product_id, self.num_pictures, self.category)
        if len({column.shape for column in columns}) != 1 or self.product_id.ndim != 1:
            raise ProductIndexError(
                "The columns of an index have one row for each record. Received the shapes: "
                f"{', '.join(str(column.shape) for column in columns)}."
            )
        for name, dtype in _DTYPES.items():
            object.__setattr__(self, name, getattr(self, name).astype(dtype, copy=False))

    def __len__(self) -> int:
        return len(self.product_id)

    @functools.cached_property
    def digest(self) -> str:
        """XXH3 (128 bits, hexadecimal) of the rows: equal for equal records in the same order."""
        digest = xxhash.xxh3_128()
        for name, dtype in _DTYPES.items():
            little_endian = np.dtype(dtype).newbyteorder("<")
            digest.update(np.ascontiguousarray(getattr(self, name), little_endian).data)
        return digest.hexdigest()

    @property
    def total_pictures(self) -> int:
        return int(self.num_pictures.sum(dtype=np.int64))

    def __getitem__(self, rows: slice | np.ndarray) -> ProductIndex:
        """The index of some records, given as a slice, a mask or positions."""
        return ProductIndex(self.product_id[rows], self.num_pictures[rows], self.category[rows])

    @classmethod
    def joined(cls, pieces: Sequence[ProductIndex]) -> ProductIndex:
        """The pieces end to end; a single piece is not copied."""
        if len(pieces) == 1:
            return pieces[0]
        return cls(
            *(np.concatenate([getattr(piece, name) for piece in pieces]) for name in _DTYPES)
        )

    @staticmethod
    def path_in(dataset_dir: str | os.PathLike[str], split: str) -> pathlib.Path:
        return path_of(dataset_dir) / f"cdiscount-{split}.index.npz"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the index atomically; the same index gives the same bytes."""
        with whole_file(path) as file:
            np.savez(file, **{name: getattr(self, name) for name in _DTYPES})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ProductIndex:
        try:
            with path_of(path).open("rb") as file, np.load(file) as columns:
                return cls(**{name: columns[name] for name in _DTYPES})
        except FileNotFoundError:
            raise ProductIndexError(
                f"A split's index lies beside its shards. Received: {path}, which does not exist. "
                "Build the data set again with `tfds build cdiscount --overwrite`."
            ) from None
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ProductIndexError(
                f"{path} must be an index as `tfds build cdiscount` writes it. Received: {error}. "
                "Build the data set again with `tfds build cdiscount --overwrite`."
            ) from error


_DTYPES = {"product_id": np.int64, "num_pictures": np.uint8, "category": np.int32}
