"""The features of pictures from the bases of one or several runs."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.data.dataset import Split, records_identity
from trainer.data.input_pipeline import inference_dataset
from trainer.data.record_reading import clear_record_errors
from trainer.models.fusion import features_of
from trainer.prediction.ahead import ahead
from trainer.prediction.fused_predictor import PictureFeatures
from trainer.prediction.member_bases import MemberBase
from trainer.prediction.predictor import PredictionError, view_of
from trainer.prediction.views import Views
from trainer.runs.picture_files import digest_of


@dataclasses.dataclass(frozen=True)
class FeatureBases:
    """Bases in memory, and the views of a picture that they see.

    Attributes:
      members: the bases that give the features.
      views: the views of each picture.
      flip: whether features are the means of those of a picture and of its mirror image.
    """

    members: tuple[MemberBase, ...]
    views: Views
    flip: bool

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """The sizes of picture that the members take, each once."""
        return tuple(dict.fromkeys(member.config.image_size for member in self.members))

    @functools.cached_property
    def function(self) -> tf.types.experimental.ConcreteFunction:
        """`features` of one argument for each size, traced in the thread that first needs it."""
        shapes = [tf.TensorSpec([None, size, size, 3], tf.uint8) for size in self.image_sizes]
        return tf.function(lambda *pictures: self.features(pictures)).get_concrete_function(*shapes)

    def features(self, pictures: Sequence[tf.Tensor]) -> tf.Tensor:
        """The features of pictures, as TensorFlow operations.

        Args:
          pictures: the same ones in each of `image_sizes`, uint8 [b, s, s, 3].

        Returns:
          float32 [b, views * f].
        """
        by_size = dict(zip(self.image_sizes, pictures, strict=True))
        parts = []
        for view in self.views.all:
            seen = {size: view_of(images, *view) for size, images in by_size.items()}
            for member in self.members:
                own = features_of(member.base, seen[member.config.image_size], self.flip)
                parts.append(tf.cast(own, tf.float32))
        return tf.concat(parts, axis=1)


@dataclasses.dataclass(frozen=True)
class FeatureReader:
    """Computes the features of a split's pictures. Use it in the thread that built the bases.

    Attributes:
      bases: the bases.
      batch_size: pictures per step.
      decoder: the decoder, as `resolve_decoder` returns it.
    """

    bases: FeatureBases
    batch_size: int
    decoder: str

    @property
    def size(self) -> int:
        """Number of features of a picture, in all views."""
        return int(self.bases.function.structured_outputs.shape[-1])

    def key(self, split: Split, products: np.ndarray) -> dict[str, Any]:
        """What the features depend on besides the bases' weights, as JSON has it."""
        views = self.bases.views
        return {
            "data": split.index.digest,
            "records": records_identity(split),
            "products": digest_of([products]),
            "views": [list(view) for view in views.all],
            "flip": self.bases.flip,
            "precision": [member.config.precision for member in self.bases.members],
            "decoder": self.decoder,
            "batch_size": self.batch_size,
            "tensorflow": tf.__version__,
        }

    def pictures(
        self, split: Split, products: np.ndarray, steps: tuple[int, int | None] = (0, None)
    ) -> Iterator[PictureFeatures]:
        """The readable pictures of products, in the records' order; batches may be empty.

        Pictures are decoded once for each size that a member takes.

        Args:
          split: the products.
          products: int64, ascending ordinals of those to read.
          steps: (first, end) of the batches, as in `inference_dataset`.

        Raises:
          DatasetError: if a record is damaged or does not match the index.
          PredictionError: if the files change meanwhile.
        """
        function, size = self.bases.function, self.size
        datasets = tuple(
            inference_dataset(
                split,
                batch_size=self.batch_size,
                image_size=image_size,
                products=products,
                decoder=self.decoder,
                steps=steps,
            )
            for image_size in self.bases.image_sizes
        )

        def compute(elements: tuple[dict[str, tf.Tensor], ...]) -> PictureFeatures:
            ordinals = elements[0]["product"].numpy()
            for element in elements[1:]:
                if not np.array_equal(element["product"].numpy(), ordinals):
                    raise PredictionError(
                        "The runs whose features are joined must see the same readable pictures. "
                        "One of them read others: the files of the data set changed meanwhile. "
                        "Start the command again."
                    )
            if not len(ordinals):  # no picture of the batch can be decoded
                return ordinals, np.zeros([0, size], np.float32)
            return ordinals, function(*[element["inputs"] for element in elements]).numpy()

        with clear_record_errors(split):
            yield from ahead(compute, zip(*datasets, strict=True))
