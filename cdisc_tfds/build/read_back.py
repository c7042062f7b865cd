"""Reads the records of a split that TFDS's own writer wrote, to compute its index and digest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from cdisc_tfds.build.sorted_parts import content_of
from cdisc_tfds.build.split_order import records_digest
from cdisc_tfds.categories import Categories
from cdisc_tfds.product_index import ProductIndex
from cdisc_tfds.records import Product, RecordEncoder


def read_back(
    builder: tfds.core.DatasetBuilder, split: str, categories: Categories
) -> tuple[ProductIndex, str]:
    """(index, `records_digest`) of a newly written split."""
    encoder = RecordEncoder(categories)
    rows: list[tuple[int, int, int]] = []
    contents: list[bytes] = []
    for product in _products(builder, split):
        rows.append((product.product_id, len(product.images), product.category))
        contents.append(content_of(encoder.pieces(product)))
    index = ProductIndex(*np.array(rows, np.int64).reshape(-1, 3).T)
    return index, records_digest(index, np.frombuffer(b"".join(contents), ">u8"))


def _products(builder: tfds.core.DatasetBuilder, split: str) -> Iterator[Product]:
    """The split's products in record order."""
    if builder.info.file_format == tfds.core.FileFormat.ARRAY_RECORD:  # tf.data cannot read it
        no_decode = tfds.decode.DeserializeMethod.DESERIALIZE_NO_DECODE
        for example in builder.as_data_source(split=split, deserialize_method=no_decode):
            features = example.features.feature
            yield Product(
                features["product_id"].int64_list.value[0],
                list(features["images"].bytes_list.value),
                features["category"].int64_list.value[0],
            )
        return
    # Read the shards one by one, without interleaving.
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    decoders = {"images": tfds.decode.SkipDecoding()}
    dataset = builder.as_dataset(split=split, read_config=config, decoders=decoders)
    for record in tfds.as_numpy(dataset):
        yield Product(int(record["product_id"]), list(record["images"]), int(record["category"]))
