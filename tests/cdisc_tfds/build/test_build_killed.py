"""The real command, killed or out of space at any moment, and started again."""

import collections
import os
import pathlib
import random
import resource
import shutil
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


WAYS = {"reread": "1", "merged": "0"}


def start(manual_dir, data_dir, way="reread", **kwargs):
    variables = {"CDISCOUNT_NUM_PROCESSES": "2", "CDISCOUNT_REREAD": WAYS[way]}
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
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables},
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
    """What the command gives when it is left alone, and the seconds from its first file to the
    data set's name."""
    data_dir = tmp_path_factory.mktemp("undisturbed")
    process = start(manual_dir, data_dir)
    began = wait_for_work(process, data_dir)
    while process.poll() is None and not (data_dir / "cdiscount" / "1.0.0").exists():
        time.sleep(0.005)
    seconds = time.monotonic() - began
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return files(data_dir), seconds


def wait_for_work(process, data_dir):
    """The time when the build starts to write."""
    while not (data_dir / "cdiscount" / "1.0.0.building" / "train").exists():
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.005)
    return time.monotonic()


def kill_and_rebuild(manual_dir, undisturbed, data_dir, moments, way):
    """Kills each time (phase, share) so long after the phase was seen, as a share of the
    undisturbed duration; returns the phases that were hit."""
    expected, duration = undisturbed
    phases = []
    for phase, share in moments:
        process = start(manual_dir, data_dir, way)
        wait_for_work(process, data_dir)
        while phase not in phase_of(data_dir) and process.poll() is None:
            time.sleep(0.001)
        time.sleep(share * duration)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == -signal.SIGKILL:
            phases.append(phase_of(data_dir))
        if (data_dir / "cdiscount" / "1.0.0").exists():  # complete, or it would not have its name
            break
    process = start(manual_dir, data_dir, way)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert files(data_dir) == expected
    leftover = {path.name for path in (data_dir / "cdiscount").iterdir()} - {"1.0.0"}
    # Only a kill between the data set's last renaming and the cleaning may leave the links.
    assert leftover <= {"1.0.0.building"}
    return phases


@pytest.mark.parametrize("way", WAYS)
def test_killed_twice_and_started_again(manual_dir, undisturbed, tmp_path, way):
    moments = [("", 0.3), ("shards", 0.1)]
    kill_and_rebuild(manual_dir, undisturbed, tmp_path, moments, way)


@pytest.mark.torture
def test_killed_at_random_moments(manual_dir, undisturbed, tmp_path, capsys):
    """TORTURE_SEED chooses the moments; every other build is killed twice, half of them go the one
    way and half the other."""
    chance = random.Random(f"{os.environ.get('TORTURE_SEED', '0')} build")
    hit = collections.Counter()
    for number in range(12):
        data_dir = tmp_path / str(number)
        data_dir.mkdir()
        aims = [
            chance.choice(["", "(1 finished)", "shards", "name"]) for _ in range(1 + number % 2)
        ]
        moments = [(aim, chance.uniform(0, 0.3 if aim else 1.1)) for aim in aims]
        way = list(WAYS)[number // 2 % 2]
        hit.update(kill_and_rebuild(manual_dir, undisturbed, data_dir, moments, way))
        shutil.rmtree(data_dir)
    with capsys.disabled():
        print(f"\nbuild: {undisturbed[1]:.1f} s of work; {hit.total()} kills, 12 equal data sets")
        for phase, count in sorted(hit.items()):
            print(f"  {count:3d}  {phase}")


def phase_of(data_dir):
    """What a killed build was doing, by what it left behind."""
    if (data_dir / "cdiscount" / "1.0.0").exists():
        return "after the data set had its name"
    building = data_dir / "cdiscount" / "1.0.0.building"
    for split in ("train", "test"):
        if not (building / split / "built.json").exists():
            shards = list((building / split).glob("*.tfrecord-*"))
            partial = list((building / split).glob("*tfrecord*.written"))
            parts = list((building / split).glob("part-*.npz"))
            writing = "shards" if shards or partial else f"parts ({len(parts)} finished)"
            return f"{split}: {writing}"
    return "between the last split and the name"


@pytest.mark.parametrize("way", WAYS)
def test_a_full_disk(manual_dir, undisturbed, tmp_path, way):
    """A limit on the size of files stands in for a full disk: the same errors, no mounting."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20 << 20, 20 << 20))

    process = start(manual_dir, tmp_path, way, preexec_fn=limit)
    output, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "The disk (or a limit on file sizes) is full: [Errno 27] File too large" in output
    assert "The build needs 0.2 GB in all in" in output
    assert "start the same command again to continue" in output
    folder = tmp_path / "cdiscount"
    assert [path.name for path in folder.iterdir()] == ["1.0.0.building"]
    assert not [*folder.rglob("*.partial"), *folder.rglob("*.written")]
    # What fitted is whole: its table is there, and the next build goes on from it.
    assert all(path.with_suffix(".npz").exists() for path in folder.rglob("*.records"))

    process = start(manual_dir, tmp_path, way)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert files(tmp_path) == undisturbed[0]


@pytest.mark.torture
def test_a_full_tmpfs(manual_dir, undisturbed, small_disk):
    """Too small from the start, filled by others meanwhile, and then large enough."""
    data_dir = small_disk("50m")
    folder = data_dir / "cdiscount"
    process = start(manual_dir, data_dir)
    output, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "The build needs 0.2 GB of free space in" in output
    assert "Received: 0.1 GB. Free some, or choose another folder with --data_dir." in output
    assert [path.name for path in folder.iterdir()] == ["1.0.0.building"]

    subprocess.run(["mount", "-o", "remount,size=400m", data_dir], check=True)
    process = start(manual_dir, data_dir)
    wait_for_work(process, data_dir)
    with open(data_dir / "others", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(data_dir).free - (20 << 20))
    output, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "The disk (or a limit on file sizes) is full: [Errno 28] No space left" in output
    assert "start the same command again to continue" in output
    assert [path.name for path in folder.iterdir()] == ["1.0.0.building"]
    assert not list(folder.rglob("*.partial"))

    (data_dir / "others").unlink()
    process = start(manual_dir, data_dir)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert files(data_dir) == undisturbed[0]
