"""The products of a `.bson` file in file order, and a list of what was left out."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from collections.abc import Callable, Iterator

from cdisc_tfds.bson_file import BsonError, read_documents
from cdisc_tfds.categories import Categories
from cdisc_tfds.records import Product, RejectedProduct, product_of


@dataclasses.dataclass(frozen=True)
class Rejection:
    """One line of `rejected.jsonl`: a picture, a product or a stretch of bytes that was left out.

    Attributes:
      kind: "picture" (the product is kept without it), "product", or "bytes" (damaged, skipped).
      document: how many documents precede it in the file.
      offset: byte in the file at which its document starts.
      product: the document's `_id`, None if it has none that can be used.
      picture: position of the picture in `imgs`, from 0; None for "product" and "bytes".
      reason: what is wrong.
      count: how many pictures the line stands for; more than one only where a product has very many
        that cannot be used: the line then names the first of those that have no line of their own.
    """

    kind: str
    document: int
    offset: int
    product: int | None
    picture: int | None
    reason: str
    count: int = 1

    def closed_at(self, behind: int) -> Rejection:
        """A stretch of bytes whose end was open, once it is known where documents continue."""
        reason = f"{behind - self.offset} bytes skipped: {self.reason}"
        return dataclasses.replace(self, reason=reason)

    def to_json(self, split: str) -> str:
        """Its line, without the line's end; `count` only if it is not 1."""
        values = {"split": split, **dataclasses.asdict(self)}
        if self.count == 1:
            del values["count"]
        return json.dumps(values, ensure_ascii=False)


KINDS = ("picture", "product", "bytes")
OnRejection = Callable[[Rejection], None]


def read_products(
    path: str | os.PathLike[str],
    categories: Categories,
    labelled: bool,
    on_rejection: OnRejection,
    *,
    start: int = 0,
    stop: int | None = None,
    keep_going: bool = False,
    on_landing: Callable[[int | None, int], None] | None = None,
) -> Iterator[tuple[int, int, Product]]:
    """Yields (document, offset, product): how many documents precede it, and where it starts.

    The caller handles duplicates: the other product may be in another part of the file.

    Args:
      path: the file.
      categories, labelled: as for `product_of`.
      on_rejection: called for everything that is left out.
      start, stop: the part of the file, as for `read_documents`; documents count from `start`.
      keep_going: skip damaged bytes instead of stopping at them.
      on_landing: is called at the end with the offset behind the last document and the number of
        documents (a skipped stretch of bytes counts as one). The offset is None if the last
        stretch may continue behind `stop`; its rejection then waits for `closed_at`.

    Raises:
      BsonError: a damaged document, unless `keep_going`.
    """
    count = 0
    landing: int | None = start

    def on_damage(error: BsonError, behind: int | None) -> None:
        nonlocal count, landing
        reason = f"expected {error.expected}, received {error.received}"
        stretch = Rejection("bytes", count, error.offset, None, None, reason)
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
    """A product whose `_id` is that of an earlier one of the split, which is kept."""
    return Rejection(
        "product", document, offset, product_id, None, "an earlier product has the same `_id`"
    )


class UnusableProductsError(ValueError):
    """None of a file's first products can be used."""


def check_first(
    path: str | os.PathLike[str], categories: Categories, labelled: bool, number: int = 100
) -> None:
    """Raises UnusableProductsError if all of the first `number` documents would be rejected.

    This detects a wrong category file or another kind of dump within seconds, not after hours.
    """
    reasons: list[str] = []
    for _, _, document in itertools.islice(read_documents(path), number):
        try:
            product_of(document, categories, labelled)
            return
        except RejectedProduct as error:
            reasons.append(str(error))
    raise UnusableProductsError(
        f"{path} must hold products with the categories of category_names.csv. Received: "
        f"{len(reasons)} documents at its start, none of which can be used. The first: {reasons[0]}"
    )
