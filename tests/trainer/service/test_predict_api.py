import base64
import json

import pytest

from tests.helpers.running_service import b64
from trainer.service.predict_api import parse_predict
from trainer.service.refusals import RefusalError

PICTURE = {"b64": base64.b64encode(b"photo").decode()}


def parsed(content, takes_products=False):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    request = parse_predict(body, takes_products)
    rows = [[(one.data, one.where) for one in product] for product in request.products]
    return rows, request.by_row


def error_of(content, takes_products=False):
    with pytest.raises(RefusalError) as caught:
        parsed(content, takes_products)
    assert caught.value.status == 400
    return caught.value.text


@pytest.mark.parametrize(
    ("content", "where", "by_row"),
    [
        ({"instances": [PICTURE]}, "instances[0]", True),
        ({"instances": [{"jpegs": PICTURE}]}, "instances[0]", True),
        ({"signature_name": "serving_default", "instances": [PICTURE]}, "instances[0]", True),
        ({"inputs": [PICTURE]}, "inputs[0]", False),
        ({"inputs": {"jpegs": [PICTURE]}}, "inputs[0]", False),
    ],
)
def test_the_forms_of_tensorflow_serving(content, where, by_row):
    assert parsed(content) == ([[(b"photo", where)]], by_row)


def test_rows_of_products():
    content = {"instances": [[PICTURE, b64(b"other")], [PICTURE, {"b64": ""}, ""]]}
    rows, _ = parsed(content, takes_products=True)
    first = [(b"photo", "instances[0][0]"), (b"other", "instances[0][1]")]
    assert rows == [first, [(b"photo", "instances[1][0]")]]
    text = error_of({"instances": [[PICTURE], [""]]}, takes_products=True)
    assert text == "instances[1] must have at least one picture. Received none."
    text = error_of({"instances": [PICTURE]}, takes_products=True)
    assert text.startswith("instances[0] must be a list of a product's pictures. Received:")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "The body must be JSON in UTF-8. It cannot be read:"),
        (b'{"instances": [', "The body must be JSON in UTF-8."),
        (b"\xff\xfe", "The body must be JSON in UTF-8."),
        (b"[" * 100_000, "The body must be JSON in UTF-8."),
        ([PICTURE], "The body must be a JSON object. Received: ["),
        ({}, "either `instances` (rows) or `inputs` (columns). Received: neither."),
        ({"instances": [PICTURE], "inputs": [PICTURE]}, "Received: instances and inputs."),
        ({"instances": []}, "`instances` must be a list with a row for each picture."),
        ({"inputs": []}, "`inputs` must be a list"),
        ({"instances": PICTURE}, "`instances` must be a list"),
        ({"instances": [1]}, 'instances[0] must be a picture: {"b64": "..."}, with the file'),
        ({"instances": ["x" * 99]}, "instances[0] must be a picture"),
        ({"instances": [{"b64": 1}]}, "instances[0] must be a picture"),
        ({"instances": [PICTURE | {"x": 1}]}, "instances[0] must be a picture"),
        ({"instances": [PICTURE, {"b64": "!!"}]}, "instances[1] must be in base64 (RFC 4648)."),
        ({"instances": [{"b64": ""}]}, "instances[0] must be a picture. Received an empty file."),
        ({"instances": [{"image": PICTURE}]}, "instances[0] must name the input `jpegs` and no"),
        ({"inputs": {"image": [PICTURE]}}, 'no other. Received: ["image"].'),
        ({"signature_name": "other", "instances": [PICTURE]}, "must be 'serving_default'."),
    ],
)
def test_what_is_wrong_is_told(content, text):
    message = error_of(content)
    assert text in message
    assert len(message) < 400
