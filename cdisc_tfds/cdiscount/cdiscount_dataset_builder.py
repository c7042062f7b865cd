"""The `cdiscount` data set: competition files in, TFRecord shards of products out."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from etils import epath

from cdisc_tfds import manual_files, product_grid
from cdisc_tfds.bson_file import check_ends
from cdisc_tfds.build.dataset_build import build_splits, join_files
from cdisc_tfds.build.folder import BuildFolder
from cdisc_tfds.build.options import BuildOptions
from cdisc_tfds.categories import Categories
from cdisc_tfds.product_index import ProductIndex
from cdisc_tfds.products import KINDS, Rejection, check_first, duplicate, read_products
from cdisc_tfds.records import example_of

product_grid.register()


class Builder(tfds.core.GeneratorBasedBuilder):
    """A record is a product with all its pictures.

    Args:
      num_processes, keep_going, reread, train_only, stock_writer: how it is built, see
        `BuildOptions`; None for the environment's, which is how `tfds build` is told.
      **kwargs: as for every TFDS builder.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "A record is a product; labels at three levels; picture hashes."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = manual_files.INSTRUCTIONS

    def __init__(
        self,
        *,
        num_processes: int | None = None,
        keep_going: bool | None = None,
        reread: bool | None = None,
        train_only: bool | None = None,
        stock_writer: bool | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        options = dict(
            num_processes=num_processes,
            keep_going=keep_going,
            reread=reread,
            train_only=train_only,
            stock_writer=stock_writer,
        )
        self._options = BuildOptions.resolve(**options)
        self._original_state.update(options)  # what TFDS pickles instead of the attributes
        self._rejections: dict[str, list[Rejection]] = collections.defaultdict(list)
        self._num_rejected: dict[str, dict[str, int]] = {}

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
                # The names are read from category_names.csv when the data set is built.
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

    # How TFDS itself would build it. It defines what a record is, and a test holds the parallel
    # build against it.

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        csv_path, sources = self._inputs(dl_manager)
        categories = Categories.from_csv(csv_path)
        return {source.split: self._generate_examples(source, categories) for source in sources}

    def _generate_examples(
        self, source: manual_files.Source, categories: Categories
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields (product id, example) in the order of the file."""
        reject = self._rejections[source.split].append
        seen: set[int] = set()
        for document, offset, product in read_products(
            source.path,
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

    # How it is built unless TFDS is asked for something that only its own writer does.

    def _generate_splits(
        self,
        dl_manager: tfds.download.DownloadManager,
        download_config: tfds.download.DownloadConfig,
    ) -> Sequence[tfds.core.SplitInfo]:
        if self._needs_stock_writer(download_config):
            splits = super()._generate_splits(dl_manager, download_config)
            self._write_rejections()
            return splits
        csv_path, sources = self._inputs(dl_manager)
        folder = self._build_folder
        templates = {source.split: self._get_filename_template(source.split) for source in sources}
        built = build_splits(
            sources,
            csv_path,
            folder,
            num_processes=self._options.num_processes,
            keep_going=self._options.keep_going,
            reread=self._options.reread,
            limit=download_config.max_examples_per_split,
            shard_config=download_config.get_shard_config(),
            shard_name=lambda split, shard, shards: (
                templates[split].sharded_filepath(shard_index=shard, num_shards=shards).name
            ),
        )
        for split, result in built.items():
            index = ProductIndex.path_in(folder.path / split, split)
            for path in [index, *(folder.path / split / name for name in result.shard_names)]:
                folder.link(path, self.data_path / path.name)
            self._num_rejected[split] = result.rejected
        join_files(
            [folder.path / split / "rejected.jsonl" for split in built],
            self.data_path / "rejected.jsonl",
        )
        return [
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=result.shard_lengths,
                num_bytes=result.num_bytes,
                filename_template=templates[split],
            )
            for split, result in built.items()
        ]

    def _needs_stock_writer(self, download_config: tfds.download.DownloadConfig) -> bool:
        return bool(
            self._options.stock_writer
            or self.info.file_format != tfds.core.FileFormat.TFRECORD
            or download_config.nondeterministic_order
            or download_config.beam_runner
            or download_config.beam_options
        )

    def _download_and_prepare(
        self,
        dl_manager: tfds.download.DownloadManager,
        download_config: tfds.download.DownloadConfig,
    ) -> None:
        """Fills the temporary folder that TFDS gives its final name afterwards."""
        csv_path, _ = self._find_sources(dl_manager)
        self._rejections.clear()
        self._build_folder = BuildFolder(self.data_path.parent / str(self.version))
        with self._build_folder.locked():
            self._build_folder.remove_abandoned(self.data_path)
            super()._download_and_prepare(dl_manager, download_config)
        epath.Path(csv_path).copy(self.data_path / manual_files.CATEGORIES)
        indexes = {split: self._index_of(split) for split in self.info.splits}
        self.info.metadata.update(
            num_products={split: len(index) for split, index in indexes.items()},
            num_pictures={split: index.total_pictures for split, index in indexes.items()},
            rejected={split: self._num_rejected[split] for split in indexes},
        )
        if sum(count for split in indexes for count in self._num_rejected[split].values()):
            logging.warning(
                "Not all that the files hold could be used: %s. %s names each.",
                self.info.metadata["rejected"],
                self._build_folder.dataset_dir / "rejected.jsonl",
            )

    def _post_download_and_prepare_hook(self) -> None:
        """The data set has its final name: what an interrupted build would need may go."""
        self._build_folder.remove()

    def _find_sources(
        self, dl_manager: tfds.download.DownloadManager
    ) -> tuple[str, list[manual_files.Source]]:
        return manual_files.find_sources(dl_manager.manual_dir, self._options.train_only)

    def _inputs(
        self, dl_manager: tfds.download.DownloadManager
    ) -> tuple[str, list[manual_files.Source]]:
        """Finds and checks the files, as far as that takes moments, and names the labels."""
        csv_path, sources = self._find_sources(dl_manager)
        categories = Categories.from_csv(csv_path)
        if not self._options.keep_going:
            for source in sources:
                check_ends(source.path)
                check_first(source.path, categories, source.labelled)
        features = self.info.features
        features["category"].names = [str(number) for number in categories.category_ids.tolist()]
        # TFDS strips names when it reads them back.
        features["level1"].names = [name.strip() for name in categories.level1_names]
        features["level2"].names = [name.strip() for name in categories.level2_names]
        return csv_path, sources

    def _index_of(self, split: str) -> ProductIndex:
        """The index of a split that was just written; TFDS's writer leaves it to be read back."""
        path = ProductIndex.path_in(self.data_path, split)
        if not path.exists():
            ProductIndex(*(np.array(column) for column in zip(*self._rows_of(split)))).save(path)
        return ProductIndex.load(path)

    def _rows_of(self, split: str) -> Iterator[tuple[int, int, int]]:
        """Yields (product id, number of pictures, category) of each record, in order."""
        if self.info.file_format == tfds.core.FileFormat.ARRAY_RECORD:  # no tf.data reads it
            no_decode = tfds.decode.DeserializeMethod.DESERIALIZE_NO_DECODE
            for example in self.as_data_source(split=split, deserialize_method=no_decode):
                product_id, hashes, category = (
                    example.features.feature[name].int64_list.value
                    for name in ("product_id", "image_hashes", "category")
                )
                yield product_id[0], len(hashes), category[0]
            return
        # One shard after the other.
        config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
        decoders = tfds.decode.PartialDecoding({"product_id", "image_hashes", "category"})
        dataset = self.as_dataset(split=split, read_config=config, decoders=decoders)
        for record in tfds.as_numpy(dataset):
            yield record["product_id"], len(record["image_hashes"]), record["category"]

    def _write_rejections(self) -> None:
        """Writes and counts what `_generate_examples` left out."""
        lines = [
            rejection.to_json(split) + "\n"
            for split, rejections in self._rejections.items()
            for rejection in rejections
        ]
        if lines:
            (self.data_path / "rejected.jsonl").write_text("".join(lines))
        for split, rejections in self._rejections.items():
            counts = collections.Counter(rejection.kind for rejection in rejections)
            self._num_rejected[split] = {kind: counts[kind] for kind in KINDS}
