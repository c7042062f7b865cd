"""The line that shows how far a build is."""

import pytest
import tensorflow_datasets as tfds

from cdisc_tfds.build.progress import BuildProgress


@pytest.fixture(autouse=True)
def enabled():
    tfds.enable_progress_bar()


def test_rate_and_share(capfd, monkeypatch):
    clock = iter([100.0, 102.0, 104.0])
    monkeypatch.setattr("cdisc_tfds.build.progress.time.monotonic", lambda: next(clock))
    with BuildProgress("train", 1000) as progress:
        progress._bar.mininterval = 0
        progress(400, 5000)
        progress(600, 7000)
        assert progress._bar.n == 1000 and progress._bar.total == 2000
        assert progress._bar.postfix == "3,000 products/s"  # 12,000 in 4 s
        progress(1000, 0)  # writing
    line = capfd.readouterr().err
    assert "train:  50%" in line and "3,000 products/s" in line and "<" in line


def test_can_be_turned_off(capfd):
    tfds.disable_progress_bar()
    try:
        with BuildProgress("train", 1000) as progress:
            progress(400, 5000)
    finally:
        tfds.enable_progress_bar()
    assert capfd.readouterr().err == ""
