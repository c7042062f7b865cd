"""The `cdiscount` data set: competition files in, TFRecord shards of products out."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from etils import epath

from cdisc_tfds import manual_files, product_grid
from cdisc_tfds.bson_file import check_ends
from cdisc_tfds.build_options import BuildOptions
from cdisc_tfds.categories import Categories
from cdisc_tfds.product_index import ProductIndex
from cdisc_tfds.products import KINDS, Rejection, duplicate, read_products
from cdisc_tfds.records import example_of

product_grid.register()


class Builder(tfds.core.GeneratorBasedBuilder):
    """A record is a product with all its pictures.

    Args:
      num_processes, keep_going, train_only, stock_writer: how it is built, see `BuildOptions`; None
        for the environment's, which is how `tfds build` is told.
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
        train_only: bool | None = None,
        stock_writer: bool | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        options = dict(
            num_processes=num_processes,
            keep_going=keep_going,
            train_only=train_only,
            stock_writer=stock_writer,
        )
        self._options = BuildOptions.resolve(**options)
        self._original_state.update(options)  # what TFDS pickles instead of the attributes
        self._rejections: dict[str, list[Rejection]] = collections.defaultdict(list)

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(
            {
                "product_id": tfds.features.Scalar(np.int64, doc="The product's `_id`."),
                "images": tfds.features.Sequence(
                    tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                    doc="The product's pictures, in the order of its document.",
                ),
                "image_hashes": tfds.features.Sequence(
                    np.int64, doc="First 8 bytes of each picture's MD5, little-endian."
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

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        """What TFDS's own writer reads; `_generate_splits` decides whether it is used."""
        categories, sources = self._inputs(dl_manager)
        return {source.split: self._generate_examples(source, categories) for source in sources}

    def _generate_examples(
        self, source: manual_files.Source, categories: Categories
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields (product id, example) in file order."""
        reject = self._rejections[source.split].append
        seen: set[int] = set()
        for document, offset, product in read_products(
            source.path, categories, source.labelled, reject, keep_going=self._options.keep_going
        ):
            if product.product_id in seen:
                reject(duplicate(document, offset, product.product_id))
                continue
            seen.add(product.product_id)
            yield product.product_id, example_of(product, categories)

    def _find_sources(
        self, dl_manager: tfds.download.DownloadManager
    ) -> tuple[str, list[manual_files.Source]]:
        return manual_files.find_sources(dl_manager.manual_dir, self._options.train_only)

    def _inputs(
        self, dl_manager: tfds.download.DownloadManager
    ) -> tuple[Categories, list[manual_files.Source]]:
        """Finds and checks the files, as far as that takes moments, and names the labels."""
        csv_path, sources = manual_files.find_sources(
            dl_manager.manual_dir, self._options.train_only
        )
        categories = Categories.from_csv(csv_path)
        if not self._options.keep_going:
            for source in sources:
                check_ends(source.path)
        features = self.info.features
        features["category"].names = [str(number) for number in categories.category_ids.tolist()]
        # TFDS strips names when it reads them back.
        features["level1"].names = [name.strip() for name in categories.level1_names]
        features["level2"].names = [name.strip() for name in categories.level2_names]
        return categories, sources

    def _download_and_prepare(
        self,
        dl_manager: tfds.download.DownloadManager,
        download_config: tfds.download.DownloadConfig,
    ) -> None:
        self._rejections.clear()
        super()._download_and_prepare(dl_manager, download_config)
        csv_path, _ = self._find_sources(dl_manager)
        epath.Path(csv_path).copy(self.data_path / manual_files.CATEGORIES, overwrite=True)
        indexes = {split: self._index_of(split) for split in self.info.splits}
        for split, index in indexes.items():
            index.save(ProductIndex.path_in(self.data_path, split))
        self._write_rejections()
        self.info.metadata.update(
            num_products={split: len(index) for split, index in indexes.items()},
            num_pictures={split: index.total_pictures for split, index in indexes.items()},
            rejected={split: self._count_rejections(split) for split in indexes},
        )

    def _index_of(self, split: str) -> ProductIndex:
        """The index of a split that was just written, from its records."""
        dataset = self.as_dataset(
            split=split,
            # One shard after the other.
            read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
            decoders=tfds.decode.PartialDecoding({"product_id", "image_hashes", "category"}),
        )
        rows = [
            (int(record["product_id"]), len(record["image_hashes"]), int(record["category"]))
            for record in tfds.as_numpy(dataset)
        ]
        return ProductIndex(*(np.array(column) for column in zip(*rows)))

    def _count_rejections(self, split: str) -> dict[str, int]:
        counts = collections.Counter(rejection.kind for rejection in self._rejections[split])
        return {kind: counts[kind] for kind in KINDS}

    def _write_rejections(self) -> None:
        """Writes `rejected.jsonl` if there is anything to say, and says so."""
        lines = [
            rejection.to_json(split)
            for split, rejections in self._rejections.items()
            for rejection in rejections
        ]
        if lines:
            path = self.data_path / "rejected.jsonl"
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            logging.warning("%d pictures, products or stretches were left out", len(lines))
