"""A real browser: Chromium without a window, driven by Selenium; tests skip where there is none."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextlib.contextmanager
def open_browser(width: int, height: int) -> Iterator[Any]:
    """A window of this size in pixels, as Selenium's driver; its console is kept."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs the package selenium")
    browser = next(filter(None, map(shutil.which, _NAMES)), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip(f"needs a browser ({', '.join(_NAMES)}) and chromedriver on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    # Below 500 pixels, only an emulated phone is as narrow as it says.
    metrics = {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 1.0}}
    options.add_experimental_option("mobileEmulation", metrics)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    window = webdriver.Chrome(options=options, service=service)
    try:
        yield window
    finally:
        window.quit()
