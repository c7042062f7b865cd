"""Computes the features of a split's products, and writes them."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from cdisc_tfds.categories import Categories
from trainer.data.dataset import Split, open_dataset
from trainer.data.decoding import resolve_decoder
from trainer.prediction.embedding_options import EmbeddingOptions
from trainer.prediction.neighbours import chosen, nearest, require_searchable
from trainer.prediction.picture_features import FeatureReader
from trainer.prediction.product_embeddings import embed, load_bases
from trainer.runs.embedding_file import Embeddings, check_output
from trainer.runs.folder import RunFolder
from trainer.runs.output_file import write_made_from


@dataclasses.dataclass(frozen=True)
class MadeEmbeddings:
    """Features, and where they come from.

    Attributes:
      embeddings: the features.
      split: the products.
      categories: the categories of the data set.
      made_from: weights and method, for the file beside.
    """

    embeddings: Embeddings
    split: Split
    categories: Categories
    made_from: dict[str, Any]

    def write(self, output: str | os.PathLike[str]) -> None:
        """Writes the features, and OUTPUT.made_from.json; see `embedding_file.check_output`."""
        path = check_output(output)
        digest = self.embeddings.write(path)
        write_made_from(path, self.made_from | {"file_sha256": digest})


def make_embeddings(
    run_dir: str | os.PathLike[str], spec: str, options: EmbeddingOptions
) -> MadeEmbeddings:
    """Computes the features of a split, and the neighbours if the options ask for them.

    Args:
      run_dir: folder of a plain or a fused run.
      spec: TFDS sub-split.
      options: how.

    Raises:
      EmbeddingError: if the run has no features, or the split no picture.
      NeighbourError: as in `nearest`.
      DatasetError, LabelMapError: if the data set is not there, or has other categories.
    """
    run = RunFolder(run_dir).require()
    config = run.config
    data = open_dataset(options.data_dir or config.data_dir)
    run.require_categories(data.categories)
    split = data.split(spec)
    if options.neighbours:  # before the long work
        require_searchable(options.neighbours, options.search, split.num_products)
    decoder = resolve_decoder(options.decoder)  # before the network takes the GPU's memory
    bases = load_bases(run, options.checkpoint, options.flip)
    reader = FeatureReader(bases, options.batch_size or config.eval_batch_size, decoder)
    embeddings = embed(reader, split, data.categories.category_ids)
    facts: dict[str, Any] = {
        "runs": [dataclasses.asdict(member.weights) for member in bases.members],
        "split": split.spec,
        "data_digest": split.index.digest,
        "decoder": decoder,
        "flip": options.flip,
        "search": None,
    }
    if options.neighbours:
        facts["search"] = chosen(options.search, len(embeddings.features))
        places, cosines = nearest(embeddings.features, options.neighbours, options.search)
        embeddings = dataclasses.replace(
            embeddings, neighbour_id=embeddings.product_id[places], similarity=cosines
        )
    return MadeEmbeddings(embeddings, split, data.categories, facts)
