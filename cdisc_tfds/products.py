"""The products of a `.bson` file in file order, and a list of the rejected items."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from collections.abc import Callable, Iterator

from cdisc_tfds.bson_file import BsonError, read_documents
from cdisc_tfds.categories import Categories
from cdisc_tfds.joined_files import JoinedFiles
from cdisc_tfds.records import Product, RejectedProduct, product_of


@dataclasses.dataclass(frozen=True)
class Rejection:
    """One line of `rejected.jsonl`: a rejected picture, product or range of bytes.

    Attributes:
      kind: "picture" (the product is kept without it), "product", or "bytes" (damaged, skipped).
      document: number of documents before it in the split.
      offset: byte at which its document starts; counts over all files of the split.
      product: the document's `_id`, None without a usable one.
      picture: position of the picture in `imgs`, from 0; None for "product" and "bytes".
      reason: what is wrong.
      count: number of pictures that the line covers. It exceeds 1 only for a product with very many
        unusable pictures: the line then names the first picture without a line of its own.
    """

    kind: str
    document: int
    offset: int
    product: int | None
    picture: int | None
    reason: str
    count: int = 1

    def closed_at(self, behind: int) -> Rejection:
        """Completes a range of bytes of unknown end; documents continue at offset `behind`."""
        reason = f"{behind - self.offset} bytes skipped: {self.reason}"
        return dataclasses.replace(self, reason=reason)

    def to_json(self, split: str, place: Callable[[int], tuple[str, int]]) -> str:
        """The line, without the line break; it omits a `count` of 1.

        Args:
          split: name of the split.
          place: offset -> name of the file, and byte in it: the line holds these two.
        """
        file, offset = place(self.offset)
        values = {"split": split, "file": file, **dataclasses.asdict(self), "offset": offset}
        if self.count == 1:
            del values["count"]
        return json.dumps(values, ensure_ascii=False)


KINDS = ("picture", "product", "bytes")
OnRejection = Callable[[Rejection], None]


def read_products(
    path: str | os.PathLike[str] | JoinedFiles,
    categories: Categories,
    labelled: bool,
    on_rejection: OnRejection,
    *,
    start: int = 0,
    stop: int | None = None,
    keep_going: bool = False,
    on_landing: Callable[[int | None, int], None] | None = None,
) -> Iterator[tuple[int, int, Product]]:
    """Yields (document, offset, product): the number of documents before it, and its start.

    The caller handles duplicates, because the other product may be in another part of the file.

    Args:
      path: the file, or several, as for `read_documents`.
      categories, labelled: as for `product_of`.
      on_rejection: called for every rejected item.
      start, stop: the part of the file, as for `read_documents`; documents count from `start`.
      keep_going: skip damaged bytes instead of stopping at them.
      on_landing: called at the end with the offset after the last document and the number of
        documents (a skipped range of bytes counts as one). The offset is None if the last skipped
        range may extend past `stop`; its rejection then waits for `closed_at`.

    Raises:
      BsonError: a document is damaged, unless `keep_going`.
    """
    count = 0
    landing: int | None = start

    def on_damage(error: BsonError, behind: int | None) -> None:
        nonlocal count, landing
        reason = f"expected {error.expected}, received {error.received}"
        assert landing is not None  # the reader ends where it is None
        stretch = Rejection("bytes", count, landing, None, None, reason)
        on_rejection(stretch if behind is None else stretch.closed_at(behind))
        count, landing = count + 1, behind

    documents = read_documents(path, start, stop, on_damage if keep_going else None)
    for offset, behind, document in documents:
        try:
            product = product_of(document, categories, labelled)
        except RejectedProduct as error:
            product_id = document.get("_id")
            product_id = int(product_id) if isinstance(product_id, int) else None
            on_rejection(Rejection("product", count, offset, product_id, None, str(error)))
        else:
            for bad in product.rejected:
                place = (count, offset, product.product_id, bad.position)
                on_rejection(Rejection("picture", *place, bad.reason, bad.count))
            yield count, offset, product
        count, landing = count + 1, behind
    if on_landing is not None:
        on_landing(landing, count)


def duplicate(document: int, offset: int, product_id: int) -> Rejection:
    """The rejection of a product with the `_id` of an earlier one, which the split keeps."""
    return Rejection(
        "product", document, offset, product_id, None, "an earlier product has the same `_id`"
    )


class UnusableProductsError(ValueError):
    """All of a file's first products are unusable."""


def check_first(
    path: str | os.PathLike[str] | JoinedFiles,
    categories: Categories,
    labelled: bool,
    number: int = 100,
) -> None:
    """Raises UnusableProductsError if the build would reject all of the first `number` documents.

    This detects a wrong category file or another kind of dump within seconds, not after hours.
    """
    reasons: list[str] = []
    for _, _, document in itertools.islice(read_documents(path), number):
        try:
            product_of(document, categories, labelled)
            return
        except RejectedProduct as error:
            reasons.append(str(error))
    first = path.files[0].path if isinstance(path, JoinedFiles) else path
    raise UnusableProductsError(
        f"{first} must hold products with the categories of category_names.csv. Received: "
        f"{len(reasons)} documents at its start, none of which can be used. The first: {reasons[0]}"
    )
