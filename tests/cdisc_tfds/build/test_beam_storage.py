"""A build on Beam whose shared folder is full or read-only: told, nothing lost, and it goes on."""

import contextlib
import os
import shutil
import subprocess

import pytest

from cdisc_tfds.build import beam_build
from cdisc_tfds.build.beam_units import make_one_part, write_one_shard
from cdisc_tfds.build.folder import BuildFolderError, DiskFullError
from cdisc_tfds.build.split_build import BuildError
from tests.cdisc_tfds.build.test_beam_build import HERE, THREE_SHARDS, small_parts
from tests.cdisc_tfds.build.test_split_build import files
from tests.cdisc_tfds.test_dataset_builder import build

__all__ = ["small_parts"]


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


@pytest.fixture
def lasting(tmp_path, competition, monkeypatch):
    """A function: builds in the folder once it is usable; only what is missing is made again."""

    def go_on(data_dir, kept):
        made = []
        monkeypatch.setattr(
            beam_build,
            "make_one_part",
            lambda plans, piece: made.append(piece[0]) or (make_one_part(plans, piece)),
        )
        there = build(data_dir, competition, config=HERE)
        assert files(there) == files(build(tmp_path / "here", competition, config=THREE_SHARDS))
        assert len(made) + kept <= 15  # parts of both splits

    return go_on


def test_a_disk_that_is_too_small(competition, small_disk):
    """It is told before anything is read: parts and shards are there at the same time."""
    with pytest.raises(DiskFullError, match=r"needs 0\.0 GB of free space in .*Received: 0\.0 GB"):
        build(small_disk(64 << 10), competition, config=HERE)


def test_a_disk_that_gets_full(competition, small_disk, monkeypatch, lasting):
    """As by others who write there."""
    data_dir = small_disk(100 << 10)
    with monkeypatch.context() as patch:
        room = shutil._ntuple_diskusage(1 << 30, 0, 1 << 30)
        patch.setattr(shutil, "disk_usage", lambda _: room)
        with pytest.raises(
            BuildError,
            match=r"The disk \(or a limit on file sizes\) is full: \[Errno 28\] No space left on "
            r"device.*\. Make room in .* started again, the build continues",
        ):
            build(data_dir, competition, config=HERE)
    building = data_dir / "cdiscount" / "1.0.0.building"
    assert not list(building.rglob("*.partial"))
    kept = len(list(building.rglob("part-*.npz")))
    assert kept
    remount(data_dir, "size=1m")
    lasting(data_dir, kept)


@contextlib.contextmanager
def read_only(folder):
    """The folder as a machine sees it that mounts it read-only."""
    words = ["mount", "--bind", folder, folder]
    if os.geteuid() or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    try:
        remount(folder, "bind,ro")
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("stage", ["parts", "shards"])
def test_a_folder_that_workers_cannot_write_to(tmp_path, competition, monkeypatch, lasting, stage):
    function = {"parts": make_one_part, "shards": write_one_shard}[stage]
    building = tmp_path / "data" / "cdiscount" / "1.0.0.building"

    def elsewhere(about, piece):
        (folder,) = building.glob(f"{piece[0]}-*")
        with read_only(folder):
            function(about, piece)

    with monkeypatch.context() as patch:
        patch.setattr(beam_build, function.__name__, elsewhere)
        with pytest.raises(
            BuildError,
            match=r"Every worker must be able to read the build's input and to write "
            r"to .*Received: \[Errno 30\] Read-only file system: .* started again, the build cont",
        ):
            build(tmp_path / "data", competition, config=HERE)
    kept = len(list(building.rglob("part-*.npz")))
    assert kept == (15 if stage == "shards" else 0)
    lasting(tmp_path / "data", kept)


def test_a_folder_that_the_build_cannot_write_to(competition, small_disk):
    data_dir = small_disk(1 << 20)
    remount(data_dir, "ro")
    with pytest.raises(BuildFolderError, match="--data_dir must be a folder that can be written t"):
        build(data_dir, competition, config=HERE)
