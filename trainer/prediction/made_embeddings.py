"""Computes the features of a split's products, and writes them."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any

from cdisc_tfds.categories import Categories
from trainer.data.dataset import CdiscountData, Split, open_dataset, products_in_common
from trainer.data.decoding import resolve_decoder
from trainer.data.product_places import ProductPlaces
from trainer.prediction.embedding_options import EmbeddingOptions
from trainer.prediction.neighbours import chosen, nearest_among, require_searchable
from trainer.prediction.picture_features import FeatureReader
from trainer.prediction.product_embeddings import embed, load_bases
from trainer.runs.embedding_file import SUFFIXES, Embeddings, check_output
from trainer.runs.embedding_origin import EmbeddingFile, EmbeddingOrigin, FeatureRun
from trainer.runs.folder import RunFolder


@dataclasses.dataclass(frozen=True)
class OtherProducts:
    """Products that neighbours are looked for among.

    Attributes:
      embeddings: their features.
      split: the products.
    """

    embeddings: Embeddings
    split: Split


@dataclasses.dataclass(frozen=True)
class MadeEmbeddings:
    """Features, and where they come from.

    Attributes:
      embeddings: the features.
      split: the products.
      categories: the categories of the data set.
      origin: weights and method, for the file beside.
      among: the products that the neighbours are; None: those of `split`.
    """

    embeddings: Embeddings
    split: Split
    categories: Categories
    origin: EmbeddingOrigin
    among: OtherProducts | None = None

    def write(self, output: str | os.PathLike[str]) -> None:
        """Writes the features, and OUTPUT.made_from.json; see `embedding_file.check_output`."""
        path = check_output(output)
        self.origin.write(path, self.embeddings.write(path))


def make_embeddings(
    run_dir: str | os.PathLike[str], spec: str, options: EmbeddingOptions
) -> MadeEmbeddings:
    """Computes the features of a split, and the neighbours if the options ask for them.

    Args:
      run_dir: folder of a plain or a fused run.
      spec: TFDS sub-split.
      options: how.

    Raises:
      OptionError: if the options contradict each other.
      EmbeddingError: if the run has no features, or the split no picture.
      EmbeddingFileError: if `options.among` is a file of other features, or of another data set.
      NeighbourError: as in `nearest_among`.
      DatasetError, LabelMapError: if the data set is not there, or has other categories.
    """
    options.require_consistent()
    run = RunFolder(run_dir).require()
    config = run.config
    data = open_dataset(options.data_dir or config.data_dir)
    run.require_categories(data.categories)
    split = data.split(spec)
    named = FeatureRun(os.fspath(run_dir), options.checkpoint, options.data_dir)
    searched = _searched(data, options, split, named)  # before the long work
    decoder = resolve_decoder(options.decoder)  # before the network takes the GPU's memory
    bases = load_bases(run, options.checkpoint, options.flip)
    if searched.file is not None:
        searched.file.place_of_weights([named], [[member.weights for member in bases.members]])
    reader = FeatureReader(bases, options.batch_size or config.eval_batch_size, decoder)
    category_ids = data.categories.category_ids
    embeddings = embed(reader, split, category_ids)
    origin = EmbeddingOrigin(
        runs=tuple(dataclasses.asdict(member.weights) for member in bases.members),
        split=split.spec,
        data_digest=split.index.digest,
        decoder=decoder,
        flip=options.flip,
    )
    among: OtherProducts | None = None
    if options.among is not None:
        others = (
            embed(reader, searched.split, category_ids)
            if searched.file is None
            else searched.file.read(named)
        )
        among = OtherProducts(others, searched.split)
    if options.neighbours:
        embeddings, search = _with_neighbours(embeddings, among, options)
        origin = dataclasses.replace(origin, search=search, among=searched.facts if among else None)
    return MadeEmbeddings(embeddings, split, data.categories, origin, among)


@dataclasses.dataclass(frozen=True)
class _Searched:
    """Where neighbours are looked for.

    Attributes:
      split: the products.
      file: their features; None: they are still to be computed.
    """

    split: Split
    file: EmbeddingFile | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """As `EmbeddingOrigin.among`."""
        digest = None if self.file is None else self.file.sha256
        return {
            "split": self.split.spec,
            "data_digest": self.split.index.digest,
            "file_sha256": digest,
        }


def _searched(
    data: CdiscountData, options: EmbeddingOptions, split: Split, run: FeatureRun
) -> _Searched:
    """The products to search, after a check that enough of them can be found."""
    searched = _Searched(split)
    if options.among is not None:
        if pathlib.Path(options.among).suffix in SUFFIXES:
            file = EmbeddingFile.open(options.among)
            file.require_flip(options.flip)
            searched = _Searched(file.split_in(data, run), file)
        else:
            searched = _Searched(data.split(options.among))
    if options.neighbours:
        others = searched.split.num_products - (len(products_in_common(split, searched.split)) > 0)
        require_searchable(
            options.neighbours,
            options.search,
            searched.split.num_products,
            split.num_products,
            others,
        )
    return searched


def _with_neighbours(
    embeddings: Embeddings, among: OtherProducts | None, options: EmbeddingOptions
) -> tuple[Embeddings, str]:
    """(the features with their neighbours, how these were searched)."""
    others = embeddings if among is None else among.embeddings
    itself = ProductPlaces(others.product_id).of(embeddings.product_id)
    features = embeddings.features
    places, cosines = nearest_among(
        features, others.features, itself, options.neighbours, options.search
    )
    found = dataclasses.replace(
        embeddings, neighbour_id=others.product_id[places], similarity=cosines
    )
    return found, chosen(options.search, len(others.features), len(features))
