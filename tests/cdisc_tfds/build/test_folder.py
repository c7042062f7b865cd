"""The folder of a build: one build at a time, space, links, and what is removed."""

import errno
import os
import shutil

import pytest

from cdisc_tfds.build.folder import BuildFolder, BuildFolderError, DiskFullError


@pytest.fixture
def folder(tmp_path):
    folder = BuildFolder(tmp_path / "cdiscount" / "1.0.0")
    folder.path.mkdir(parents=True)
    return folder


def test_lies_beside_the_data_set(tmp_path, folder):
    assert folder.path == tmp_path / "cdiscount" / "1.0.0.building"


def test_one_build_at_a_time(folder):
    with folder.locked():
        with pytest.raises(BuildFolderError) as caught, BuildFolder(folder.dataset_dir).locked():
            pass
        assert str(caught.value) == (
            f"One build at a time may write to {folder.path.parent}. Another one is running. "
            "Wait for it, or choose another folder with --data_dir."
        )
    with BuildFolder(folder.dataset_dir).locked():
        pass


def test_too_little_space(folder, monkeypatch):
    (folder.path / "part").write_bytes(bytes(10**6))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9e9, 8e9, 1.5e9))
    folder.require_space(int(1.5e9) + 10**6)  # what is there already need not be free
    with pytest.raises(DiskFullError) as caught:
        folder.require_space(int(3.2e9))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.strerror == (
        f"The build needs 3.2 GB of free space in {folder.path.parent}. Received: 1.5 GB. Free "
        "some, or choose another folder with --data_dir."
    )


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_explained(folder, code):
    with pytest.raises(DiskFullError) as caught, folder.clear_disk_errors(2 * 10**9):
        raise OSError(code, os.strerror(code))
    assert caught.value.errno == code
    assert caught.value.strerror == (
        f"The disk (or a limit on file sizes) is full: [Errno {code}] {os.strerror(code)}. The "
        f"build needs 2.0 GB in all in {folder.path.parent}. What is finished is kept in "
        f"{folder.path}: make room and start the same command again to continue, or delete that "
        "folder."
    )


def test_other_errors_are_not_explained_away(folder):
    with pytest.raises(PermissionError), folder.clear_disk_errors(1):
        raise PermissionError(errno.EACCES, "no")


def test_finished_files_are_linked(tmp_path, folder):
    (folder.path / "shard").write_bytes(b"x")
    folder.link(folder.path / "shard", tmp_path / "shard")
    assert os.path.samefile(folder.path / "shard", tmp_path / "shard")


def test_or_moved_where_there_are_no_links(tmp_path, folder, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    (folder.path / "shard").write_bytes(b"x")
    monkeypatch.setattr(os, "link", no_links)
    folder.link(folder.path / "shard", tmp_path / "shard")
    assert (tmp_path / "shard").read_bytes() == b"x"
    assert not (folder.path / "shard").exists()


def test_what_killed_builds_left_is_removed(folder):
    for name in ("incomplete.AAAAAA_1.0.0", "incomplete.BBBBBB_1.0.0", "incomplete.CCCCCC_2.0.0"):
        (folder.path.parent / name).mkdir()
    (folder.path / "train").mkdir()
    for name in (".part-00000.npz.77.partial", "a.tfrecord.written", "part-00000.npz"):
        (folder.path / "train" / name).write_bytes(b"x")
    folder.prepare(folder.path.parent / "incomplete.BBBBBB_1.0.0")
    assert [path.name for path in (folder.path / "train").iterdir()] == ["part-00000.npz"]
    assert sorted(path.name for path in folder.path.parent.iterdir()) == [
        "1.0.0.building",
        "incomplete.BBBBBB_1.0.0",
        "incomplete.CCCCCC_2.0.0",
    ]


def test_removed_when_the_data_set_is_on_the_disk(folder, monkeypatch):
    folder.dataset_dir.mkdir()
    (folder.dataset_dir / "dataset_info.json").write_text("{}")
    folder.mark_complete()
    assert folder.has_unproven_dataset
    synced = []
    fsync = os.fsync

    def noted(descriptor):
        assert folder.path.exists()
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    folder.finish()
    assert not folder.path.exists() and not folder.has_unproven_dataset
    for path in (
        folder.dataset_dir / "dataset_info.json",
        folder.dataset_dir,
        folder.dataset_dir.parent,
    ):
        assert path.stat().st_ino in synced


def test_the_locked_file_lies_beside(folder):
    """The folder is removed while the lock is held."""
    folder.dataset_dir.mkdir()
    with folder.locked():
        folder.finish()
        with pytest.raises(BuildFolderError), BuildFolder(folder.dataset_dir).locked():
            pass
    assert [path.name for path in folder.path.parent.iterdir()] == ["1.0.0"]


def test_a_data_dir_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BuildFolderError, match="--data_dir must be a folder that can"):
        with BuildFolder(tmp_path / "file" / "cdiscount" / "1.0.0").locked():
            pass
