"""Paths of this machine, and addresses that are none."""

import pathlib

import pytest
import tensorflow_datasets as tfds

import cdisc_tfds
from cdisc_tfds.built_dataset import data_root
from cdisc_tfds.local_path import PathError, local_path
from cdisc_tfds.sample.__main__ import main as write_sample


def test_home_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert local_path("~/d", "it") == "/home/me/d"
    assert local_path(pathlib.Path("~"), "it") == "/home/me"
    assert local_path("a:b/c", "it") == "a:b/c"
    assert local_path("/x:/y", "it") == "/x:/y"


@pytest.mark.parametrize("address", ["gs://b/r", "s3://b", "hdfs://h/d", "file:///d"])
def test_an_address_is_refused_where_a_disk_is_needed(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = f"must be a path of this machine, without a scheme. Received: {address}. Copy"
    with pytest.raises(PathError, match=f"it {text}"):
        local_path(address, "it")
    with pytest.raises(SystemExit, match=f"error: --output_dir {text}"):
        write_sample([f"--output_dir={address}"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("s3://b/d", "Received: s3://. .*tensorflow-io"),
        ("file:///d", "must be a path without fi"),
    ],
)
def test_no_address_becomes_a_local_folder(address, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PathError, match=text):
        cdisc_tfds.Builder(data_dir=address)
    with pytest.raises(PathError, match=text):
        data_root(address)
    builder = cdisc_tfds.Builder(data_dir=tmp_path / "data")
    with pytest.raises(PathError, match=text):
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=address)
        )
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", address)
    with pytest.raises(PathError, match=text):
        data_root()
    names = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert names <= {"data"}


def test_where_data_lie_is_absolute_and_resolved(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    monkeypatch.chdir(tmp_path / "disk")
    assert data_root("../link") == tmp_path / "disk"
