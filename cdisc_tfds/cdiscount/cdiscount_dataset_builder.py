"""The `cdiscount` data set: competition files in, TFRecord shards of products out."""

from __future__ import annotations

import collections
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from cdisc_tfds import manual_files, product_grid
from cdisc_tfds.build import rejections
from cdisc_tfds.build.beam_runner import BeamRunner
from cdisc_tfds.build.categories_file import digest_of
from cdisc_tfds.build.dataset_build import build_splits, join_files
from cdisc_tfds.build.fetched_inputs import local_inputs
from cdisc_tfds.build.folder import BuildFolder
from cdisc_tfds.build.identity import Origin, SplitFacts
from cdisc_tfds.build.inputs import Inputs, require_usable
from cdisc_tfds.build.options import BuildOptions
from cdisc_tfds.build.published_dataset import published_dataset
from cdisc_tfds.build.read_back import read_back
from cdisc_tfds.build.refusals import told_briefly
from cdisc_tfds.build.source_files import SourceFiles
from cdisc_tfds.categories import Categories, class_label_names
from cdisc_tfds.product_index import ProductIndex
from cdisc_tfds.products import KINDS, Rejection, duplicate, read_products
from cdisc_tfds.records import example_of
from cdisc_tfds.storage import path_of, storage_path

product_grid.register()

# TFDS calls this method to fill a data set's folder. Its documentation lets builders override it,
# but its name is not public: if it changed, TFDS would silently build without ours.
if not hasattr(tfds.core.GeneratorBasedBuilder, "_download_and_prepare"):
    raise ImportError(
        "cdisc_tfds needs a version of tensorflow-datasets whose builders have the method "
        f"_download_and_prepare (4.9.10 has it). Received: {tfds.__version__}. Install "
        '"tensorflow-datasets>=4.9.10,<4.10".'
    )


class Builder(tfds.core.GeneratorBasedBuilder):
    """A record is a product with all its pictures.

    Args:
      data_dir: as for every TFDS builder; `~` is the home folder. A data set on a storage is built
        on this machine's disk first: `PublishedDataset`.
      num_processes, keep_going, reread, train_only, stock_writer: see `BuildOptions`. None reads
        the environment variable, the only channel `tfds build` offers.
      **kwargs: as for every TFDS builder.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "A record is a product; labels at three levels; picture hashes."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = manual_files.INSTRUCTIONS

    def __init__(
        self,
        *,
        data_dir: str | os.PathLike[str] | None = None,
        num_processes: int | None = None,
        keep_going: bool | None = None,
        reread: bool | None = None,
        train_only: bool | None = None,
        stock_writer: bool | None = None,
        **kwargs: Any,
    ):
        options: dict[str, Any] = dict(
            num_processes=num_processes,
            keep_going=keep_going,
            reread=reread,
            train_only=train_only,
            stock_writer=stock_writer,
        )
        self._rejections: dict[str, list[Rejection]] = collections.defaultdict(list)
        with told_briefly():
            if data_dir is not None:
                data_dir = storage_path(data_dir, "--data_dir")
            self._arguments = dict(data_dir=data_dir, **options, **kwargs)
            self._options = BuildOptions.resolve(**options)
            self._published = published_dataset(data_dir, self.name, str(self.VERSION))
            if self._published is not None and not self._published.is_complete:
                data_dir = os.fspath(self._published.staging)
            self._init_tfds(data_dir=data_dir, **kwargs)

    def _init_tfds(self, **kwargs: Any) -> None:
        """Reads the metadata of an existing data set; removes one that a power cut has damaged."""
        try:
            super().__init__(**kwargs)
        except Exception:
            folder = BuildFolder(self.data_path) if hasattr(self, "data_path") else None
            if folder is None or not folder.has_unproven_dataset:
                raise
            with folder.locked():
                folder.remove_unproven()
            super().__init__(**kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return self._arguments

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(
            {
                "product_id": tfds.features.Scalar(np.int64, doc="The product's `_id`."),
                "images": tfds.features.Sequence(
                    tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                    doc="The product's pictures, in the order of its document.",
                ),
                "image_hashes": tfds.features.Sequence(
                    np.int64, doc="XXH3 of each picture's file, 64 bits as a signed integer."
                ),
                # The build reads the names from category_names.csv.
                "category": tfds.features.ClassLabel(doc="Row in category_names.csv, or -1."),
                "level1": tfds.features.ClassLabel(doc="Label of its level 1, or -1."),
                "level2": tfds.features.ClassLabel(doc="Label of its (level 1, level 2), or -1."),
            }
        )
        return self.dataset_info_from_configs(
            features=features,
            supervised_keys=("images", "category"),
            homepage=f"https://www.kaggle.com/c/{manual_files.COMPETITION}",
            metadata=tfds.core.MetadataDict(),
        )

    # The plain TFDS build. It defines the contents of a record, and a test compares the parallel
    # build with it.

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager
        return {
            source.split: self._generate_examples(source, files, self._inputs.categories.categories)
            for source, files in self._inputs.files.items()
        }

    def _generate_examples(
        self, source: manual_files.Source, files: SourceFiles, categories: Categories
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields (product id, example) in file order."""
        reject = self._rejections[source.split].append
        seen: set[int] = set()
        with files.unchanged():
            for document, offset, product in read_products(
                files.joined,
                categories,
                source.labelled,
                reject,
                keep_going=self._options.keep_going,
            ):
                if product.product_id in seen:
                    reject(duplicate(document, offset, product.product_id))
                    continue
                seen.add(product.product_id)
                yield product.product_id, example_of(product, categories)

    # The usual, parallel build. It handles everything but the options that need TFDS's own writer.

    def download_and_prepare(
        self,
        *,
        download_dir: str | os.PathLike[str] | None = None,
        download_config: tfds.download.DownloadConfig | None = None,
        **kwargs: Any,
    ) -> None:
        """Builds the data set, or resumes an interrupted build.

        An existing data set stays as it is. With a `download_config` (`tfds build` always passes
        one), this raises an error if the input files or options have changed.

        Args:
          download_dir, download_config, **kwargs: as for every TFDS builder.

        Raises:
          OtherSourcesError: the existing data set comes from other files or options.
          BuildFolderError: another process is building the data set.
        """
        if download_config is not None and download_config.manual_dir is not None:
            with told_briefly():
                manual_dir = storage_path(download_config.manual_dir, "--manual_dir")
            download_config = download_config.replace(manual_dir=manual_dir)
        prepare = super().download_and_prepare
        arguments = dict(download_dir=download_dir, download_config=download_config, **kwargs)
        mode = (download_config or tfds.download.DownloadConfig()).download_mode
        published = self._published
        if published and (mode.overwrite_dataset or not published.is_complete):
            with told_briefly():
                published.build(lambda place: type(self)(**self._arguments | place), arguments)
            self.__init__(**self._arguments)  # type: ignore[misc]
            return
        folder = self._build_folder = BuildFolder(self.data_path)
        with told_briefly():
            if mode == tfds.download.GenerateMode.UPDATE_DATASET_INFO:
                prepare(**arguments)
                return
            kept = self.data_path.exists() and not mode.overwrite_dataset
            if kept and not folder.has_unproven_dataset:
                if download_config is not None:
                    self._require_same_origin(download_config, download_dir)
                prepare(**arguments)
                return
            self._require_beam(download_config)
            with folder.locked(), local_inputs(arguments, folder) as arguments:
                if folder.has_unproven_dataset:
                    folder.remove_unproven()
                elif self.data_path.exists():  # TFDS deletes it before it builds a new one
                    given = arguments["download_config"]
                    self._require_usable(self._manual_dir(given, download_dir))
                prepare(**arguments)
                folder.finish()

    def _require_beam(self, download_config: tfds.download.DownloadConfig | None) -> None:
        """Raises BeamOptionsError if a build on Beam is asked for, but not possible."""
        config = download_config or tfds.download.DownloadConfig()
        beam = BeamRunner.of(config.beam_runner, config.beam_options)
        if beam is not None:
            beam.require_usable(alone=self._needs_stock_writer(config))

    def _require_same_origin(
        self,
        download_config: tfds.download.DownloadConfig,
        download_dir: str | os.PathLike[str] | None,
    ) -> None:
        """Raises OtherSourcesError if the data set comes from other files."""
        recorded = Origin.from_metadata(self.info.metadata)
        manual_dir = self._manual_dir(download_config, download_dir)
        try:
            csv_path, sources = manual_files.find_sources(manual_dir, self._options.train_only)
        except manual_files.ManualFilesError:
            return  # nothing to compare: the user may have removed them after the build
        if recorded is not None:
            files = {source.split: SourceFiles.of(source.paths) for source in sources}
            limit = download_config.max_examples_per_split
            recorded.require_same(Origin.of(files, digest_of(csv_path), limit), self.data_dir)

    def _manual_dir(
        self,
        download_config: tfds.download.DownloadConfig | None,
        download_dir: str | os.PathLike[str] | None,
    ) -> str | os.PathLike[str]:
        """The folder of the input files, as TFDS chooses it."""
        downloads = path_of(download_dir or self.data_dir_root / "downloads")
        given = download_config.manual_dir if download_config is not None else None
        return given or downloads / "manual"

    def _require_usable(self, manual_dir: str | os.PathLike[str]) -> None:
        """Runs the quick checks on the input files."""
        csv_path, sources = manual_files.find_sources(manual_dir, self._options.train_only)
        require_usable(csv_path, sources, self._options)

    def _download_and_prepare(
        self,
        dl_manager: tfds.download.DownloadManager,
        download_config: tfds.download.DownloadConfig,
    ) -> None:
        """Fills the temporary folder, which TFDS then renames to its final name."""
        folder = self._build_folder
        folder.prepare(self.data_path)
        self._rejections.clear()
        self._inputs = self._read_inputs(dl_manager, download_config)
        if self._needs_stock_writer(download_config):
            self._build_with_tfds(dl_manager, download_config)
            facts = self._facts_read_back()
        else:
            facts = self._build(download_config)
        categories = self._inputs.categories
        (self.data_path / manual_files.CATEGORIES).write_bytes(categories.path.read_bytes())
        limit = download_config.max_examples_per_split
        origin = Origin.of(self._inputs.given, categories.digest, limit)
        self.info.metadata.update(origin.to_metadata(facts))
        if any(sum(fact.rejected.values()) for fact in facts.values()):
            logging.warning(
                "Not all that the files hold could be used: %s. %s names each.",
                self.info.metadata["rejected"],
                folder.dataset_dir / rejections.FILE,
            )
        folder.mark_complete()

    def _build_with_tfds(
        self,
        dl_manager: tfds.download.DownloadManager,
        download_config: tfds.download.DownloadConfig,
    ) -> None:
        """Builds with TFDS's own writer, in one process."""
        super()._download_and_prepare(dl_manager, download_config)

    def _build(self, download_config: tfds.download.DownloadConfig) -> dict[str, SplitFacts]:
        """Builds with several processes, or on a runner of Beam."""
        folder = self._build_folder
        templates = {source.split: self._template(source.split) for source in self._inputs.files}
        built = build_splits(
            self._inputs.files,
            self._inputs.categories,
            folder,
            options=self._options,
            limit=download_config.max_examples_per_split,
            shard_config=download_config.get_shard_config(),
            shard_name=lambda split, shard, shards: (
                templates[split].sharded_filepath(shard_index=shard, num_shards=shards).name
            ),
            beam=BeamRunner.of(download_config.beam_runner, download_config.beam_options),
        )
        for job, result in built:
            for path in [job.index_path, *(job.folder / name for name in result.shard_names)]:
                folder.link(path, pathlib.Path(self.data_path / path.name))
        join_files(
            [job.folder / rejections.FILE for job, _ in built],
            pathlib.Path(self.data_path / rejections.FILE),
        )
        split_infos = [
            tfds.core.SplitInfo(
                name=job.source.split,
                shard_lengths=result.shard_lengths,
                num_bytes=result.num_bytes,
                filename_template=templates[job.source.split],
            )
            for job, result in built
        ]
        self.info.set_splits(tfds.core.SplitDict(split_infos))
        return {job.source.split: result.facts for job, result in built}

    def _template(self, split: str) -> tfds.core.ShardedFileTemplate:
        return tfds.core.ShardedFileTemplate(
            data_dir=self.data_path,
            dataset_name=self.name,
            split=split,
            filetype_suffix=self.info.file_format.file_suffix,
        )

    def _needs_stock_writer(self, download_config: tfds.download.DownloadConfig) -> bool:
        return bool(
            self._options.stock_writer
            or self.info.file_format != tfds.core.FileFormat.TFRECORD
            or download_config.nondeterministic_order
            or download_config.max_examples_per_split == 0
        )

    def _read_inputs(
        self,
        dl_manager: tfds.download.DownloadManager,
        download_config: tfds.download.DownloadConfig,
    ) -> Inputs:
        """Finds the files, runs the quick checks on them, and sets the names of the labels."""
        try:
            manual_dir = dl_manager.manual_dir
        except AssertionError:  # it does not exist: report the missing files in it
            manual_dir = download_config.manual_dir
            if manual_dir is None:
                raise
        csv_path, sources = manual_files.find_sources(manual_dir, self._options.train_only)
        inputs = Inputs.read(csv_path, sources, self._build_folder, self._options)
        categories = inputs.categories.categories
        features = self.info.features
        features["category"].names = [str(number) for number in categories.category_ids.tolist()]
        features["level1"].names = class_label_names(categories.level1_names)
        features["level2"].names = class_label_names(categories.level2_names)
        return inputs

    def _facts_read_back(self) -> dict[str, SplitFacts]:
        """Writes the files that TFDS's writer lacks (indexes, rejections); returns the facts."""
        lines = [
            rejection.to_json(source.split, files.place) + "\n"
            for source, files in self._inputs.files.items()
            for rejection in self._rejections.get(source.split, [])
        ]
        if lines:
            (self.data_path / rejections.FILE).write_text("".join(lines), encoding="utf-8")
        facts = {}
        for source in self._inputs.files:
            if source.split not in self.info.splits:
                continue
            counts: collections.Counter[str] = collections.Counter()
            for rejection in self._rejections[source.split]:
                counts[rejection.kind] += rejection.count
            rejected = {kind: counts[kind] for kind in KINDS}
            index, digest = read_back(self, source.split, self._inputs.categories.categories)
            index.save(ProductIndex.path_in(self.data_path, source.split))
            if not self._options.keep_going:
                listed = os.fspath(self.data_path / rejections.FILE)
                rejections.require_most(source, len(index), rejected, listed)
            paths = self.info.splits[source.split].filenames
            sizes = [os.path.getsize(self.data_path / name) for name in paths]
            facts[source.split] = SplitFacts(
                len(index), index.total_pictures, rejected, sizes, index.digest, digest
            )
        return facts
