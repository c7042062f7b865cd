"""Second half of a build whose `.bson` files stay in memory: it reads the documents again by shard.

A shard's documents are scattered over the files. If the page cache holds them, reading them
costs nothing, and the build writes only the shards. If not, each product would need its own disk
access; `merged_shards` avoids that.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from cdisc_tfds.bson_file import BsonError, read_documents_at
from cdisc_tfds.build.direct_writes import write_pieces
from cdisc_tfds.build.source_file import ChangedFileError
from cdisc_tfds.joined_files import JoinedFiles
from cdisc_tfds.records import RejectedProduct, encoder_of, product_of
from cdisc_tfds.split_files import told
from cdisc_tfds.tfrecord import frame
from cdisc_tfds.whole_files import removed_on_error


@dataclasses.dataclass(frozen=True)
class RereadTask:
    """One shard to write.

    Attributes:
      path: path of the shard.
      source: the `.bson` files.
      labelled, categories_csv: as in `PartTask`.
      offsets: int64 [n], offset of each record's document, in the shard's order.
      sizes: int64 [n], bytes of each record, including framing.
      num_pictures: uint8 [n], pictures of each record.
    """

    path: str
    source: JoinedFiles
    labelled: bool
    categories_csv: str
    offsets: np.ndarray
    sizes: np.ndarray
    num_pictures: np.ndarray

    def write(self) -> None:
        """Writes the shard; removes it if that fails.

        Raises:
          ChangedFileError: the file changed since the first reading.
        """
        with removed_on_error(self.path) as file:
            write_pieces(file, itertools.chain.from_iterable(self._records()))

    def _records(self) -> Iterator[list[bytes]]:
        """Yields each framed record, in pieces."""
        encoder = encoder_of(self.categories_csv)
        sizes = self.sizes.tolist()
        # A record is slightly larger than its document, so one read of its size is enough.
        documents = read_documents_at(self.source, self.offsets.tolist(), sizes)
        changed = ChangedFileError(
            f"{told([file.path for file in self.source.files])} must not change while a data set "
            "is built from it. Received: other documents than at first. Start the build again."
        )
        try:
            usable = self.num_pictures.tolist()
            for document, size, pictures in zip(documents, sizes, usable, strict=True):
                product = product_of(document, encoder.categories, self.labelled, pictures)
                framed = frame(encoder.pieces(product))
                if sum(map(len, framed)) != size:
                    raise changed
                yield framed
        except (BsonError, RejectedProduct) as error:
            raise changed from error


@dataclasses.dataclass(frozen=True, eq=False)
class Reread:
    """The location of each record's document, in the split's order.

    Attributes:
      source, labelled, categories_csv: as in `RereadTask`.
      offset: int64 [n], offset of the document.
      size: int64 [n], bytes of its record, including framing.
      num_pictures: uint8 [n], pictures of the record.
    """

    source: JoinedFiles
    labelled: bool
    categories_csv: str
    offset: np.ndarray
    size: np.ndarray
    num_pictures: np.ndarray

    def shard(self, path: str, begin: int, end: int) -> RereadTask:
        """The task to write records `begin` to `end` of the split to `path`."""
        return RereadTask(
            path,
            self.source,
            self.labelled,
            self.categories_csv,
            self.offset[begin:end],
            self.size[begin:end],
            self.num_pictures[begin:end],
        )

    def slice(self, begin: int, end: int) -> Reread:
        """The locations of records `begin` to `end` alone."""
        return dataclasses.replace(
            self,
            offset=self.offset[begin:end],
            size=self.size[begin:end],
            num_pictures=self.num_pictures[begin:end],
        )

    def release(self, begin: int, end: int) -> None:
        """Does nothing: rereading takes no disk space."""

    def short_parts(self, wanted: Sequence[tuple[int, int]]) -> list[int]:
        """Returns no parts, because parts have no files of records here."""
        return []
