"""Writes the products of a catalogue, in the order of the source, as the processes encode them."""

from __future__ import annotations

import collections
import contextlib
import csv
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, NamedTuple

from cdisc_tfds.build.processes import Pool
from cdisc_tfds.catalogue.encoding import EncodedProduct, EncodeTask, Item, Opener, encode
from cdisc_tfds.catalogue.options import CatalogueError
from cdisc_tfds.catalogue.output import SOLUTION, SPLIT_FILES, OutputFolder
from cdisc_tfds.catalogue.rejections import CatalogueRejection, RejectionList
from cdisc_tfds.whole_files import whole_file

# A task ends at either of them: few calls between processes, and little memory.
_TASK_PRODUCTS = 32
_TASK_BYTES = 4 << 20
# If none of so many products can be used, the run ends at once.
_FIRST = 100


class Candidate(NamedTuple):
    """A product to write, or the line about one that is already known to be unusable.

    Attributes:
      item: the product, or None.
      known_category: category_id of a test product, if it is known.
      rejection: the line, or None.
    """

    item: Item | None
    known_category: int | None = None
    rejection: CatalogueRejection | None = None


class CatalogueWriter:
    """The BSON files and the list of known categories, opened when they get their first line.

    Attributes:
      counts: products and pictures of each file, by its name.
      products, pictures: written so far, in all.
    """

    def __init__(self, folder: OutputFolder, stack: contextlib.ExitStack):
        """Args: stack: when it ends, the files appear."""
        self._folder, self._stack = folder, stack
        self._files: dict[str, IO[Any]] = {}
        self.counts: dict[str, collections.Counter[str]] = {}
        self.products = self.pictures = 0

    def file(self, name: str, mode: str = "wb", **kwargs: Any) -> IO[Any]:
        """The open file of this name in the folder."""
        if name not in self._files:
            opened = whole_file(self._folder.path / name, mode, **kwargs)
            self._files[name] = self._stack.enter_context(opened)
            self.counts[name] = collections.Counter()
        return self._files[name]

    def table(self, name: str, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
        """Adds rows to a CSV file, which starts with a header."""
        is_new = name not in self._files
        writer = csv.writer(self.file(name, "w", encoding="utf-8", newline=""), lineterminator="\n")
        if is_new:
            writer.writerow(header)
        writer.writerows(rows)

    def add(self, product: EncodedProduct, known_category: int | None) -> None:
        """Writes a usable product. Args: known_category: of a test product, or None."""
        assert product.document is not None
        name = SPLIT_FILES[product.item.split]
        self.file(name).write(product.document)
        self.counts[name].update(products=1, pictures=product.pictures)
        self.products += 1
        self.pictures += product.pictures
        if known_category is not None:
            row = (product.item.product_id, known_category)
            self.table(SOLUTION, ("_id", "category_id"), [row])
            self.counts[SOLUTION].update(products=1)


def write_products(
    candidates: Iterable[Candidate],
    opener: Opener,
    max_size: int,
    *,
    pool: Pool,
    writer: CatalogueWriter,
    rejected: RejectionList,
    keep_going: bool,
    on_progress: Callable[[int], None],
) -> None:
    """Encodes the products in the pool, and writes them and their rejections in order.

    Args:
      candidates: the products, in order.
      opener, max_size: as in `EncodeTask`.
      pool: the processes.
      writer, rejected: where to.
      keep_going: False ends the run if none of the first products can be used.
      on_progress: called with the number of candidates done.

    Raises:
      CatalogueError: none of the first products can be used.
    """
    waiting: collections.deque[Any] = collections.deque()
    done = 0

    def collect() -> None:
        nonlocal done
        future, batch = waiting.popleft()
        _write_batch(batch, future.result(), writer, rejected)
        done += len(batch)
        on_progress(done)
        if done >= _FIRST and not writer.pictures and not keep_going:
            raise CatalogueError(
                f"Products must be usable. Received: {done:,} at the start, none of which has a "
                f"picture that can be used. The last reason: {rejected.last or 'no pictures'}."
            )

    for batch in _batches(candidates):
        task = EncodeTask([one.item for one in batch if one.item is not None], opener, max_size)
        waiting.append((pool.submit(encode, task), batch))
        if len(waiting) > 2 * pool.num_processes:
            collect()
    while waiting:
        collect()


def _write_batch(
    batch: list[Candidate],
    encoded: list[EncodedProduct],
    writer: CatalogueWriter,
    rejected: RejectionList,
) -> None:
    products = iter(encoded)
    for candidate in batch:
        if candidate.rejection is not None:
            rejected.add([candidate.rejection])
            continue
        product = next(products)
        rejected.add(product.rejections)
        if product.document is not None:
            writer.add(product, candidate.known_category)


def _batches(candidates: Iterable[Candidate]) -> Iterator[list[Candidate]]:
    batch: list[Candidate] = []
    num_bytes = 0
    for candidate in candidates:
        batch.append(candidate)
        if candidate.item is not None and isinstance(candidate.item.payload, bytes):
            num_bytes += len(candidate.item.payload)
        if len(batch) == _TASK_PRODUCTS or num_bytes >= _TASK_BYTES:
            yield batch
            batch, num_bytes = [], 0
    if batch:
        yield batch
