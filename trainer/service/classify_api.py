"""The service's own interface: products with their photos in, categories with their levels out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from trainer.data.label_map import LabelMap
from trainer.prediction.similar_products import SimilarProduct
from trainer.service.engine import Answer
from trainer.service.pictures import Picture
from trainer.service.predict_api import parsed_json, parsed_picture
from trainer.service.refusals import wrong
from trainer.service.top_classes import top_classes


@dataclasses.dataclass(frozen=True)
class ShownProduct:
    """A product that a client asks about.

    Attributes:
      id: the client's own name for it, any JSON value; None: it gave none.
      pictures: at least one, in any format of `pictures.FORMATS`.
    """

    id: Any
    pictures: tuple[Picture, ...]


def parse_products(body: bytes) -> list[ShownProduct]:
    """Reads `{"products": [{"id": ..., "pictures": [{"b64": "..."}, ...]}, ...]}`.

    Raises:
      RefusalError: if the body is something else.
    """
    products = parsed_json(body).get("products")
    if not isinstance(products, list) or not products:
        raise wrong("A request must have `products`: a list with at least one product.")
    found = []
    for number, product in enumerate(products):
        where = f"products[{number}]"
        pictures = product.get("pictures") if isinstance(product, dict) else None
        if not isinstance(pictures, list) or not pictures:
            raise wrong(f"{where} must have `pictures`: a list with at least one picture.")
        found.append(
            ShownProduct(
                product.get("id"),
                tuple(
                    parsed_picture(value, f"{where}.pictures[{place}]")
                    for place, value in enumerate(pictures)
                ),
            )
        )
    return found


def classified(
    products: Sequence[ShownProduct], answers: Sequence[Answer], label_map: LabelMap, top: int
) -> bytes:
    """The answers as JSON; `docs/serving.md` describes their fields."""
    rows = []
    for product, answer in zip(products, answers, strict=True):
        row: dict[str, Any] = {} if product.id is None else {"id": product.id}
        row["num_pictures"] = len(product.pictures)
        row["categories"] = _categories(answer, label_map, top)
        if answer.similar is not None:
            row["similar"] = [_similar(one) for one in answer.similar]
        rows.append(row)
    return json.dumps({"products": rows}).encode()


def picture_path(product_id: object) -> str:
    """Where the service has the picture of a similar product, relative to its root."""
    return f"similar/{product_id}.jpg"


def _similar(product: SimilarProduct) -> dict[str, Any]:
    row: dict[str, Any] = {"product_id": product.product_id}
    if product.category_id is not None:
        row["category_id"] = product.category_id
    return row | {
        "path": list(product.path),
        "similarity": product.similarity,
        "picture": picture_path(product.product_id),
    }


def _categories(answer: Answer, label_map: LabelMap, top: int) -> list[dict[str, Any]]:
    probability, classes = top_classes(answer.probabilities[None], top)
    rows = []
    for one, value in zip(classes[0].tolist(), probability[0].tolist(), strict=True):
        row: dict[str, Any] = {"class": one}
        if label_map.target == "category":
            label = label_map.category_of_class[one]
            row["category_id"] = int(label_map.categories.category_ids[label])
        path = label_map.paths[one]
        rows.append(row | {"name": path[-1], "path": list(path), "probability": value})
    return rows
