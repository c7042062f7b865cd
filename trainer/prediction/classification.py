"""Classifies photos that no data set holds, with one run or several together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from absl import logging

from cdisc_tfds.photo_products import PhotoProduct, RejectedPhoto
from cdisc_tfds.progress_line import ProgressLine
from trainer.data.dataset import CdiscountData, open_dataset
from trainer.data.decoding import resolve_decoder
from trainer.data.photo_split import PhotoPart, photo_parts, undecodable
from trainer.prediction.acceptance_options import AcceptanceOptions
from trainer.prediction.acceptance_rule import AcceptanceRule, settled_rule
from trainer.prediction.averaging import ProductBatch
from trainer.prediction.mean_choice import AUTO
from trainer.prediction.options import SourceOptions
from trainer.prediction.ranked_products import ClassNames, RankedProducts, ranked
from trainer.prediction.run_selection import FIT, RunSelection
from trainer.prediction.selected_runs import SelectedRuns, select_runs, selected_folders
from trainer.prediction.temperature import tempered_batch


@dataclasses.dataclass(frozen=True)
class Classifier:
    """Runs that classify photos.

    Attributes:
      selected: the runs.
      rule: which first guesses to accept, and the temperature.
      top: number of classes to name, at most the run's.
      decoder: the decoder, as `resolve_decoder` returns it.
      how: the options that the runs were opened with.
    """

    selected: SelectedRuns
    rule: AcceptanceRule
    top: int
    decoder: str
    how: SourceOptions

    @property
    def names(self) -> ClassNames:
        """What the classes are called."""
        return ClassNames.of(self.selected.source.label_map)

    @property
    def max_side(self) -> int:
        """The largest picture that a network takes, in pixels."""
        return max(size for member in self.selected.members for size in member.image_sizes)

    def marks(self, products: RankedProducts) -> np.ndarray | None:
        """Which first guesses are accepted: bool [n]; None without a threshold."""
        return products.accepted(self.rule.threshold) if self.rule.applies else None

    def classify(
        self, products: Sequence[PhotoProduct], on_rejection: Callable[[RejectedPhoto], None]
    ) -> Iterator[RankedProducts]:
        """Classifies products, in order, in parts of some 30,000 photos.

        Args:
          products: the products.
          on_rejection: called for each photo that cannot be used, and each product without any.

        Raises:
          PredictionError: if a prediction is not finite.
        """
        categories = self.selected.source.label_map.categories
        photos = sum(len(product.photos) for product in products)
        line, done = ProgressLine("classifying", photos, "photos"), 0
        with photo_parts(products, categories, self.max_side) as parts:
            for part in parts:
                for rejection in part.rejected:
                    on_rejection(rejection)
                batches = self._counted(part, line, done)
                names = [product.name for product in part.products]
                found = ranked(names, part.places, batches, self.top)
                for rejection in self._undecodable(part, found):
                    on_rejection(rejection)
                done += sum(len(product.photos) for product in part.products)
                line.update(done)
                yield found
        line.close()

    def _counted(self, part: PhotoPart, line: ProgressLine, done: int) -> Iterator[ProductBatch]:
        """The predictions of a part, with temperature and progress."""
        if part.split is None:
            return
        for batch in self.selected.source.predict(part.split):
            if self.rule.calibration is not None:
                batch = tempered_batch(batch, self.rule.calibration)
            done += len(batch.picture_ordinals)
            line.update(done)
            yield batch

    def _undecodable(self, part: PhotoPart, found: RankedProducts) -> Iterator[RejectedPhoto]:
        """The photos that looked usable, but that TensorFlow could not decode."""
        for place, photos in zip(part.places.tolist(), part.photos, strict=True):
            if found.num_pictures[place] < len(photos):
                product = found.names[place]
                yield from undecodable(product, photos, self.max_side)
                if not found.num_pictures[place]:
                    yield RejectedPhoto(product, None, "it has no usable photo")


def open_classifier(
    selection: RunSelection, how: SourceOptions, acceptance: AcceptanceOptions, top: int
) -> Classifier:
    """Prepares the runs; the data set is only needed to choose a rule or to fit weights.

    Args:
      selection: the runs.
      how: how they predict.
      acceptance: which first guesses to accept.
      top: number of classes to name.

    Raises:
      OptionError: if the flags contradict each other.
      AcceptanceError: as in `settled_rule`.
      Also the errors of `selected_folders`, `select_runs` and `open_dataset`.
    """
    acceptance.require_consistent()
    _ = how.views  # raises OptionError
    runs = selected_folders(selection)
    data: CdiscountData | None = None
    if how.mean == AUTO or selection.run_weights == FIT:
        data = open_dataset(how.data_dir or runs[0].config.data_dir)
    decoder = resolve_decoder(how.decoder)  # before the network takes the GPU's memory
    selected = select_runs(selection, runs, data, how, decoder)
    rule = settled_rule(acceptance, selected, how)
    if rule.applies and rule.threshold is None and rule.expected is not None:
        logging.warning(
            "No threshold reaches a precision of %g on the validation products, so no product is "
            "accepted.",
            rule.expected.wanted,
        )
    classes = selected.source.label_map.num_classes
    return Classifier(selected, rule, min(top, classes), decoder, how)
