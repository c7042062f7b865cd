"""A data set on a storage: built on this machine's disk, then copied there.

It is complete once `dataset_info.json` is there, which is copied last and removed first; without
it, nobody takes the folder for a data set, and the next build replaces what is in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import pathlib
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import tensorflow_datasets as tfds

from cdisc_tfds.build.beam_runner import BeamRunner
from cdisc_tfds.build.folder import BuildFolderError
from cdisc_tfds.file_lock import locked
from cdisc_tfds.storage import copy_tree, is_remote, path_of, remove_tree

MANIFEST = "dataset_info.json"


class PublishedDataset:
    """The data set's place on a storage, and the folder of this machine where it is built.

    Args:
      root: TFDS's data folder on the storage.
      name: name of the data set.
      version: its version.

    Attributes:
      path: folder of the finished data set.
      staging: stands for `root` on this machine, in $TMPDIR; a build that was interrupted goes on
        there.
    """

    def __init__(self, root: pathlib.Path, name: str, version: str):
        self.path = root / name / version
        digest = hashlib.sha256(str(self.path).encode()).hexdigest()[:12]
        self.staging = pathlib.Path(tempfile.gettempdir()) / f"cdiscount-build-{digest}"

    @property
    def is_complete(self) -> bool:
        return (self.path / MANIFEST).exists()

    def build(
        self,
        builder: Callable[[dict[str, str]], tfds.core.DatasetBuilder],
        arguments: dict[str, Any],
    ) -> None:
        """Builds in `staging`, and publishes the data set.

        Args:
          builder: makes the builder that differs in the given arguments.
          arguments: those of its `download_and_prepare`.

        Raises:
          BuildFolderError: for a build on Beam, whose workers share a folder, or if another machine
            copies a data set there.
          Also the errors of `download_and_prepare`.
        """
        config = arguments["download_config"] or tfds.download.DownloadConfig()
        if BeamRunner.of(config.beam_runner, config.beam_options) is not None:
            raise BuildFolderError(
                "A build on Beam needs a --data_dir that all its machines see as a folder. "
                f"Received: {self.path.parents[1]}. Build into a shared folder, and copy the data "
                "set to the storage afterwards, or build without Beam."
            )
        local = builder({"data_dir": str(self.staging)})
        local.download_and_prepare(**arguments)
        self._publish(pathlib.Path(local.data_path))
        shutil.rmtree(self.staging)

    def _publish(self, built: pathlib.Path) -> None:
        """Copies the data set in the folder `built`, in place of an earlier one."""
        refusal = BuildFolderError(
            f"One build at a time may write to {self.path}. Another one is copying its data set "
            "there. Wait for it, or choose another folder with --data_dir."
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.path.with_name(f"{self.path.name}.publishing.lock"), refusal):
            (self.path / MANIFEST).unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):  # there is no earlier one
                remove_tree(self.path)
            copy_tree(built, self.path, last=MANIFEST)


def published_dataset(data_dir: str | None, name: str, version: str) -> PublishedDataset | None:
    """The data set's place on a storage; None for a folder of this machine.

    Args:
      data_dir: TFDS's data folder; None: its default.
      name, version: those of the data set.

    Raises:
      PathError: if TensorFlow does not reach the storage.
    """
    root = data_dir or tfds.core.constants.DATA_DIR
    return PublishedDataset(path_of(root), name, version) if is_remote(root) else None
