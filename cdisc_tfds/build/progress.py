"""Shows the progress of a build in one line."""

from __future__ import annotations

import threading
import time

from tensorflow_datasets.core.utils import tqdm_utils


class BuildProgress:
    """`train, test: 45%|####     | 65G/145G [03:10<03:52, 340MB/s, 12,345 products/s]`.

    Reading the files is the first half, writing the shards the second. TFDS's switch
    (`tfds.disable_progress_bar()`) turns it off.
    """

    def __init__(self, splits: str, file_bytes: int):
        self._started, self._products = time.monotonic(), 0
        self._lock = threading.Lock()
        self._bar = tqdm_utils.tqdm(
            total=2 * file_bytes, desc=splits, unit="B", unit_scale=True, leave=False, mininterval=1
        )

    def __enter__(self) -> BuildProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def __call__(self, num_bytes: int, num_products: int) -> None:
        """Adds the work done since the last call; any thread may call this."""
        with self._lock:
            self._products += num_products
            if num_products:
                rate = self._products / (time.monotonic() - self._started)
                self._bar.set_postfix_str(f"{rate:,.0f} products/s", refresh=False)
            self._bar.update(num_bytes)
