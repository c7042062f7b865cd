"""What each address of the service answers, over real HTTP."""

import concurrent.futures
import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.helpers.fused_runs import config_of, write_members
from tests.helpers.running_service import b64, instances, running_service
from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer.data.label_map import LabelMap
from trainer.data.tf_decoding import decode_jpeg
from trainer.models.networks import build_model
from trainer.prediction.loaded_runs import LoadedNetwork, LoadedRuns, load_runs
from trainer.prediction.options import NetworkOptions
from trainer.prediction.predictor import Predictor
from trainer.prediction.run_selection import RunSelection
from trainer.prediction.saved_model import export
from trainer.prediction.served_runs import load_served
from trainer.training.train import train


@pytest.fixture(scope="module")
def client(runs):
    with running_service(runs, top=3, max_pictures=12, max_pixels=1000) as client:
        yield client


@pytest.fixture(scope="module")
def expected(runs, jpegs):
    """The probabilities of each picture, from the run's predictor: float32 [12, 6]."""
    predictor = runs.members[0].predictor
    return predictor.probabilities(
        tf.stack([decode_jpeg(jpeg, predictor.image_size) for jpeg in jpegs])
    )


# The page, and what operators ask.


def test_the_page(client):
    reply = client.get("/")
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert b"A &lt;run&gt;" in reply.body


def test_health_and_metrics(client, jpegs):
    assert client.get("/healthz").json == {"status": "ok"}
    predicted = 'classifier_requests_total{endpoint="predict",status="200"}'
    before = client.metric(predicted), client.metric("classifier_pictures_total")
    client.predict(instances(jpegs[:5]))
    assert client.metric(predicted) == before[0] + 1
    assert client.metric("classifier_pictures_total") == before[1] + 5
    assert client.metric("classifier_pictures_in_work") == 0
    assert client.metric("classifier_connections") >= 1  # that of this very request
    client.predict({})
    assert client.metric('classifier_refusals_total{reason="request"}') >= 1
    assert client.metric('classifier_request_seconds_count{endpoint="predict"}') >= 2
    # Clients cannot make the metrics grow.
    client.get("/v1/models/x/y/z")
    client.get("/nowhere/at/all")
    text = client.get("/metrics").body.decode()
    assert "nowhere" not in text and 'endpoint="other",status="404"' in text


def test_status_and_metadata(client):
    for path in ("/v1/models/run", "/v1/models/run/versions/7"):
        (version,) = client.get(path).json["model_version_status"]
        assert version["version"] == "7" and version["state"] == "AVAILABLE"
        assert version["status"] == {"error_code": "OK", "error_message": ""}
    metadata = client.get("/v1/models/run/metadata").json
    assert metadata["model_spec"] == {"name": "run", "signature_name": "", "version": "7"}
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    shapes = {
        name: (tensor["dtype"], [int(one["size"]) for one in tensor["tensor_shape"]["dim"]])
        for name, tensor in (signature["inputs"] | signature["outputs"]).items()
    }
    assert shapes == {
        "jpegs": ("DT_STRING", [-1]),
        "class": ("DT_INT32", [-1, 3]),
        "category_id": ("DT_INT64", [-1, 3]),
        "name": ("DT_STRING", [-1, 3]),
        "probability": ("DT_FLOAT", [-1, 3]),
        "probabilities": ("DT_FLOAT", [-1, 6]),
    }


# TensorFlow Serving's interface.


def test_answers_are_those_of_the_saved_model(client, run_folder, jpegs, tmp_path):
    selection = RunSelection(run_dir=str(run_folder.path))
    served, _ = load_served(selection, NetworkOptions(), "float32")
    loaded = tf.saved_model.load(str(export(served, tmp_path / "1", top=3)))
    outputs = loaded.signatures["serving_default"](tf.constant(jpegs))
    columns = client.predict({"inputs": {"jpegs": [b64(jpeg) for jpeg in jpegs]}}).json["outputs"]
    rows = client.predict(instances(jpegs)).json["predictions"]
    assert set(columns) == set(outputs) == set(rows[0])
    for name, values in outputs.items():
        values = values.numpy()
        if name == "name":
            values = np.array([[one.decode() for one in row] for row in values])
        if values.dtype == np.float32:
            np.testing.assert_allclose(columns[name], values, atol=1e-6)
        else:
            np.testing.assert_array_equal(columns[name], values)
        assert [row[name] for row in rows] == columns[name]


def test_answers_are_those_of_the_predictor(client, jpegs, expected):
    rows = client.predict(instances(jpegs)).json["predictions"]
    np.testing.assert_allclose([row["probabilities"] for row in rows], expected, atol=1e-6)
    versioned = client.request(
        "POST", "/v1/models/run/versions/7:predict", json.dumps(instances(jpegs)).encode()
    )
    assert versioned.json["predictions"] == rows


def test_probabilities_of_all_classes_can_be_left_out(runs, jpegs):
    with running_service(runs, all_probabilities=False) as client:
        (row,) = client.predict(instances(jpegs[:1])).json["predictions"]
        outputs = client.get("/v1/models/run/metadata").json["metadata"]["signature_def"]
    assert set(row) == {"class", "category_id", "name", "probability"}
    assert set(outputs["signature_def"]["serving_default"]["outputs"]) == set(row)


def test_many_clients_at_once_get_their_own_answers(client, jpegs, expected):
    """None is lost and none is mixed up, whatever batches they shared."""
    rng = np.random.default_rng(1)
    asked = [rng.integers(0, len(jpegs), rng.integers(1, 5)) for _ in range(200)]

    def ask(places):
        return client.predict(instances([jpegs[place] for place in places]))

    with concurrent.futures.ThreadPoolExecutor(24) as clients:
        replies = list(clients.map(ask, asked))
    for places, reply in zip(asked, replies, strict=True):
        assert reply.status == 200
        rows = [row["probabilities"] for row in reply.json["predictions"]]
        np.testing.assert_allclose(rows, expected[places], atol=1e-6)
    batches = client.metric("classifier_batch_pictures_count")
    assert client.metric("classifier_batch_pictures_sum") > 1.2 * batches


def test_one_bad_picture_fails_its_own_request_alone(client, jpegs, expected):
    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        bad = [clients.submit(client.predict, instances([b"no picture"])) for _ in range(20)]
        good = [clients.submit(client.predict, instances(jpegs[:2])) for _ in range(20)]
        assert {one.result().status for one in bad} == {400}
        for one in good:
            (first, _) = one.result().json["predictions"]
            np.testing.assert_allclose(first["probabilities"], expected[0], atol=1e-6)


# The service's own interface.


def test_the_photos_of_a_product(client, data, jpegs, expected):
    reply = client.classify(("a.jpg", jpegs[0]), ("b.jpg", jpegs[2]))
    (product,) = reply.json["products"]
    assert product["num_pictures"] == 2 and "neighbours" not in product and "id" not in product
    mean = (expected[0] + expected[2]) / 2
    best = np.argsort(-mean)[:3]
    rows = product["categories"]
    assert [row["class"] for row in rows] == best.tolist()
    assert [row["category_id"] for row in rows] == data.categories.category_ids[best].tolist()
    np.testing.assert_allclose([row["probability"] for row in rows], mean[best], atol=1e-6)
    names = {row["class"]: row["path"] for row in rows}
    paths = LabelMap(data.categories).paths
    assert all(path == list(paths[label]) for label, path in names.items())
    assert paths[0] == ("HOME", "LAMPS", "DESK LAMP")
    assert paths[2] == ("BOOKS", "NOVELS", "<img src=x onerror=alert(1)>")


def test_several_products_in_json(client, jpegs):
    products = [
        {"id": "a/ü<b>", "pictures": [b64(jpegs[0]), b64(jpegs[1])]},
        {"pictures": [b64(jpegs[2])]},
    ]
    body = json.dumps({"products": products}).encode()
    first, second = client.request("POST", "/classify", body, "application/json").json["products"]
    assert (first["id"], first["num_pictures"], second["num_pictures"]) == ("a/ü<b>", 2, 1)
    (alone,) = client.classify(("x", jpegs[2])).json["products"]
    np.testing.assert_allclose(
        [row["probability"] for row in second["categories"]],
        [row["probability"] for row in alone["categories"]],
        atol=1e-6,
    )


def test_photos_of_other_formats(client, jpegs):
    file = io.BytesIO()
    Image.open(io.BytesIO(jpegs[3])).save(file, "PNG")
    png, jpeg = (
        client.classify((name, content)).json["products"][0]["categories"]
        for name, content in (("a.png", file.getvalue()), ("a.jpg", jpegs[3]))
    )
    assert [row["class"] for row in png] == [row["class"] for row in jpeg]
    # TensorFlow Serving's interface is for JPEGs, like the SavedModel.
    reply = client.predict(instances([file.getvalue()]))
    assert reply.status == 400 and "must be a JPEG file" in reply.error


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "must have `products`: a list"),
        ({"products": []}, "must have `products`: a list"),
        ({"products": [3]}, "products[0] must have `pictures`: a list"),
        ({"products": [{"pictures": []}]}, "products[0] must have `pictures`: a list"),
        ({"products": [{"pictures": ["x"]}]}, "products[0].pictures[0] must be a picture"),
    ],
)
def test_wrong_json_is_told(client, body, text):
    reply = client.request("POST", "/classify", json.dumps(body).encode(), "application/json")
    assert reply.status == 400 and text in reply.error


def test_wrong_forms_are_told(client):
    reply = client.classify(("<b>.jpg", b""))
    assert (reply.status, reply.error) == (400, "picture 1 (<b>.jpg) is empty.")
    kind = "multipart/form-data; boundary=x"
    for body in (b"", b"nonsense", b"--x\r\n\r\nno file\r\n--x--\r\n"):
        assert client.request("POST", "/classify", body, kind).status == 400
    assert client.request("POST", "/classify", b"", "multipart/form-data").status == 400
    reply = client.classify(("a.heic", b"ftypheic" * 99))
    assert reply.status == 415 and "picture 1 (a.heic) must be a picture" in reply.error


# Refusals.


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/nowhere", 404, "This service has /, /classify"),
        ("GET", "/v1/models/other", 404, "has the model 'run' alone, at /v1/models/run."),
        ("POST", "/v1/models/other:predict", 404, "has the model 'run' alone"),
        ("GET", "/v1/models/run/versions/8", 404, "has the version 7 alone. Received: 8."),
        ("POST", "/v1/models/run:regress", 404, "has the method :predict alone"),
        ("GET", "/v1/models/run:predict", 405, "takes POST. Received: GET."),
        ("POST", "/v1/models/run", 405, "takes GET"),
        ("GET", "/classify", 405, "/classify takes POST. Received: GET."),
        ("PUT", "/v1/models/run:predict", 405, "Received: PUT."),
        ("POST", "/classify", 415, "takes application/json or multipart/form-data. Received:"),
    ],
)
def test_a_refusal_is_told(client, method, path, status, text):
    reply = client.request(method, path, b"x")
    assert reply.status == status and text in reply.error
    assert reply.headers["content-type"].startswith("application/json")
    assert ("allow" in reply.headers) == (status == 405)


def test_too_many_pictures_and_pixels(client, jpegs):
    reply = client.predict(instances([*jpegs, jpegs[0]]))
    assert reply.status == 413
    assert reply.error.startswith("A request may have at most 12 pictures. Received: 13.")
    file = io.BytesIO()
    Image.new("RGB", (40, 30)).save(file, "JPEG")
    reply = client.predict(instances([file.getvalue()]))
    assert reply.status == 413
    rule = "instances[0] may have at most 1,000 pixels. Received: 40 x 30."
    assert reply.error.startswith(rule)
    assert client.classify(("a", file.getvalue())).status == 413


def test_a_network_that_has_diverged(data, jpegs, caplog):
    """Its answers would be NaN, which JSON cannot hold."""
    network = build_model("logistic", 6, image_size=SIZE)
    predictor = Predictor(network, LabelMap(data.categories), image_size=SIZE)
    runs = LoadedRuns((LoadedNetwork(predictor, "arithmetic"),))
    with running_service(runs) as client:
        network.set_weights([np.full_like(one, np.nan) for one in network.get_weights()])
        reply = client.predict(instances(jpegs[:1]))
        assert reply.status == 500 and "its weights have diverged" in reply.error
        assert client.get("/healthz").status == 200


# Fused runs, and runs of other targets.


def test_a_fused_run_takes_products(tmp_path, jpegs):
    data = SmallData(tmp_path)
    data.add("train", make_products(np.arange(12) % 6))
    data.add("validation", make_products(np.arange(6), seed=1, first_id=100))
    members = write_members(tmp_path, data)
    train(config_of(tmp_path / "fused", members, data, epochs=1), tmp_path / "fused", data)
    selection = RunSelection(run_dir=str(tmp_path / "fused"))
    served, _ = load_served(selection, NetworkOptions(), "float32")
    products = [jpegs[:2], jpegs[2:3], jpegs[3:6]]
    matrix = [[*row, *[b""] * (3 - len(row))] for row in products]
    expected = served.forward(tf.constant(matrix)).numpy()
    runs = load_runs(selection, NetworkOptions(), "arithmetic")
    with running_service(runs) as client:
        rows = [[b64(jpeg) for jpeg in product] for product in products]
        ragged = client.predict({"instances": rows}).json["predictions"]
        padded = [[b64(jpeg) for jpeg in row] for row in matrix]
        whole = client.predict({"instances": padded}).json["predictions"]
        metadata = client.get("/v1/models/run/metadata").json["metadata"]["signature_def"]
        (product,) = client.classify(("a", jpegs[0]), ("b", jpegs[1])).json["products"]
    for answers in (ragged, whole):
        np.testing.assert_allclose([row["probabilities"] for row in answers], expected, atol=1e-6)
    jpeg_shape = metadata["signature_def"]["serving_default"]["inputs"]["jpegs"]["tensor_shape"]
    assert [one["size"] for one in jpeg_shape["dim"]] == ["-1", "-1"]
    assert product["categories"][0]["probability"] == pytest.approx(expected[0].max(), abs=1e-6)


def test_a_run_of_another_target(data, jpegs):
    label_map = LabelMap(data.categories, "level2")
    model = build_model("logistic", label_map.num_classes, image_size=SIZE)
    predictor = Predictor(model, label_map, image_size=SIZE)
    runs = LoadedRuns((LoadedNetwork(predictor, "arithmetic"),))
    with running_service(runs, top=100) as client:
        (row,) = client.predict(instances(jpegs[:1])).json["predictions"]
        (product,) = client.classify(("a", jpegs[0])).json["products"]
    assert "category_id" not in row and len(row["class"]) == label_map.num_classes
    paths = {row["class"]: row["path"] for row in product["categories"]}
    assert paths[0] == ["HOME", "LAMPS"] and "category_id" not in product["categories"][0]
