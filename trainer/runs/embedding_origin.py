"""What a file of features was made from: FILE.made_from.json beside it."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from cdisc_tfds.storage import path_of
from trainer.data.dataset import CdiscountData, Split
from trainer.runs.checkpoint import sha256_of
from trainer.runs.embedding_file import EmbeddingFileError, Embeddings
from trainer.runs.output_file import made_from_path, write_made_from
from trainer.runs.run_weights import RunWeights
from trainer.terminal.command import quoted


@dataclasses.dataclass(frozen=True)
class FeatureRun:
    """A run as its user names it to `trainer.embed`.

    Attributes:
      folder: of the run, plain or fused.
      checkpoint: `best` or `last`; the members of a fused run have their best in any case.
      data_dir: where the data set is; None: where the run found it.
    """

    folder: str
    checkpoint: str = "best"
    data_dir: str | None = None


@dataclasses.dataclass(frozen=True)
class EmbeddingOrigin:
    """The weights, products and method of a file of features.

    Attributes:
      runs: `RunWeights` of each network, as JSON has them, in the order of their features.
      split: TFDS sub-split of the products.
      data_digest: of the split's index.
      decoder: the decoder of the pictures.
      flip: whether features are the means of those of a picture and of its mirror image.
      search: how neighbours were searched; None: they were not.
      among: the products that the neighbours are, if those of `split` they are not: their split,
        its digest, and the file that their features come from, if any.
    """

    runs: tuple[Mapping[str, Any], ...]
    split: str
    data_digest: str
    decoder: str
    flip: bool
    search: str | None = None
    among: Mapping[str, Any] | None = None

    def write(self, path: pathlib.Path, file_sha256: str) -> None:
        """Writes it beside a file of features with this SHA-256."""
        write_made_from(path, dataclasses.asdict(self) | {"file_sha256": file_sha256})


@dataclasses.dataclass(frozen=True)
class EmbeddingFile:
    """A file of features, and what is written beside it.

    Attributes:
      path: the file.
      origin: what it was made from.
      sha256: what the file's SHA-256 should be.
    """

    path: pathlib.Path
    origin: EmbeddingOrigin
    sha256: str

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> EmbeddingFile:
        """Reads what is beside a file of features, and not yet the file.

        Raises:
          EmbeddingFileError: if that is missing or damaged.
        """
        path = path_of(path)
        beside = made_from_path(path)
        try:
            facts = json.loads(beside.read_text(encoding="utf-8"))
            sha256 = facts.pop("file_sha256")
            origin = EmbeddingOrigin(**facts)
            origin = dataclasses.replace(origin, runs=tuple(origin.runs))
            for weights in origin.runs:
                _ = weights["run"], weights["sha256"]
        except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
            raise EmbeddingFileError(
                "A file of features has a JSON file beside it, which names the weights that it "
                f"was made from; `python -m trainer.embed` writes both. Received: {beside}, which "
                f"cannot be read so ({type(error).__name__}: {error}). Copy both files, or write "
                "them again."
            ) from error
        return cls(path, origin, sha256)

    def read(self, run: FeatureRun) -> Embeddings:
        """The features.

        Args:
          run: what could write the file again.

        Raises:
          EmbeddingFileError: if the file cannot be read, or is not the one that was written.
        """
        features = Embeddings.read(self.path)
        if sha256_of(self.path) != self.sha256:
            raise EmbeddingFileError(
                f"{made_from_path(self.path)} must have been written with {self.path}. The file's "
                "SHA-256 is another than it says: one of them was changed or replaced. Copy both "
                f"again, or write them again with `{self.command(run)}`."
            )
        return features

    def place_of_weights(
        self, runs: Sequence[FeatureRun], weights: Sequence[Sequence[RunWeights]]
    ) -> int:
        """Which of these runs has the weights that the features were made with.

        Args:
          runs: the runs.
          weights: of each run, those of each network that gives features; empty if none does.

        Raises:
          EmbeddingFileError: if none has them.
        """
        wanted = [one["sha256"] for one in self.origin.runs]
        for place, own in enumerate(weights):
            if own and [one.sha256 for one in own] == wanted:
                return place
        able = [
            (run, [dataclasses.asdict(one) for one in own])
            for run, own in zip(runs, weights, strict=True)
            if own
        ]
        if not able:
            folders = ", ".join(run.folder for run in runs)
            raise EmbeddingFileError(
                f"The features of {self.path} can be compared only with those of a plain or a "
                "fused run: the networks of a run of two stages see products differently. "
                f"Received: {folders}. Leave the file out, or choose another run."
            )
        received = ", or ".join(_named(own) for _, own in able)
        raise EmbeddingFileError(
            f"Features can be compared only with those of the same weights. {self.path} has those "
            f"of {_named(self.origin.runs)}; here are {received}. Write the file again with "
            f"`{self.command(able[0][0])}`."
        )

    def require_flip(self, flip: bool) -> None:
        """Raises EmbeddingFileError unless the features were made with, or without, --flip."""
        if self.origin.flip != flip:
            ways = {True: "with --flip", False: "without --flip"}
            raise EmbeddingFileError(
                f"Features can be compared only if they were made in the same way. {self.path} "
                f"was made {ways[self.origin.flip]}; here they are made {ways[flip]}. Repeat the "
                f"command {ways[self.origin.flip]}."
            )

    def split_in(self, data: CdiscountData, run: FeatureRun) -> Split:
        """The split of the products, with the data set's records.

        Args:
          data: the data set.
          run: what could write the file again.

        Raises:
          EmbeddingFileError: if the split is of other products there.
          DatasetError: if there is no such split.
        """
        split = data.split(self.origin.split)
        if split.index.digest != self.origin.data_digest:
            raise EmbeddingFileError(
                f"The products of {self.path} must be those of {split.spec} in the data set. In "
                f"{os.path.dirname(split.files[0].path)}, {split.spec} has other products: it is "
                "another data set, or was built anew. Name the right one with --data_dir, or "
                f"write the file again with `{self.command(run)}`."
            )
        return split

    def command(self, run: FeatureRun) -> str:
        """The command line that writes the file of this run's features, without neighbours."""
        words = ["python", "-m", "trainer.embed", f"--run_dir={run.folder}"]
        words += [f"--split={self.origin.split}", f"--output={self.path}"]
        if run.checkpoint != "best":
            words.append(f"--checkpoint={run.checkpoint}")
        if run.data_dir is not None:
            words.append(f"--data_dir={run.data_dir}")
        if self.origin.flip:
            words.append("--flip")
        return quoted(*words)


def _named(runs: Sequence[Mapping[str, Any]]) -> str:
    return " and ".join(f"{one['run']} (weights {str(one['sha256'])[:12]})" for one in runs)
