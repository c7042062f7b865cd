"""Predictions: pictures through a trained network, averaged over each product's pictures.

    predictor = load_predictor("runs/cnn", data)
    for batch in predict_products(predictor, data.split("test"), batch_size=256):
        batch.ordinals, batch.probabilities

Memory holds a few batches, whatever the number of products.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from trainer.data.dataset import CdiscountData, DatasetError, Split
from trainer.data.input_pipeline import inference_dataset
from trainer.data.label_map import LabelMap
from trainer.data.record_reading import clear_record_errors
from trainer.models.joined import join_networks
from trainer.models.networks import build_model
from trainer.models.precision import resolve_precision
from trainer.prediction.ahead import ahead
from trainer.prediction.scores import Tally
from trainer.runs.checkpoint import CheckpointError, verified_path
from trainer.runs.folder import RunFolder, RunFolderError
from trainer.settings.config import Config
from trainer.terminal.progress import ProgressLine

MEANS = ("arithmetic", "geometric")
CHECKPOINTS = ("best", "last")
_SMALLEST = np.float32(1e-30)  # bounds the logarithm of a probability from below


class PredictionError(ValueError):
    """A network or a stream of pictures that no prediction can be made from."""


class Predictor:
    """A network as a function from pictures to the probabilities of a run's classes.

    Args:
      model: uint8 [b, size, size, 3] -> float32 logits [b, classes], or from features [b, f]. Its
        weights may change between calls; the function is traced once.
      label_map: what the classes mean.
      image_size: the pictures' side in pixels.
      flip: whether to average each picture's probabilities with those of its mirror image.
      mean: how the pictures of a product are averaged. `geometric` is the softmax of the mean
        logarithm; the winners of the competition found it better for few networks.
      prior: float32 [classes], what is predicted for a product without a readable picture;
        default: all classes alike.
    """

    def __init__(
        self,
        model: keras.Model,
        label_map: LabelMap,
        *,
        image_size: int,
        flip: bool = False,
        mean: str = "arithmetic",
        prior: np.ndarray | None = None,
    ):
        if mean not in MEANS:
            raise PredictionError(f"`mean` must be one of {', '.join(MEANS)}. Received: {mean!r}.")
        classes = label_map.num_classes
        if model.output_shape[-1] != classes:
            raise PredictionError(
                "A network must have one output for each class of its label map. Received: "
                f"{model.output_shape[-1]} outputs for {classes} classes."
            )
        self.model, self.label_map, self.image_size, self.mean = model, label_map, image_size, mean
        self.prior = np.full(classes, 1 / classes, np.float32) if prior is None else prior

        self._flip = flip
        # Traced here, in the thread that made the network; the calls come from others.
        self.function = tf.function(self.forward).get_concrete_function(
            tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)
        )

    def forward(self, images: tf.Tensor) -> tf.Tensor:
        """uint8 [b, size, size, 3] -> float32 [b, classes], as TensorFlow operations."""
        # Softmax over thousands of classes needs float32.
        probabilities = tf.nn.softmax(tf.cast(self.model(images, training=False), tf.float32))
        if self._flip:
            mirrored = self.model(tf.reverse(images, axis=[2]), training=False)
            probabilities += tf.nn.softmax(tf.cast(mirrored, tf.float32))
            probabilities /= 2
        return probabilities

    def probabilities(self, images: tf.Tensor) -> np.ndarray:
        """uint8 [b, size, size, 3] -> float32 [b, classes], each row summing to 1.

        Raises:
          PredictionError: if they are not finite.
        """
        probabilities = self.function(images).numpy()
        # One NaN or infinite logit makes NaN of its whole row.
        if not np.isfinite(probabilities[:, 0]).all():
            raise PredictionError(
                "Predictions must be finite numbers. This network gives NaN: its weights have "
                "diverged. Use the best checkpoint (--checkpoint=best), or train again with a "
                "smaller --learning_rate or --precision=float32."
            )
        return probabilities


@dataclasses.dataclass(frozen=True)
class ProductBatch:
    """Products whose pictures have all been seen, and the pictures that were seen meanwhile.

    Attributes:
      ordinals: int64 [n], places of the products in the split.
      probabilities: float32 [n, classes], averaged over each product's pictures.
      num_pictures: int64 [n], readable pictures of each product; 0 if the prior stands in.
      picture_ordinals: int64 [m], the product of each picture of the last batch read. Its last
        product may follow in the next ProductBatch only.
      picture_probabilities: float32 [m, classes].
    """

    ordinals: np.ndarray
    probabilities: np.ndarray
    num_pictures: np.ndarray
    picture_ordinals: np.ndarray
    picture_probabilities: np.ndarray


def predict_products(
    predictor: Predictor,
    split: Split,
    *,
    batch_size: int,
    products: np.ndarray | None = None,
    decoder: str = "tf",
    dataset: tf.data.Dataset | None = None,
) -> Iterator[ProductBatch]:
    """Predicts every product of a split once.

    Args:
      predictor: the network.
      split: the products.
      batch_size: pictures a step.
      products: int64, ascending ordinals of the products wanted; default: all. Pictures of others
        are not decoded.
      decoder: who decodes, as in `trainer.data.input_pipeline`.
      dataset: the wanted products' features, of `inference_features`, for a network that reads
        those; default: their pictures.

    Yields:
      Products in the split's order, and after them those without a readable picture, which get
      `predictor.prior`. At most about `batch_size` products at a time.

    Raises:
      DatasetError: if a record is damaged, or is of another product than the index says.
    """
    if products is None:
        products = np.arange(split.num_products)
    if dataset is None:
        dataset = inference_dataset(
            split,
            batch_size=batch_size,
            image_size=predictor.image_size,
            products=products,
            decoder=decoder,
        )

    def predict(element: dict[str, tf.Tensor]) -> tuple[np.ndarray, np.ndarray]:
        ordinals = element["product"].numpy()
        return ordinals, predictor.probabilities(element["inputs"])

    # A batch without a readable picture is empty: nothing to predict.
    dataset = dataset.filter(lambda element: tf.size(element["product"]) > 0)

    pictures = ahead(predict, dataset)
    unseen = np.zeros(split.num_products, bool)
    unseen[products] = True
    with clear_record_errors(split):
        for batch in average_products(pictures, predictor.mean):
            unseen[batch.ordinals] = False
            yield batch
    unseen = np.flatnonzero(unseen)
    if len(unseen):
        logging.warning(
            "%d of %d products have no readable picture: they get the training prior.",
            len(unseen),
            len(products),
        )
    for start in range(0, len(unseen), batch_size):
        yield _prior_batch(unseen[start : start + batch_size], predictor.prior)


def average_products(
    pictures: Iterable[tuple[np.ndarray, np.ndarray]], mean: str = "arithmetic"
) -> Iterator[ProductBatch]:
    """Averages the probabilities of consecutive pictures of a product.

    The pictures of a product may lie in several batches: the result does not depend on where
    batches end, to the last bit.

    Args:
      pictures: batches of (product ordinal int64 [b], probabilities float32 [b, classes]), ordinals
        never falling.
      mean: one of MEANS.

    Raises:
      PredictionError: if an ordinal falls, which would split a product in two.
    """
    carry: _Sums | None = None  # of the last product, whose next picture may be in the next batch
    for ordinals, probabilities in pictures:
        first = carry.ordinals[0] if carry else 0
        if np.any(np.diff(ordinals, prepend=first) < 0):
            raise PredictionError(
                "The pictures of a product must follow each other, products in the split's order. "
                f"Received: product {ordinals.min()} after product {max(first, ordinals.max())}."
            )
        sums = _sum_products(ordinals, probabilities, mean, carry)
        carry = sums.rows(slice(-1, None))
        yield _finish(sums.rows(slice(0, -1)), mean, ordinals, probabilities)
    if carry:
        yield _finish(carry, mean, ordinals[:0], probabilities[:0])


@dataclasses.dataclass(frozen=True)
class _Sums:
    """Sums over the pictures of each product: of probabilities, or of their logarithms."""

    ordinals: np.ndarray
    values: np.ndarray
    counts: np.ndarray

    def rows(self, rows: slice) -> _Sums:
        return _Sums(self.ordinals[rows], self.values[rows], self.counts[rows])

    def followed_by(self, other: _Sums) -> _Sums:
        return _Sums(
            np.concatenate([self.ordinals, other.ordinals]),
            np.concatenate([self.values, other.values]),
            np.concatenate([self.counts, other.counts]),
        )


def _sum_products(
    ordinals: np.ndarray, probabilities: np.ndarray, mean: str, carry: _Sums | None
) -> _Sums:
    values = probabilities
    if mean == "geometric":
        values = np.log(np.maximum(values, _SMALLEST))
    starts = np.flatnonzero(np.diff(ordinals, prepend=ordinals[0] - 1))
    counts = np.diff(starts, append=len(ordinals))
    totals = values[starts]
    continued = carry is not None and carry.ordinals[0] == ordinals[0]
    if continued:
        totals[0] += carry.values[0]
    # Picture after picture; np.add.reduceat along this axis is ten times slower.
    for place in range(1, counts.max()):
        longer = np.flatnonzero(counts > place)
        totals[longer] += values[starts[longer] + place]
    if continued:
        counts[0] += carry.counts[0]
    sums = _Sums(ordinals[starts], totals, counts)
    return sums if carry is None or continued else carry.followed_by(sums)


def _finish(
    sums: _Sums, mean: str, picture_ordinals: np.ndarray, picture_probabilities: np.ndarray
) -> ProductBatch:
    means = sums.values / sums.counts[:, None].astype(np.float32)
    if mean == "geometric":
        means = np.exp(means - means.max(axis=1, keepdims=True))
        means /= means.sum(axis=1, keepdims=True)
    return ProductBatch(sums.ordinals, means, sums.counts, picture_ordinals, picture_probabilities)


def _prior_batch(ordinals: np.ndarray, prior: np.ndarray) -> ProductBatch:
    return ProductBatch(
        ordinals,
        np.tile(prior, [len(ordinals), 1]),
        np.zeros(len(ordinals), np.int64),
        ordinals[:0],
        np.zeros([0, len(prior)], np.float32),
    )


class Evaluator:
    """Validation of a network that is being trained, after each epoch.

    Args:
      model: the network; the evaluator follows its weights.
      label_map: what its classes mean.
      config: the run's resolved settings.
    """

    def __init__(self, model: keras.Model, label_map: LabelMap, config: Config):
        self._predictor = Predictor(model, label_map, image_size=config.image_size)
        self._batch_size = config.eval_batch_size or config.batch_size
        self._decoder = config.decoder

    @property
    def function(self) -> tf.types.experimental.ConcreteFunction:
        """Pictures to probabilities, as TensorFlow runs it."""
        return self._predictor.function

    def evaluate(
        self,
        split: Split,
        label: str = "evaluating",
        between_batches: Callable[[], None] = lambda: None,
        dataset: tf.data.Dataset | None = None,
    ) -> dict[str, float]:
        """Loss and accuracies over the products of `split` that have one of the run's classes.

        Args:
          split: the products.
          label: what the progress line calls it.
          between_batches: is called after each batch; what it raises ends the evaluation.
          dataset: as in `predict_products`.

        Returns:
          `loss` (nats), `accuracy` and `top5_accuracy` by picture, `product_accuracy` and
          `product_top5_accuracy` (probabilities averaged over a product's pictures).

        Raises:
          PredictionError: if no product of the split has one of the run's classes.
        """
        classes = self._predictor.label_map.classes_of(split.index.category)
        products = np.flatnonzero(classes >= 0)
        if not len(products):
            raise PredictionError(
                "Validation needs products with labels of this run's classes. The split "
                f"{split.spec!r} has none. Choose another --validation_split."
            )
        by_picture, by_product = Tally(), Tally()
        line = ProgressLine(label, len(products), "products")
        for batch in predict_products(
            self._predictor,
            split,
            batch_size=self._batch_size,
            products=products,
            decoder=self._decoder,
            dataset=dataset,
        ):
            by_picture.add(batch.picture_probabilities, classes[batch.picture_ordinals])
            by_product.add(batch.probabilities, classes[batch.ordinals])
            line.update(by_product.count)
            between_batches()
        line.close()
        return {
            "loss": by_picture.loss,
            "accuracy": by_picture.accuracy,
            "top5_accuracy": by_picture.top5_accuracy,
            "product_accuracy": by_product.accuracy,
            "product_top5_accuracy": by_product.top5_accuracy,
        }


def training_split(data: CdiscountData, config: Config) -> Split | None:
    """The products that a run was trained on; None, with a warning, if they are not in `data`."""
    try:
        return data.split(config.train_split)
    except DatasetError as error:
        logging.warning("The products that the run learnt from are not in the data set: %s", error)
        return None


def training_prior(training: Split, label_map: LabelMap) -> np.ndarray:
    """float32 [classes]: each class's share of the products of a training split."""
    classes = label_map.classes_of(training.index.category)
    counts = np.bincount(classes[classes >= 0], minlength=label_map.num_classes)
    if not counts.any():
        counts = counts + 1
    return (counts / counts.sum()).astype(np.float32)


def load_predictor(
    run_dir: str | RunFolder,
    data: CdiscountData | None = None,
    *,
    checkpoint: str = "best",
    flip: bool = False,
    mean: str = "arithmetic",
    precision: str | None = None,
) -> Predictor:
    """The network of a run's folder, plain or two-stage, as a Predictor.

    Args:
      run_dir: the run's folder.
      data: the data set that it will predict; its categories must be the run's. Its training
        split gives the prior.
      checkpoint: `best` by validation loss, or the `last` epoch's.
      flip: as in Predictor.
      mean: as in Predictor.
      precision: dtype policy; default: float32 for a run trained so, else the fastest here.

    Raises:
      RunFolderError: if there is no run, or it has no finished epoch yet.
      CheckpointError: if the checkpoint's file is missing, damaged, or another network's.
      LabelMapError: if the data set's categories are not the run's.
    """
    run = RunFolder(run_dir) if not isinstance(run_dir, RunFolder) else run_dir
    config, label_map = run.config, run.label_map
    prior = None
    if data is not None:
        run.require_categories(data.categories)
        training = training_split(data, config)
        prior = None if training is None else training_prior(training, label_map)
    return Predictor(
        load_network(run, checkpoint, precision),
        label_map,
        image_size=config.image_size,
        flip=flip,
        mean=mean,
        prior=prior,
    )


def load_network(
    run: RunFolder, checkpoint: str = "best", precision: str | None = None
) -> keras.Model:
    """uint8 pictures -> float32 logits of the run's classes, with a checkpoint's weights.

    Arguments and errors as of `load_predictor`.
    """
    if checkpoint not in CHECKPOINTS:
        raise CheckpointError(
            f"--checkpoint must be one of {', '.join(CHECKPOINTS)}. Received: {checkpoint!r}."
        )
    if run.is_two_stage:
        return _load_two_stage(run, checkpoint, precision)
    if run.level1_path.exists():
        raise RunFolderError(
            f"{run.path} is a two-stage run that is not finished. Start `python -m "
            "trainer.two_stage` again with the same flags and this --run_dir."
        )
    file = run.state[checkpoint]
    if file is None:
        raise RunFolderError(
            f"{run.path} has no finished epoch yet. Start `python -m trainer.main` again with the "
            "same flags and this --run_dir."
        )
    path = verified_path(run.checkpoints, file)
    model = _untrained_network(run.config, run.label_map.num_classes, precision)
    try:
        model.load_weights(path)
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"A checkpoint must hold the weights of its run's network. {path} holds those of "
            f"another than --model={run.config.model} with {run.label_map.num_classes} classes, "
            "which config.json names. Restore the run's folder."
        ) from error
    return model


def _untrained_network(config: Config, num_classes: int, precision: str | None) -> keras.Model:
    if precision is None:
        # 16-bit arithmetic that the training machine had may be slow emulation on this one.
        precision = "float32" if config.precision == "float32" else "auto"
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(resolve_precision(precision))
    try:
        return build_model(
            config.model,
            num_classes,
            image_size=config.image_size,
            input_range=config.input_range,
            weights="none",  # its own come next
            dropout=config.dropout,
            seed=config.seed,
        )
    finally:
        keras.config.set_dtype_policy(before)


def _load_two_stage(run: RunFolder, checkpoint: str, precision: str | None) -> keras.Model:
    """Joins the networks that `trainer.two_stage` lists in two_stage.json."""
    parts = json.loads(run.two_stage_path.read_text(encoding="utf-8"))
    categories = run.label_map.categories

    def part(folder: str, target: tuple[str, int | None]) -> keras.Model:
        part_of_run = RunFolder(run.path / folder)
        part_of_run.require_categories(categories)
        config = part_of_run.config
        if (config.target, config.within_level1) != target:
            raise RunFolderError(
                f"two_stage.json names {part_of_run.path} for another part of the two-stage run "
                "than its config.json says. Restore the run's folder."
            )
        return load_network(part_of_run, checkpoint, precision)

    return join_networks(
        part(parts["level1"], ("level1", None)),
        {
            int(label): part(folder, ("category", int(label)))
            for label, folder in parts["specialists"].items()
        },
        {int(label): np.asarray(prior) for label, prior in parts["priors"].items()},
        categories.level1,
    )
