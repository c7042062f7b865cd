"""The page for people: escaped and self-contained, and at work in a real browser."""

import io
import os
import re
import time

import numpy as np
import pytest
from PIL import Image

from tests.helpers.browser import open_browser
from tests.helpers.html_checks import assert_well_formed
from tests.helpers.running_service import running_service
from trainer.service.page import page

TOP = 6  # all classes


def test_the_page_escapes_what_it_is_told():
    made = page("<script>alert(1)</script>", 'a "b" & <i>c</i>')
    text = made.html.decode()
    assert "<script>alert" not in text and "<i>" not in text and "[[" not in text
    assert "<title>&lt;script&gt;alert(1)&lt;/script&gt;</title>" in text
    assert "a &#34;b&#34; &amp; &lt;i&gt;c&lt;/i&gt;" in text
    assert (
        made.headers["Content-Security-Policy"] == page("x", "y").headers["Content-Security-Policy"]
    )


def test_the_page_needs_nothing_else():
    text = page("t", "d").html.decode()
    assert not re.search(r"https?://|src=\"|@import|url\(", text)
    assert_well_formed(re.sub(r"<(script|style)>.*?</\1>", "", text, flags=re.DOTALL))


@pytest.fixture
def photos(tmp_path, jpegs):
    """Files: three JPEGs and a PNG with names that are HTML, and a file that is no picture."""
    for number in range(3):
        (tmp_path / f"photo{number}.jpg").write_bytes(jpegs[number])
    Image.open(io.BytesIO(jpegs[3])).save(tmp_path / "<img src=x onerror=alert(2)>.png")
    (tmp_path / "none.jpg").write_bytes(b"no picture")
    return tmp_path


class Window:
    """The page in a browser."""

    def __init__(self, driver, client):
        self._driver = driver
        driver.get(f"http://127.0.0.1:{client.port}/")

    def all(self, selector):
        return self._driver.find_elements("css selector", selector)

    def choose(self, *paths):
        """Chooses files, and waits for what the page says of them."""
        self.all("#files")[0].send_keys("\n".join(map(str, paths)))
        self.settle()

    def settle(self):
        deadline = time.monotonic() + 60
        while "Looking at" in self.message:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    @property
    def message(self):
        return self.all("#message")[0].text

    @property
    def shares(self):
        return [one.text for one in self.all("#categories .share")]

    def run(self, script):
        return self._driver.execute_script(script)

    def faults(self):
        """What the console says of the page's own script and of its policy."""
        lines = [entry["message"] for entry in self._driver.get_log("browser")]
        return [line for line in lines if "Failed to load resource" not in line]

    def keep(self, name):
        """A screenshot for people, if the variable CDISCOUNT_SCREENSHOTS names a folder."""
        if folder := os.environ.get("CDISCOUNT_SCREENSHOTS"):
            self._driver.save_screenshot(f"{folder}/{name}.png")


def test_a_person_drops_photos(runs, photos, data):
    with open_browser(390, 800) as driver, running_service(runs, top=TOP) as client:
        window = Window(driver, client)
        window.choose(photos / "photo0.jpg", photos / "photo1.jpg")
        window.keep("two-photos")
        (product,) = client.classify(
            *((name, (photos / name).read_bytes()) for name in ("photo0.jpg", "photo1.jpg"))
        ).json["products"]
        expected = product["categories"]
        assert window.message == ""
        assert window.shares == [f"{100 * row['probability']:.1f} %" for row in expected]
        leaves = [one.text for one in window.all("#categories .leaf")]
        assert leaves == [row["name"] for row in expected]
        above = [one.text for one in window.all("#categories .above")]
        assert above == [" › ".join(row["path"][:-1]) for row in expected]
        widths = [one.size["width"] for one in window.all("#categories .bar")]
        track = window.all("#categories .track")[0].size["width"]
        np.testing.assert_allclose(
            widths, [max(2, track * row["probability"]) for row in expected], atol=1
        )
        # The name that is HTML is shown as it is, and was not executed.
        assert "<img src=x onerror=alert(1)>" in leaves
        assert not window.all("#categories img")
        # A fifth photo has no place; a PNG has.
        window.choose(photos / "photo2.jpg", *photos.glob("*.png"), photos / "photo0.jpg")
        assert len(window.all("#photos img")) == 4
        assert window.message == "A product has at most 4 photos: the others are left out."
        assert len(window.shares) == TOP
        before = window.shares
        window.all("#photos button")[0].click()
        window.settle()
        assert len(window.all("#photos img")) == 3 and window.shares != before
        # Nothing is wider than a phone.
        assert window.run("return document.documentElement.scrollWidth") <= 390
        assert window.faults() == []


def test_a_person_drops_no_photo(runs, photos):
    with open_browser(390, 800) as driver, running_service(runs) as client:
        window = Window(driver, client)
        window.choose(photos / "none.jpg")
        assert window.message.startswith("picture 1 (none.jpg) must be a picture in one of the")
        assert "fault" in window.all("#message")[0].get_attribute("class")
        assert window.shares == []
        window.keep("no-photo")
        window.all("#photos button")[0].click()
        assert window.message == "" and not window.all("#photos li")
        window.choose(photos / "photo0.jpg")
        assert len(window.shares) == 5


def test_the_page_tells_that_the_service_is_gone(runs, photos):
    with open_browser(800, 600) as driver:
        with running_service(runs) as client:
            window = Window(driver, client)
        window.choose(photos / "photo0.jpg")
        assert window.message == "The service does not answer. Is it still running?"
