"""The list of what a catalogue leaves out, in the format of the build's `rejected.jsonl`."""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Callable, Iterable
from typing import IO

from cdisc_tfds.catalogue.options import CatalogueError
from cdisc_tfds.products import KINDS
from cdisc_tfds.records import MAX_NAMED_PICTURES

FILE = "rejected.jsonl"
FAILED_FILE = "rejected_by_failed_run.jsonl"  # of a run that ended because of them
# As in the build: a larger share most likely means another folder, column or kind of dump.
MAX_REJECTED_SHARE = 0.5


@dataclasses.dataclass(frozen=True)
class CatalogueRejection:
    """One line: a picture, product or stretch of a source that is left out.

    Attributes:
      split: the split that it would belong to.
      kind: "picture" (the product is kept without it), "product", or "bytes" (a dump's end).
      document: rows, files or documents before it in the source.
      offset: byte in the dump at which its document starts; None for other sources.
      product: the product's id as the source has it; None without one.
      picture: position of the picture in its product, from 0; None for other kinds.
      file: the picture's file, or None.
      reason: what is wrong.
      count: pictures that the line covers, as in the build's list.
    """

    split: str
    kind: str
    document: int
    offset: int | None
    product: str | None
    picture: int | None
    file: str | None
    reason: str
    count: int = 1

    def to_json(self) -> str:
        """The line, without the line break; it omits a `count` of 1 and a `file` of None."""
        values = dataclasses.asdict(self)
        if self.count == 1:
            del values["count"]
        if self.file is None:
            del values["file"]
        return json.dumps(values, ensure_ascii=False)


def shortened(found: list[CatalogueRejection]) -> list[CatalogueRejection]:
    """A product's rejected pictures: the first ones, and one more line that counts the rest."""
    if len(found) <= MAX_NAMED_PICTURES:
        return found
    named, rest = found[:MAX_NAMED_PICTURES], found[MAX_NAMED_PICTURES:]
    return [*named, dataclasses.replace(rest[0], count=len(rest))]


class RejectionList:
    """Writes the lines to a file, which is opened for the first one, and counts them.

    Attributes:
      counts: number of rejected items by kind.
      last: the reason of the last one; empty without any.
    """

    def __init__(self, open_file: Callable[[], IO[str]]):
        self._open = open_file
        self.counts: collections.Counter[str] = collections.Counter(dict.fromkeys(KINDS, 0))
        self.last = ""

    def add(self, rejections: Iterable[CatalogueRejection]) -> None:
        for rejection in rejections:
            self.counts[rejection.kind] += rejection.count
            self.last = rejection.reason
            self._open().write(rejection.to_json() + "\n")

    def require_most(self, products: int, pictures: int, listed: str) -> None:
        """Raises CatalogueError if less than half of the products or pictures are usable.

        Args:
          products, pictures: numbers that the catalogue keeps.
          listed: path of the list.
        """
        for kind, kept in (("product", products), ("picture", pictures)):
            seen = kept + self.counts[kind]
            if self.counts[kind] > MAX_REJECTED_SHARE * seen:
                raise CatalogueError(
                    f"At least half of the {kind}s must be usable. Received: "
                    f"{self.counts[kind]:,} of {seen:,} that are not; {listed} gives the reason "
                    "for each. To write the others, add --keep_going."
                )
