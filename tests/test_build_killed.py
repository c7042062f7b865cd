"""The real command, killed or out of space at any moment, and started again."""

import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import CATEGORY_NAMES, product, write_bson

TFDS = pathlib.Path(sys.executable).with_name("tfds")


@pytest.fixture(scope="module")
def manual_dir(tmp_path_factory):
    """90 MB: three parts, so that two processes have something to do."""
    import numpy as np
    from PIL import Image

    from tests.conftest import CATEGORY_IDS

    folder = tmp_path_factory.mktemp("manual")
    (folder / "category_names.csv").write_text(CATEGORY_NAMES)
    noise = np.random.default_rng(0).integers(0, 256, (180, 180, 3), np.uint8)
    Image.fromarray(noise).save(folder / "noise.jpg", quality=90)
    picture = (folder / "noise.jpg").read_bytes()
    documents = []
    for number in range(90_000_000 // len(picture)):
        document = product(number, CATEGORY_IDS[number % 5])
        document["imgs"] = [{"picture": picture}]
        documents.append(document)
    write_bson(folder / "train.bson", documents)
    write_bson(folder / "test.bson", [product(1_000_000, None)])
    return folder


def start(manual_dir, data_dir, **kwargs):
    return subprocess.Popen(
        [
            TFDS,
            "build",
            "cdiscount",
            "--imports=cdisc_tfds",
            "--num_shards=1",
            f"--manual_dir={manual_dir}",
            f"--data_dir={data_dir}",
        ],
        cwd=data_dir,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CDISCOUNT_NUM_PROCESSES": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **kwargs,
    )


def files(data_dir):
    folder = data_dir / "cdiscount" / "1.0.0"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def undisturbed(manual_dir, tmp_path_factory):
    """What the command gives when it is left alone, and how long its work takes."""
    data_dir = tmp_path_factory.mktemp("undisturbed")
    process = start(manual_dir, data_dir)
    began = wait_for_work(process, data_dir)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return files(data_dir), time.monotonic() - began


def wait_for_work(process, data_dir):
    """The time when the build starts to write."""
    while not (data_dir / "cdiscount" / "1.0.0.building" / "train").exists():
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.005)
    return time.monotonic()


def kill_and_rebuild(manual_dir, undisturbed, data_dir, moments):
    expected, duration = undisturbed
    for moment in moments:
        process = start(manual_dir, data_dir)
        wait_for_work(process, data_dir)
        time.sleep(moment * duration)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if (data_dir / "cdiscount" / "1.0.0").exists():  # complete, or it would not have its name
            break
    process = start(manual_dir, data_dir)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert files(data_dir) == expected
    leftover = {path.name for path in (data_dir / "cdiscount").iterdir()} - {"1.0.0"}
    # Only a kill between the data set's last renaming and the cleaning may leave the links.
    assert leftover <= {"1.0.0.building"}


def test_killed_twice_and_started_again(manual_dir, undisturbed, tmp_path):
    kill_and_rebuild(manual_dir, undisturbed, tmp_path, [0.3, 0.6])


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(25))
def test_killed_at_any_moment(manual_dir, undisturbed, tmp_path, seed):
    chance = random.Random(seed)
    kill_and_rebuild(
        manual_dir, undisturbed, tmp_path, [chance.random() for _ in range(1 + seed % 2)]
    )


def test_a_full_disk(manual_dir, undisturbed, tmp_path):
    """A limit on the size of files stands in for a full disk: the same errors, no mounting."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20 << 20, 20 << 20))

    process = start(manual_dir, tmp_path, preexec_fn=limit)
    output, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "The disk (or a limit on file sizes) is full: [Errno 27] File too large" in output
    assert "The build needs 0.2 GB in all in" in output
    assert "start the same command again to continue" in output
    folder = tmp_path / "cdiscount"
    assert [path.name for path in folder.iterdir()] == ["1.0.0.building"]
    assert not list(folder.rglob("*.partial")) and not list(folder.rglob("*.records"))

    process = start(manual_dir, tmp_path)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert files(tmp_path) == undisturbed[0]
