"""Finds doubtful labels of a split with runs and neighbours."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np

from cdisc_tfds.progress_line import ProgressLine
from trainer.data.dataset import CdiscountData, Split, open_dataset
from trainer.data.decoding import resolve_decoder
from trainer.data.labelled_split import LabelledSplit
from trainer.data.product_places import ProductPlaces
from trainer.prediction.embedding_options import EmbeddingOptions
from trainer.prediction.label_doubts import VerdictCounter, Verdicts, doubtful_labels
from trainer.prediction.made_embeddings import make_embeddings
from trainer.prediction.options import SourceOptions
from trainer.prediction.priors import training_splits
from trainer.prediction.ranked_products import ClassNames
from trainer.prediction.run_selection import RunSelection
from trainer.prediction.selected_runs import SelectedRuns, select_runs, selected_folders
from trainer.runs.doubtful_labels import DoubtfulLabels
from trainer.runs.embedding_file import Embeddings


class DoubtError(ValueError):
    """Labels cannot be doubted this way."""


@dataclasses.dataclass(frozen=True)
class FoundDoubts:
    """Doubtful labels, and where they come from.

    Attributes:
      doubts: the labels.
      split: the products.
      names: what the classes are called.
      num_checked: products with a label and a picture.
      num_trained: those of the split's products that a run is known to be trained on.
      made_from: weights and method, for the file beside.
    """

    doubts: DoubtfulLabels
    split: Split
    names: ClassNames
    num_checked: int
    num_trained: int
    made_from: dict[str, Any]


def find_doubts(
    selection: RunSelection,
    how: SourceOptions,
    spec: str,
    neighbours: int,
    search: str,
    features: str | None,
) -> FoundDoubts:
    """Finds the labels of a split that the runs and the most similar products contradict.

    Args:
      selection: the runs.
      how: how they predict.
      spec: TFDS sub-split.
      neighbours: how many neighbours to ask.
      search: how to find them, one of `embedding_options.SEARCHES`.
      features: a file of features with neighbours, of all products of the split; None: those of
        the first run.

    Raises:
      DoubtError: if no product has a label, or the file of features does not fit.
      Also the errors of `select_runs`, `make_embeddings` and `Embeddings.read`.
    """
    runs = selected_folders(selection)
    data = open_dataset(how.data_dir or runs[0].config.data_dir)
    split = data.split(spec)
    labelled = LabelledSplit(split, runs[0].label_map)
    if not labelled.num_products:
        raise DoubtError(
            f"Only labels can be doubted. No product of the split {spec!r} has a class of this "
            "run. Choose another --split."
        )
    embeddings = (
        _embedded(runs[0].path, spec, how, neighbours, search)
        if features is None
        else Embeddings.read(features)
    )
    decoder = resolve_decoder(how.decoder)
    selected = select_runs(selection, runs, data, how, decoder)
    verdicts = _verdicts(selected, labelled)
    labels = _neighbour_labels(embeddings, labelled, verdicts.ordinals, features)
    trained = _trained(selected, data, split)
    own = verdicts.ordinals
    doubts = doubtful_labels(verdicts, labels, split.index.product_id[own], trained[own])
    made_from = selected.made_from | {
        "split": spec,
        "data_digest": split.index.digest,
        "decoder": decoder,
        **dataclasses.asdict(how.views),
        "neighbours": labels.shape[1],
        "features": features,
    }
    return FoundDoubts(
        doubts,
        split,
        ClassNames.of(runs[0].label_map),
        len(verdicts.ordinals),
        int(trained.sum()),
        made_from,
    )


def _embedded(
    run_dir: pathlib.Path, spec: str, how: SourceOptions, neighbours: int, search: str
) -> Embeddings:
    """The features of the split's products by a run, with neighbours."""
    options = EmbeddingOptions(
        checkpoint=how.checkpoint,
        neighbours=neighbours,
        search=search,
        data_dir=how.data_dir,
        batch_size=how.batch_size,
        decoder=how.decoder,
    )
    return make_embeddings(run_dir, spec, options).embeddings


def _verdicts(selected: SelectedRuns, labelled: LabelledSplit) -> Verdicts:
    counter = VerdictCounter(labelled.classes, labelled.label_map.num_classes)
    products = labelled.products
    line, done = ProgressLine(f"predicting {labelled.split.spec}", len(products), "products"), 0
    for batch in selected.source.predict(labelled.split, products):
        counter.add(batch)
        done += len(batch.ordinals)
        line.update(done)
    line.close()
    return counter.result()


def _neighbour_labels(
    embeddings: Embeddings, labelled: LabelledSplit, ordinals: np.ndarray, features: str | None
) -> np.ndarray:
    """The classes of the neighbours of products: int64 [n, m]; -1 without one."""
    ids = labelled.split.index.product_id
    if embeddings.neighbour_id is None:
        raise DoubtError(
            f"--features must have neighbours. {features} has none. Write it with `python -m "
            "trainer.embed --neighbours=10`."
        )
    rows = ProductPlaces(embeddings.product_id).of(ids[ordinals])
    others = ProductPlaces(ids).of(embeddings.neighbour_id[rows])
    if (missing := int((rows < 0).sum())) or (others < 0).any():
        raise DoubtError(
            f"--features must be of the products of {labelled.split.spec}. {features} lacks "
            f"{missing:,} of them, or has neighbours that are not among them. Write it with "
            "`python -m trainer.embed` and the same --split."
        )
    return labelled.classes[others].reshape(len(ordinals), -1).astype(np.int64)


def _trained(selected: SelectedRuns, data: CdiscountData, split: Split) -> np.ndarray:
    """Whether a run was trained on each product: bool; a warning if its split is not in `data`."""
    ids = split.index.product_id
    trained = np.zeros(len(ids), bool)
    for member in selected.members:
        for one in training_splits(data, member.run.config) or ():
            trained |= np.isin(ids, one.index.product_id)
    return trained
