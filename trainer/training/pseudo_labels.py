"""Pseudo labels: a run's own guesses for products without labels, to learn from their pictures.

Photos from other places look different, and a network that also trains on them, with its own
guesses for labels, adapts to them (D. Lee, Pseudo-Label, ICML 2013 workshop). The guess for a
product joins all views of all its pictures, while training shows each picture changed at random.
So the guess knows more than the network that it teaches.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np

from trainer.cluster.shared_work import work_of
from trainer.cluster.workers import ALONE, Workers
from trainer.data.dataset import CdiscountData, require_disjoint
from trainer.data.labelled_split import LabelledSplit
from trainer.data.lanes import share_of_products
from trainer.data.product_places import ProductPlaces
from trainer.prediction.predictor import Predictor, predict_products
from trainer.prediction.views import Views
from trainer.settings.config import Config

_NONE = -1
_VIEWS = Views(flip=True)


@dataclasses.dataclass(frozen=True)
class Labelling:
    """What labelling a split gave, for the log.

    Attributes:
      spec: the split.
      products, pictures: chosen to train on.
      least_sure: the lowest probability of a chosen product's label.
    """

    spec: str
    products: int
    pictures: int
    least_sure: float


class PseudoLabels:
    """The labels that a run gives the products of `config.pseudo_label_split`.

    Args:
      config: with a `pseudo_label_split`.
      data: the data set.
      train: the products to train on with their labels.
      validation: those to validate on.

    Attributes:
      split: the products.
      variable: int32 [products of the split], the label of each, or -1 for those that the run does
        not train on. It belongs to the run's state, as the weights do: they cannot be computed
        again within an epoch.

    Raises:
      DatasetError: if there is no such split, or it shares products with another one.
    """

    def __init__(
        self, config: Config, data: CdiscountData, train: LabelledSplit, validation: LabelledSplit
    ):
        assert config.pseudo_label_split is not None
        self._config, self._train = config, train
        self.split = data.split(config.pseudo_label_split)
        require_disjoint(train.split, self.split)
        require_disjoint(self.split, validation.split)
        self._both = data.split(f"{train.split.spec}+{self.split.spec}")
        self.variable = keras.Variable(
            np.full(self.split.num_products, _NONE, np.int32),
            trainable=False,
            dtype="int32",
            name="pseudo_labels",
        )
        self._predictor: Predictor | None = None
        self._joined: LabelledSplit | None = None

    @property
    def most_pictures(self) -> int:
        """Number of pictures to train on, at most."""
        return int(self._config.pseudo_label_share * self.split.num_pictures)

    def joined(self) -> LabelledSplit:
        """The training products with their labels, and the chosen ones with the run's labels."""
        if self._joined is None:
            classes = np.full(self._both.num_products, _NONE, np.int32)
            classes[self._places.of(self._train.split.index.product_id)] = self._train.classes
            classes[self._places.of(self.split.index.product_id)] = self.variable.numpy()
            self._joined = LabelledSplit(self._both, self._train.label_map, given_classes=classes)
        return self._joined

    @functools.cached_property
    def _places(self) -> ProductPlaces:
        return ProductPlaces(self._both.index.product_id)

    def renew(
        self,
        model: keras.Model,
        between_batches: Callable[[], None],
        workers: Workers = ALONE,
    ) -> Labelling:
        """Labels the split with the network's current weights.

        Args:
          model: pictures -> logits.
          between_batches: called after each batch; an exception from it leaves the labels as they
            were.
          workers: those that share the products out.

        Raises:
          StopAsked, WorkersError, WorkerLost: as in SharedWork.
        """
        labels, sureness = self._guesses(model, between_batches, workers)
        num_pictures = self.split.index.num_pictures
        chosen = surest(sureness, num_pictures, self.most_pictures)
        self.variable.assign(np.where(chosen, labels, _NONE))
        self._joined = None
        return Labelling(
            self.split.spec,
            int(chosen.sum()),
            int(num_pictures[chosen].sum()),
            float(sureness[chosen].min()) if chosen.any() else 1.0,
        )

    def _guesses(
        self, model: keras.Model, between_batches: Callable[[], None], workers: Workers
    ) -> tuple[np.ndarray, np.ndarray]:
        """(class int32 [products], its probability float32 [products]); 0 without a picture."""
        config, split = self._config, self.split
        if self._predictor is None:  # not earlier: tracing would delay the first step
            self._predictor = Predictor(
                model, self._train.label_map, image_size=config.image_size, views=_VIEWS
            )
        guesses = np.zeros([2, split.num_products])  # labels and sureness
        every, num_pictures = np.arange(split.num_products), split.index.num_pictures
        with work_of(workers, "labelling", split.num_products, "products") as work:
            for batch in predict_products(
                self._predictor,
                split,
                batch_size=config.eval_batch_size,
                products=share_of_products(every, num_pictures, workers.this),
                decoder=config.decoder,
            ):
                guesses[0, batch.ordinals] = batch.probabilities.argmax(1)
                sureness = batch.probabilities.max(1) * (batch.num_pictures > 0)
                guesses[1, batch.ordinals] = sureness
                work.did(len(batch.ordinals))
                between_batches()
        labels, sureness = workers.sums(guesses.ravel()).reshape(guesses.shape)
        return labels.astype(np.int32), sureness.astype(np.float32)


def surest(sureness: np.ndarray, num_pictures: np.ndarray, most_pictures: int) -> np.ndarray:
    """Chooses the surest products that have at most so many pictures together.

    Args:
      sureness: float32 [products]; those of 0 are never chosen. Of equally sure products, the
        earlier ones come first.
      num_pictures: int [products].
      most_pictures: the limit.

    Returns:
      bool [products].
    """
    order = np.argsort(-sureness, kind="stable")
    fits = np.cumsum(num_pictures[order], dtype=np.int64) <= most_pictures
    chosen = np.zeros(len(sureness), bool)
    chosen[order[fits]] = True
    return chosen & (sureness > 0)
