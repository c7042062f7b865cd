"""Where files lie: on this machine's disk, or on a storage that TensorFlow reaches (`gs://`).

Text that users give becomes a path in `path_of`. On a storage, nothing can be renamed: an object
appears whole when its writer closes it, and the last object that is written names the others.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import math
import os
import pathlib
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator

from cdisc_tfds.local_path import PathError
from cdisc_tfds.remote_path import RemotePath

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/(/?)(.*)", re.DOTALL)
# What the plugins of tensorflow-io add: https://github.com/tensorflow/io
_PLUGINS = ("az", "har", "hdfs", "oss", "s3", "viewfs")


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Whether a path has a scheme, such as gs://."""
    return isinstance(path, RemotePath) or bool(_ADDRESS.match(os.fspath(path)))


def storage_path(path: str | os.PathLike[str], name: str) -> str:
    """A user's path on a disk or a storage: `~` is expanded, an address stays as it is.

    Args:
      path: as the user wrote it.
      name: what it is, for the error message; for example the flag.

    Raises:
      PathError: if it is an address that names no place on a storage. Whether the storage can be
        reached is found out when the path is used.
    """
    text = os.fspath(path)
    address = _ADDRESS.match(text)
    if address is None:
        return os.path.expanduser(text)
    scheme, second_slash, place = address.groups()
    if scheme.lower() == "file":
        raise PathError(f"{name} must be a path without file://. Received: {text}.")
    if not second_slash or not place.strip("/"):
        raise PathError(
            f"{name} must be a path, or an address such as gs://BUCKET/FOLDER. Received: {text}."
        )
    return text


def path_of(path: str | os.PathLike[str]) -> pathlib.Path:
    """The path of text that `storage_path` let through.

    Raises:
      PathError: if TensorFlow does not reach the storage.
    """
    if isinstance(path, RemotePath):
        return path.resolve()
    address = _ADDRESS.match(os.fspath(path))
    if address is None:
        return pathlib.Path(path)
    _require_reachable(address[1])
    return RemotePath(os.fspath(path)).resolve()


@functools.cache
def _require_reachable(scheme: str) -> None:
    """Raises PathError unless TensorFlow, or a plugin that is installed, knows the scheme."""
    # Only users of a storage wait for TensorFlow.
    import tensorflow as tf

    if scheme in tf.io.gfile.get_registered_schemes():
        _tell_epath(scheme)
        return
    if scheme in _PLUGINS and importlib.util.find_spec("tensorflow_io") is not None:
        importlib.import_module("tensorflow_io")  # registers its plugins, or warns
        if scheme in tf.io.gfile.get_registered_schemes():
            _tell_epath(scheme)
            return
    extra = (
        f"`pip install tensorflow-io` adds {scheme}:// if it has a release for TensorFlow "
        f"{tf.__version__}. Otherwise mount"
        if scheme in _PLUGINS
        else "Check the spelling, or mount"
    )
    raise PathError(
        "An address must have a scheme that TensorFlow reaches: gs:// is built in. Received: "
        f"{scheme}://. {extra} the storage, and give the folder where it is mounted."
    )


def _tell_epath(scheme: str) -> None:
    """Lets TFDS, which opens its metadata through epath, open what TensorFlow opens."""
    from etils import epath

    try:
        epath.Path(f"{scheme}://")
    except KeyError:
        epath.register_path_cls(f"{scheme}://")(RemotePath)


def copy_file(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copies a file between this machine and a storage, or within one.

    Raises:
      OSError: if not all of it arrived.
    """
    if is_remote(source):
        with source.open("rb") as reader, target.open("wb") as writer:
            shutil.copyfileobj(reader, writer, 8 << 20)
    else:
        with open(source, "rb") as reader, target.open("wb") as writer:
            shutil.copyfileobj(reader, writer, 8 << 20)
    expected, found = source.stat().st_size, target.stat().st_size
    if expected != found:
        raise OSError(f"{target} must have the {expected:,} bytes of {source}. Received: {found:,}")


@contextlib.contextmanager
def local_copy(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A path of this machine with the file's contents: `path` itself, or a copy of the object.

    For libraries that only read the local disk. The copy is in $TMPDIR, and is removed afterwards.
    """
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="cdiscount-") as folder:
        copy = pathlib.Path(folder) / path.name
        copy_file(path, copy)
        yield copy


def copy_tree(source: pathlib.Path, target: pathlib.Path, last: str | None = None) -> None:
    """Copies all files of a local folder to a folder on a storage.

    Args:
      source: the local folder.
      target: where its files go; others there stay.
      last: name of the file right in `source` that is copied last: who finds it, finds all.
    """
    files = sorted(path for path in source.rglob("*") if path.is_file())
    files.sort(key=lambda path: path == source / (last or ""))
    target.mkdir(parents=True, exist_ok=True)
    for path in files:
        place = target / path.relative_to(source).as_posix()
        place.parent.mkdir(parents=True, exist_ok=True)
        copy_file(path, place)


def remove_tree(path: pathlib.Path) -> None:
    """Removes a folder and all that is in it."""
    if isinstance(path, RemotePath):
        path.remove_tree()
    else:
        shutil.rmtree(path)


def can_write_to(folder: pathlib.Path) -> bool:
    """Whether files can be written to a folder; one on a storage need not exist.

    Raises:
      OSError: says why a storage refused a file that was written there to find out.
    """
    if not is_remote(folder):
        return folder.is_dir() and os.access(folder, os.W_OK)
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".probe.{secrets.token_hex(4)}.partial"
    probe.write_bytes(b"x")
    probe.unlink()
    return True


def real_path(path: str | os.PathLike[str]) -> str:
    """The text that two ways of writing a path have in common: absolute, with links resolved."""
    if is_remote(path):
        return str(RemotePath(path).resolve())
    return os.path.realpath(path)


def absolute_path(path: str | os.PathLike[str]) -> pathlib.Path:
    """The absolute path, without `..`; links stay."""
    return path_of(path) if is_remote(path) else pathlib.Path(os.path.abspath(path))


def relative_path(path: str | os.PathLike[str], start: str | os.PathLike[str]) -> str:
    """The way from the folder `start` to `path`, for `joined`; between storages, the whole path."""
    place, begin = real_path(path), real_path(start)
    if is_remote(place) == is_remote(begin) and place.split("/")[:3] == begin.split("/")[:3]:
        return os.path.relpath(place, begin)
    return place if is_remote(place) or is_remote(begin) else os.path.relpath(place, begin)


def joined(start: pathlib.Path, path: str) -> pathlib.Path:
    """The path that `relative_path` gave, seen from the folder `start`."""
    return path_of(path if is_remote(path) or os.path.isabs(path) else start / path)


def free_bytes(folder: pathlib.Path) -> float:
    """Bytes that may still be written to a folder; infinite on a storage."""
    return math.inf if is_remote(folder) else shutil.disk_usage(folder).free


def size_of(path: str | os.PathLike[str]) -> int:
    """Bytes of a file."""
    return path_of(path).stat().st_size
