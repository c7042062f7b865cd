"""Similar products beside the categories: in the answers, as pictures, and on the page."""

import dataclasses
import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from tests.helpers.browser import open_browser
from tests.helpers.running_service import instances, running_service
from tests.helpers.similar_products import small_similar
from tests.helpers.small_data import make_products
from trainer.prediction.featured_runs import FeaturedNetwork
from trainer.prediction.loaded_runs import load_runs
from trainer.prediction.options import NetworkOptions
from trainer.prediction.run_selection import RunSelection
from trainer.runs.embedding_file import EmbeddingFileError
from trainer.runs.embedding_origin import EmbeddingFile, EmbeddingOrigin, FeatureRun
from trainer.service.page import page
from trainer.service.thumbnails import Thumbnails

DAMAGED = b"\xff\xd8\xff no picture"


@pytest.fixture(scope="module")
def products(data):
    """The products of `similar`: the first with a damaged picture, the second unlabelled."""
    products = make_products([0, 1, 2, 3, 4, 5] * 2, seed=5)
    products[0] = products[0]._replace(images=[DAMAGED, *products[0].images])
    products[1] = products[1]._replace(category=-1)
    data.add("similar", products)
    return products


@pytest.fixture(scope="module")
def similar(runs, run_folder, data, products, tmp_path_factory):
    output = tmp_path_factory.mktemp("features") / "f.parquet"
    return small_similar(runs, [run_folder.path], data, "similar", output)


@pytest.fixture(scope="module")
def client(runs, similar):
    with running_service(runs, similar, top=2) as client:
        yield client


def files(product):
    readable = [image for image in product.images if image != DAMAGED]
    return [(f"{number}.jpg", image) for number, image in enumerate(readable)]


def test_a_product_from_training_is_most_similar_to_itself(client, runs, products, data):
    for place in (0, 1, 4):
        product = products[place]
        (row,) = client.classify(*files(product)).json["products"]
        first, *others = row["similar"]
        assert first["product_id"] == product.product_id and len(others) == 2
        assert first["similarity"] == pytest.approx(1, abs=2e-3)
        assert first["picture"] == f"similar/{product.product_id}.jpg"
        if product.category < 0:
            assert first["path"] == [] and "category_id" not in first
        else:
            assert first["path"] == list(data.categories.path_of(product.category))
            assert first["category_id"] == data.categories.category_ids[product.category]
        values = [near["similarity"] for near in row["similar"]]
        assert values == sorted(values, reverse=True)


def test_predictions_are_those_without_similar_products(client, runs, products):
    with running_service(runs, top=2) as plain:
        (expected,) = plain.classify(*files(products[2])).json["products"]
    (found,) = client.classify(*files(products[2])).json["products"]
    assert "similar" not in expected
    for one, other in zip(found["categories"], expected["categories"], strict=True):
        assert one.pop("probability") == pytest.approx(other.pop("probability"), abs=1e-6)
        assert one == other
    rows = client.predict(instances([products[2].images[0]])).json["predictions"]
    assert set(rows[0]) == {"class", "name", "probability", "probabilities", "category_id"}


def test_pictures_of_similar_products(client, runs, products):
    reply = client.get(f"/similar/{products[0].product_id}.jpg")
    assert (reply.status, reply.headers["content-type"]) == (200, "image/jpeg")
    assert reply.headers["cache-control"].startswith("private, max-age=")
    assert reply.body == products[0].images[1]  # the first that is readable, and small already
    for number in (1, -5, 10**19 - 1):
        missing = client.get(f"/similar/{number}.jpg")
        assert missing.status == 404
        assert missing.error == f"similar has no product {number} with a picture that can be read."
    assert client.get("/similar/x.jpg").status == 404
    assert client.metric('classifier_requests_total{endpoint="similar",status="200"}') == 1
    with running_service(runs) as plain:
        assert plain.get(f"/similar/{products[0].product_id}.jpg").status == 404


def test_thumbnails_are_small_and_kept(data):
    pixels = np.random.default_rng(0).integers(0, 256, [400, 300, 3]).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    first, *rest = make_products([0, 1])
    split = data.add("large", [first._replace(images=[file.getvalue()]), *rest])
    thumbnails = Thumbnails(split)
    small = thumbnails.of(first.product_id)
    assert small is not None and max(Image.open(io.BytesIO(small)).size) == 180
    for part in split.files:
        pathlib.Path(part.path).unlink()
    assert thumbnails.of(first.product_id) is small  # nothing is read again


def test_files_of_other_weights_or_products_are_refused(similar, runs, data, tmp_path):
    origin = dataclasses.replace(
        _origin(runs), runs=({"run": "other", "sha256": "0" * 64},), split="similar"
    )
    file = EmbeddingFile(tmp_path / "f.npz", origin, "")
    weights = [member.feature_weights for member in runs.members]
    with pytest.raises(EmbeddingFileError, match="those of other .weights 000000000000.; here are"):
        file.place_of_weights([FeatureRun("run")], weights)
    own = EmbeddingFile(tmp_path / "f.npz", _origin(runs), "")
    named = [FeatureRun("two_stage"), FeatureRun("run")]
    assert own.place_of_weights(named, [(), *weights]) == 1
    with pytest.raises(EmbeddingFileError, match="similar has other products: it is another data"):
        own.split_in(data, named[1])
    with pytest.raises(EmbeddingFileError, match="which cannot be read so .FileNotFoundError"):
        EmbeddingFile.open(tmp_path / "none.npz")


def _origin(runs):
    (weights,) = runs.members[0].feature_weights
    return EmbeddingOrigin((dataclasses.asdict(weights),), "similar", "digest", "tf", False)


@pytest.mark.parametrize("flip", [False, True])
def test_features_beside_views(run_folder, runs, flip):
    plain = load_runs(
        RunSelection(run_dir=str(run_folder.path)), NetworkOptions(flip=True), "arithmetic"
    )
    images = np.random.default_rng(1).integers(0, 256, [4, 16, 16, 3]).astype(np.uint8)
    ordinals = np.array([0, 0, 1, 2])
    found, features = FeaturedNetwork(plain.members[0], flip).predict({16: images}, ordinals)
    expected = plain.members[0].predict({16: images}, ordinals)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    assert features.shape[0] == 3
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)


def test_the_page_is_silent_without_similar_products():
    plain, with_similar = page("t", "d"), page("t", "d", "<b> of train")
    assert b"Similar products" not in plain.html and b'id="similar"' not in plain.html
    assert "img-src blob: data:;" in plain.headers["Content-Security-Policy"]
    assert b"&lt;b&gt; of train" in with_similar.html
    assert "img-src blob: data: 'self';" in with_similar.headers["Content-Security-Policy"]


def test_a_person_sees_similar_products(runs, similar, products, data, tmp_path):
    paths = []
    for name, content in files(products[1]):
        paths.append(tmp_path / name)
        paths[-1].write_bytes(content)
    others = data.add("others", make_products([0], first_id=900))
    for width, thumbnails in ((390, similar.thumbnails), (1100, Thumbnails(others))):
        shown = dataclasses.replace(similar, thumbnails=thumbnails)
        with open_browser(width, 800) as driver, running_service(runs, shown, top=2) as client:
            driver.get(f"http://127.0.0.1:{client.port}/")
            driver.find_element("id", "files").send_keys("\n".join(map(str, paths)))
            (row,) = client.classify(*files(products[1])).json["products"]
            _wait(driver, "return document.querySelectorAll('#similar li').length === 3")
            texts = [one.text for one in driver.find_elements("css selector", "#similar .quiet")]
            assert texts == [
                f"product {near['product_id']} · similarity {near['similarity']:.2f}"
                for near in row["similar"]
            ]
            leaves = [one.text for one in driver.find_elements("css selector", "#similar .leaf")]
            assert leaves == [(near["path"] or ["unlabelled"])[-1] for near in row["similar"]]
            if thumbnails is similar.thumbnails:
                script = "return [...document.images].every(one => one.naturalWidth > 0)"
                _wait(driver, script)
                assert not driver.find_elements("css selector", "#similar .lost")
            else:
                _wait(driver, "return document.querySelectorAll('#similar .lost').length === 3")
            page_width = driver.execute_script("return document.documentElement.scrollWidth")
            assert page_width <= width
            lines = [entry["message"] for entry in driver.get_log("browser")]
            assert [line for line in lines if "Failed to load resource" not in line] == []


def _wait(driver, script):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 60).until(lambda driver: driver.execute_script(script))
