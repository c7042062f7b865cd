"""TensorFlow Serving's REST interface: its requests, its answers, its descriptions.

https://www.tensorflow.org/tfx/serving/api_rest. The signature is that of the SavedModel that
`trainer.serving` exports (`trainer.prediction.saved_model`): a vector of JPEG strings, or, if a
fused run predicts, a matrix with the pictures of a product in each row.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.data.label_map import LabelMap
from trainer.service.engine import Answer
from trainer.service.pictures import Picture
from trainer.service.refusals import wrong
from trainer.service.top_classes import top_classes

SIGNATURE, INPUT = "serving_default", "jpegs"
_B64 = "b64"


@dataclasses.dataclass(frozen=True)
class PredictRequest:
    """The content of a request.

    Attributes:
      products: the pictures of each row of the input.
      by_row: whether the answer is a list of rows (`instances`) or of columns (`inputs`).
    """

    products: tuple[tuple[Picture, ...], ...]
    by_row: bool


def parse_predict(body: bytes, takes_products: bool) -> PredictRequest:
    """Reads the body of a request.

    Args:
      body: JSON, as TensorFlow Serving takes it.
      takes_products: whether each row is a product's list of pictures. Rows may have different
        lengths; empty strings stand for no picture.

    Raises:
      RefusalError: if it is not as the interface says.
    """
    content = parsed_json(body)
    signature = content.get("signature_name", SIGNATURE)
    if signature not in (SIGNATURE, ""):
        raise wrong(f"`signature_name` must be {SIGNATURE!r}. Received: {_shown(signature)}.")
    named = [key for key in ("instances", "inputs") if key in content]
    if len(named) != 1:
        raise wrong(
            "A request must have either `instances` (rows) or `inputs` (columns). Received: "
            f"{' and '.join(named) or 'neither'}."
        )
    (key,) = named
    rows, by_row = content[key], key == "instances"
    if not by_row and isinstance(rows, dict):
        rows = _only_input(rows, key)
    if not isinstance(rows, list) or not rows:
        raise wrong(f"`{key}` must be a list with a row for each {_row(takes_products)}.")
    products = []
    for number, row in enumerate(rows):
        where = f"{key}[{number}]"
        if by_row and isinstance(row, dict) and _B64 not in row:
            row = _only_input(row, where)
        products.append(_product(row, where) if takes_products else (parsed_picture(row, where),))
    return PredictRequest(tuple(products), by_row)


def parsed_json(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
      RefusalError: if it holds no JSON object.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise wrong(f"The body must be JSON in UTF-8. It cannot be read: {error}.") from None
    if not isinstance(content, dict):
        raise wrong(f"The body must be a JSON object. Received: {_shown(content)}.")
    return content


def parsed_picture(value: Any, where: str) -> Picture:
    """The picture in `{"b64": "..."}`.

    Raises:
      RefusalError: if the value is something else.
    """
    if not (isinstance(value, dict) and list(value) == [_B64] and isinstance(value[_B64], str)):
        raise wrong(
            f'{where} must be a picture: {{"b64": "..."}}, with the file in base64. Received: '
            f"{_shown(value)}."
        )
    try:
        data = base64.b64decode(value[_B64], validate=True)
    except (binascii.Error, ValueError) as error:
        raise wrong(f"{where} must be in base64 (RFC 4648). It cannot be read: {error}.") from None
    if not data:
        raise wrong(f"{where} must be a picture. Received an empty file.")
    return Picture(data, where)


def _product(row: Any, where: str) -> tuple[Picture, ...]:
    if not isinstance(row, list):
        raise wrong(f"{where} must be a list of a product's pictures. Received: {_shown(row)}.")
    pictures = tuple(
        parsed_picture(value, f"{where}[{number}]")
        for number, value in enumerate(row)
        if value not in ("", {_B64: ""})
    )
    if not pictures:
        raise wrong(f"{where} must have at least one picture. Received none.")
    return pictures


def _only_input(value: dict[str, Any], where: str) -> Any:
    if list(value) != [INPUT]:
        raise wrong(
            f"{where} must name the input `{INPUT}` and no other. Received: "
            f"{_shown(sorted(value))}."
        )
    return value[INPUT]


def _row(takes_products: bool) -> str:
    return "product, itself a list of pictures" if takes_products else "picture"


def _shown(value: Any) -> str:
    """A value in a message, without pages of it."""
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


@dataclasses.dataclass(frozen=True)
class Signature:
    """The outputs of the service's only signature.

    Attributes:
      label_map: the meaning of the classes.
      takes_products: as in `parse_predict`.
      top: how many classes to name.
      all_probabilities: whether `probabilities` is among the outputs.
    """

    label_map: LabelMap
    takes_products: bool
    top: int
    all_probabilities: bool

    def outputs(self, answers: Sequence[Answer]) -> dict[str, list[Any]]:
        """The outputs by name, each with a row for each answer."""
        probabilities = np.stack(
            [
                answer.probabilities if self.takes_products else answer.picture_probabilities[0]
                for answer in answers
            ]
        )
        probability, classes = top_classes(probabilities, self.top)
        names = self.label_map.class_names
        outputs: dict[str, list[Any]] = {
            "class": classes.tolist(),
            "name": [[" ".join(names[one].split()) for one in row] for row in classes],
            "probability": probability.tolist(),
        }
        if self.label_map.target == "category":
            labels = self.label_map.category_of_class[classes]
            outputs["category_id"] = self.label_map.categories.category_ids[labels].tolist()
        if self.all_probabilities:
            outputs["probabilities"] = probabilities.tolist()
        return outputs

    def answer(self, request: PredictRequest, answers: Sequence[Answer]) -> bytes:
        """The answer to a request, as JSON."""
        outputs = self.outputs(answers)
        if not request.by_row:
            return json.dumps({"outputs": outputs}).encode()
        rows = [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values())]
        return json.dumps({"predictions": rows}).encode()

    def metadata(self, name: str, version: str) -> dict[str, Any]:
        """The answer to `/v1/models/NAME/metadata`."""
        k, classes = min(self.top, self.label_map.num_classes), self.label_map.num_classes
        rank = [-1, -1] if self.takes_products else [-1]
        outputs = {
            "class": _tensor("DT_INT32", [-1, k], "class"),
            "name": _tensor("DT_STRING", [-1, k], "name"),
            "probability": _tensor("DT_FLOAT", [-1, k], "probability"),
        }
        if self.label_map.target == "category":
            outputs["category_id"] = _tensor("DT_INT64", [-1, k], "category_id")
        if self.all_probabilities:
            outputs["probabilities"] = _tensor("DT_FLOAT", [-1, classes], "probabilities")
        signature = {
            "inputs": {INPUT: _tensor("DT_STRING", rank, INPUT)},
            "outputs": outputs,
            "method_name": "tensorflow/serving/predict",
        }
        return {
            "model_spec": {"name": name, "signature_name": "", "version": version},
            "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
        }


def _tensor(dtype: str, shape: Sequence[int], name: str) -> dict[str, Any]:
    return {
        "dtype": dtype,
        "tensor_shape": {
            "dim": [{"size": str(size), "name": ""} for size in shape],
            "unknown_rank": False,
        },
        "name": name,
    }


def status(version: str, state: str) -> dict[str, Any]:
    """The answer to `/v1/models/NAME`; `state` is AVAILABLE or UNLOADING."""
    return {
        "model_version_status": [
            {
                "version": version,
                "state": state,
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
