"""From the pictures of a request to its answers: admission, decoding, batches, networks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cdisc_tfds.machine import num_cores
from trainer.prediction.loaded_runs import LoadedRuns
from trainer.prediction.similar_products import SimilarProduct
from trainer.service.batching import Batcher
from trainer.service.metrics import Metrics
from trainer.service.options import ServiceOptions
from trainer.service.pictures import Picture, PictureDecoder
from trainer.service.refusals import overloaded, too_large
from trainer.service.similar import Similar

# The pictures of a product, decoded: each as size -> uint8 [size, size, 3].
_Decoded = Sequence[Mapping[int, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the networks say of a product.

    Attributes:
      probabilities: float32 [classes], over all its pictures.
      picture_probabilities: float32 [pictures, classes].
      similar: similar products; None if there are none to compare with, or nobody asked.
    """

    probabilities: np.ndarray
    picture_probabilities: np.ndarray
    similar: tuple[SimilarProduct, ...] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class _Product:
    """A product that waits for its batch.

    Attributes:
      decoded: its pictures.
      asks_similar: whether its client asks for similar products as well.
    """

    decoded: _Decoded
    asks_similar: bool

    @property
    def pictures(self) -> int:
        return len(self.decoded)


class Engine:
    """Answers requests; its coroutines belong to one event loop.

    Args:
      runs: what predicts.
      options: the service's limits.
      metrics: what is counted.
      similar: finds similar products; None: answers have none.
    """

    def __init__(
        self,
        runs: LoadedRuns,
        options: ServiceOptions,
        metrics: Metrics,
        similar: Similar | None = None,
    ):
        self.runs, self.similar = runs, similar
        self._options, self._metrics = options, metrics
        self._decoder = PictureDecoder(runs.image_sizes, options.max_pixels)
        self._threads = concurrent.futures.ThreadPoolExecutor(num_cores(), "decode")
        self._batcher = Batcher(self._predict, options.max_batch, options.max_wait_ms / 1000)
        self._in_work = 0  # pictures

    def warm_up(self) -> None:
        """Predicts white pictures: the first call with a number of pictures is slow."""
        for number in sorted({1, self._options.max_batch}):
            white = {size: np.full([size, size, 3], 255, np.uint8) for size in self._sizes}
            for asks_similar in {False, self.similar is not None}:
                self._compute([_Product([white], asks_similar)] * number)

    async def run(self) -> None:
        """Forms batches until it is cancelled."""
        try:
            await self._batcher.run()
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def answers(
        self,
        products: Sequence[Sequence[Picture]],
        *,
        any_format: bool = False,
        asks_similar: bool = False,
    ) -> list[Answer]:
        """Predicts products, each of at least one picture.

        Args:
          products: their pictures.
          any_format: whether pictures may be other than JPEGs, or lie on their side; see
            `PictureDecoder.decode_photo`.
          asks_similar: whether to find similar products as well, if there are any.

        Raises:
          RefusalError: if there are too many pictures for a request, or for now, or one of them
            cannot be decoded.
          PredictionError: if a prediction is not finite.
        """
        pictures = [picture for product in products for picture in product]
        with self._admitted(len(pictures)):
            loop = asyncio.get_running_loop()
            decoding = [
                loop.run_in_executor(self._threads, self._decoded, picture, any_format)
                for picture in pictures
            ]
            try:
                decoded = iter(await asyncio.gather(*decoding))
            finally:
                for one in decoding:
                    one.cancel()  # after an error, or when the client has gone
            units = [
                _Product([next(decoded) for _ in product], asks_similar) for product in products
            ]
            return await asyncio.gather(*map(self._batcher.submit, units))

    def _decoded(self, picture: Picture, any_format: bool) -> Mapping[int, np.ndarray]:
        return self._decoder.decode_photo(picture) if any_format else self._decoder.decode(picture)

    @contextlib.contextmanager
    def _admitted(self, pictures: int) -> Iterator[None]:
        most = self._options.max_pictures
        if pictures > most:
            raise too_large(
                f"A request may have at most {most} pictures. Received: {pictures}. Send them in "
                "several requests."
            )
        if self._in_work + pictures > self._options.max_waiting:
            raise overloaded(
                f"This service has {self._in_work} pictures in work and takes at most "
                f"{self._options.max_waiting}. Received {pictures} more. Try again in a second."
            )
        self._in_work += pictures
        self._metrics.pictures_in_work.set(self._in_work)
        try:
            yield
        finally:
            self._in_work -= pictures
            self._metrics.pictures_in_work.set(self._in_work)

    @property
    def _sizes(self) -> tuple[int, ...]:
        return self.runs.image_sizes

    def _predict(self, products: list[_Product]) -> list[Answer]:
        """Predicts a batch, and counts it; called in the network's thread."""
        start = time.perf_counter()
        answers = self._compute(products)
        pictures = sum(product.pictures for product in products)
        self._metrics.batch(pictures, time.perf_counter() - start)
        return answers

    def _compute(self, products: list[_Product]) -> list[Answer]:
        flat = [picture for product in products for picture in product.decoded]
        pictures = {size: np.stack([one[size] for one in flat]) for size in self._sizes}
        counts = [product.pictures for product in products]
        ordinals = np.repeat(np.arange(len(products)), counts)
        asking = np.array([product.asks_similar for product in products])
        found: Sequence[tuple[SimilarProduct, ...] | None] = [None] * len(products)
        if self.similar is not None and asking.any():
            batch, found = self.similar.predict(pictures, ordinals, asking)
        else:
            batch = self.runs.predict(pictures, ordinals)
        by_picture = np.split(batch.picture_probabilities, np.cumsum(counts)[:-1])
        return [Answer(*one) for one in zip(batch.probabilities, by_picture, found, strict=True)]
