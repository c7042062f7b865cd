"""Copies of input files that lie on a storage, which the build's processes read from a disk.

They start without TensorFlow, and each reads its parts of a file twice. A copy that was interrupted
goes on where it stopped, unless the file on the storage has changed.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

from cdisc_tfds.build.folder import BuildFolder, DiskFullError
from cdisc_tfds.manual_files import CATEGORIES
from cdisc_tfds.progress_line import ProgressLine
from cdisc_tfds.storage import is_remote, path_of
from cdisc_tfds.whole_files import write_json

_BLOCK_BYTES = 8 << 20
_PATTERNS = (CATEGORIES, "*.bson", "*.bson.gz")


class FetchError(OSError):
    """An input file cannot be copied from the storage."""


@contextlib.contextmanager
def local_inputs(arguments: dict[str, Any], folder: BuildFolder) -> Iterator[dict[str, Any]]:
    """The arguments of `download_and_prepare` with a `manual_dir` of this machine.

    A copy that was made for that is removed when the block ends without an error.
    """
    config = arguments["download_config"]
    if config is None or config.manual_dir is None or not is_remote(config.manual_dir):
        yield arguments
        return
    copies = folder.path.with_name(folder.dataset_dir.name + ".inputs")
    manual_dir = fetched(path_of(config.manual_dir), copies)
    yield arguments | {"download_config": config.replace(manual_dir=manual_dir)}
    shutil.rmtree(copies)


def fetched(manual_dir: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Copies the input files in `manual_dir`, on a storage, to `folder`; returns `folder`.

    Raises:
      DiskFullError: there is no room for them.
      FetchError: a file changes meanwhile.
    """
    found = {path for pattern in _PATTERNS for path in manual_dir.glob(pattern)}
    sizes = {path: path.stat().st_size for path in sorted(found)}
    folder.mkdir(parents=True, exist_ok=True)
    names = {path.name for path in found}
    for path in folder.iterdir():  # files that were removed since an interrupted copy
        if path.name not in names and not path.name.startswith("."):
            path.unlink()
    there = sum(path.stat().st_size for path in folder.iterdir())
    needed, free = sum(sizes.values()) - there, shutil.disk_usage(folder).free
    if needed > free:
        raise DiskFullError(
            f"The files in {manual_dir} are copied to {folder} before they are read. They need "
            f"{needed / 1e9:.1f} GB more there. Received: {free / 1e9:.1f} GB. Free some, or mount "
            "the storage and give the folder as --manual_dir."
        )
    line = ProgressLine(f"copying {manual_dir}", sum(sizes.values()) >> 20, "MB")
    done = 0
    for path, size in sizes.items():
        _fetch(path, folder / path.name, line, done)
        done += size
    line.close()
    return folder


def _fetch(source: pathlib.Path, target: pathlib.Path, line: ProgressLine, before: int) -> None:
    """Copies a file, or the rest of it; `before` bytes of other files were copied."""
    found = source.stat()
    identity = {"bytes": found.st_size, "modified": found.st_mtime_ns}
    beside = target.with_name(f".{target.name}.source.json")
    if _read(beside) != identity:
        target.unlink(missing_ok=True)
        write_json(beside, identity)
    done = target.stat().st_size if target.exists() else 0
    if done < found.st_size:
        with source.open("rb") as reader, open(target, "ab") as writer:
            reader.seek(done)
            while block := reader.read(_BLOCK_BYTES):
                writer.write(block)
                done += len(block)
                line.update((before + done) >> 20)
    now = source.stat()
    if (now.st_size, now.st_mtime_ns) != (found.st_size, found.st_mtime_ns) or done != now.st_size:
        raise FetchError(
            f"{source} must not change while a data set is built from it. It had "
            f"{found.st_size:,} bytes when the copy began, of which {done:,} arrived; now it has "
            f"{now.st_size:,}. Start the build again when the file is complete."
        )
    os.utime(target, ns=(found.st_mtime_ns, found.st_mtime_ns))  # the data set records it


def _read(path: pathlib.Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
