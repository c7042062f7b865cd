"""Photos that no data set holds, as splits: records in a temporary file, a part at a time.

Everything that predicts reads splits, so photos take the same way as the pictures of a data set. A
part is predicted while the next one is read.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import tensorflow as tf

from cdisc_tfds.categories import Categories
from cdisc_tfds.machine import num_cores
from cdisc_tfds.photo import decodable
from cdisc_tfds.photo_products import PhotoProduct, RejectedPhoto
from cdisc_tfds.picture_file import PictureError, read_picture
from cdisc_tfds.product_index import ProductIndex
from cdisc_tfds.records import MAX_PICTURES, UNLABELLED, Product, RecordEncoder
from cdisc_tfds.tfrecord import frame
from trainer.data.dataset import FilePart, Split
from trainer.data.pipeline_threads import lower_this_thread, lowers_priority
from trainer.data.tf_decoding import decode_jpeg

# A part ends after the product that reaches one of these.
_PART_PICTURES = 1 << 15
_PART_BYTES = 1 << 29
_BYTES_AHEAD = 1 << 28  # of pictures in memory

_Item = TypeVar("_Item")


@dataclasses.dataclass(frozen=True)
class PhotoPart:
    """Some products, and the split that holds their usable photos.

    Attributes:
      products: in the order given.
      split: those with a usable photo, in the same order; None if there are none.
      places: int64, place in `products` of each product of the split.
      photos: of each product of the split, the files of its pictures.
      rejected: the photos that cannot be used, and the products without any.
    """

    products: list[PhotoProduct]
    split: Split | None
    places: np.ndarray
    photos: list[list[str]]
    rejected: list[RejectedPhoto]


@dataclasses.dataclass(frozen=True)
class _Loaded:
    """A product's pictures: (file, bytes) of the usable ones."""

    product: PhotoProduct
    pictures: list[tuple[str, bytes]]
    rejected: list[RejectedPhoto]


@contextlib.contextmanager
def photo_parts(
    products: Iterable[PhotoProduct], categories: Categories, max_side: int
) -> Iterator[Iterator[PhotoPart]]:
    """Reads products' photos on all cores; disk and memory hold two parts, whatever their number.

    The temporary files are in the system's folder for them (TMPDIR), up to 1.1 GB. A part's file is
    gone when the next part is taken, and all are when the context is left.

    Args:
      products: the products.
      categories: the categories of the runs that predict.
      max_side: the largest picture that their networks take, in pixels.

    Raises:
      OSError: while iterating, if the temporary file cannot be written.
    """
    loaders = concurrent.futures.ThreadPoolExecutor(
        num_cores(), initializer=lower_this_thread if lowers_priority() else None
    )
    writer = concurrent.futures.ThreadPoolExecutor(1)
    with tempfile.TemporaryDirectory(prefix="photos-") as folder, warnings.catch_warnings():
        # About damaged metadata and large pictures, for which there are rules of our own.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        loaded = _loaded(loaders, products, max_side)
        try:
            yield _one_ahead(writer, _parts(loaded, categories, pathlib.Path(folder)))
        finally:
            # A writer that still waits for photos ends with an error that nobody asks for.
            loaders.shutdown(cancel_futures=True)
            writer.shutdown(cancel_futures=True)


def _one_ahead(
    pool: concurrent.futures.ThreadPoolExecutor, items: Iterator[_Item]
) -> Iterator[_Item]:
    """The items; a thread makes the next one while the current one is used."""
    future = pool.submit(next, items, None)
    while (item := future.result()) is not None:
        future = pool.submit(next, items, None)
        yield item


def _loaded(
    pool: concurrent.futures.ThreadPoolExecutor, products: Iterable[PhotoProduct], max_side: int
) -> Iterator[_Loaded]:
    """The products in order, read ahead as far as memory allows."""
    pending: collections.deque[tuple[concurrent.futures.Future[_Loaded], int]] = collections.deque()
    ahead = 0
    for product in products:
        size = sum(_largest_size(photo, max_side) for photo in product.photos)
        pending.append((pool.submit(_load, product, max_side), size))
        ahead += size
        while ahead > _BYTES_AHEAD:
            future, size = pending.popleft()
            ahead -= size
            yield future.result()
    while pending:
        yield pending.popleft()[0].result()


def _largest_size(photo: str, max_side: int) -> int:
    """Bytes that a photo may take in memory, as a file or as a PNG."""
    try:
        size = os.stat(photo).st_size
    except (OSError, ValueError):
        size = 0
    return max(size, 3 * max_side**2)


def _load(product: PhotoProduct, max_side: int) -> _Loaded:
    loaded = _Loaded(product, [], [])
    for photo in product.photos:
        try:
            if len(loaded.pictures) == MAX_PICTURES:
                raise PictureError(f"a product has at most {MAX_PICTURES} photos")
            loaded.pictures.append((photo, decodable(read_picture(photo), max_side)))
        except PictureError as error:
            loaded.rejected.append(RejectedPhoto(product.name, photo, str(error)))
        except MemoryError:
            reason = "there is too little memory to decode it"
            loaded.rejected.append(RejectedPhoto(product.name, photo, reason))
    if not loaded.pictures:
        loaded.rejected.append(RejectedPhoto(product.name, None, "it has no usable photo"))
    return loaded


def _parts(
    loaded: Iterator[_Loaded], categories: Categories, folder: pathlib.Path
) -> Iterator[PhotoPart]:
    encoder = RecordEncoder(categories)
    number = 0
    while part := _written(loaded, encoder, folder / f"{number}.tfrecord"):
        yield part
        # Asking for the part after the next one says that this one is done.
        (folder / f"{number - 1}.tfrecord").unlink(missing_ok=True)
        number += 1


def _written(
    loaded: Iterator[_Loaded], encoder: RecordEncoder, path: pathlib.Path
) -> PhotoPart | None:
    """As `_part`; an error says where the file is."""
    try:
        return _part(loaded, encoder, path)
    except OSError as error:
        raise OSError(
            error.errno,
            f"Photos are read through a temporary file in {path.parent.parent}: {error.strerror}. "
            "Make room, or name another folder with the environment variable TMPDIR",
        ) from error


def _part(
    loaded: Iterator[_Loaded], encoder: RecordEncoder, path: pathlib.Path
) -> PhotoPart | None:
    """Writes the next part; None if no product is left."""
    products: list[PhotoProduct] = []
    places: list[int] = []
    photos: list[list[str]] = []
    rejected: list[RejectedPhoto] = []
    pictures = 0
    with open(path, "wb") as file:
        for one in loaded:
            rejected += one.rejected
            products.append(one.product)
            if one.pictures:
                jpegs = [picture for _, picture in one.pictures]
                record = Product(len(places), jpegs, UNLABELLED)
                file.writelines(frame(encoder.pieces(record)))
                places.append(len(products) - 1)
                photos.append([photo for photo, _ in one.pictures])
                pictures += len(jpegs)
            if pictures >= _PART_PICTURES or file.tell() >= _PART_BYTES:
                break
    if not products:
        return None
    split = _split(path, [len(files) for files in photos]) if places else None
    return PhotoPart(products, split, np.array(places, np.int64), photos, rejected)


def _split(path: pathlib.Path, num_pictures: Sequence[int]) -> Split:
    number = len(num_pictures)
    index = ProductIndex(np.arange(number), np.array(num_pictures), np.full(number, UNLABELLED))
    return Split("the photos", (FilePart(str(path), 0, number),), index, passing=True)


def undecodable(product: str, photos: Iterable[str], max_side: int) -> Iterator[RejectedPhoto]:
    """Those of a product's usable photos that TensorFlow then does not decode."""
    for photo in photos:
        try:
            decode_jpeg(tf.constant(decodable(read_picture(photo), max_side)), max_side)
        except tf.errors.InvalidArgumentError:
            yield RejectedPhoto(product, photo, "it cannot be decoded: its data are damaged")
        except PictureError as error:  # the file changed meanwhile
            yield RejectedPhoto(product, photo, str(error))
