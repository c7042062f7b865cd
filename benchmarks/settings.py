"""What every part of the benchmarks is told."""

from __future__ import annotations

import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True)
class Settings:
    """Sizes and times of the benchmarks. The defaults take 20 minutes on two cores.

    Attributes:
      work_dir: where data sets and runs are made; what is there already is used again.
      input_dir: a competition's train.bson, test.bson and category_names.csv, which are repeated
        under new ids; None for the generated sample.
      repeats: turns; the table has their medians.
      seconds: of one measurement, wherever that can be chosen.
      build_products: products (both splits) whose build is timed.
      flat_products: few and many products, whose builds' memory is compared.
      products: products (both splits) of the data set that is read and trained on.
      memory_products: fewest and most products (training split) for the memory of training.
      head_products: products that the head of the pretrained network is trained on.
      weights: the pretrained network's, for the part `head`: a file, `imagenet` or `none`.
      networks: those whose step rate is measured.
      image_size: width and height of the pictures, in pixels.
      shuffle_buffer: pictures in the buffer of the shuffle, in ours and in the peers'.
    """

    work_dir: pathlib.Path
    input_dir: pathlib.Path | None = None
    repeats: int = 3
    seconds: float = 3.0
    build_products: int = 150_000
    flat_products: tuple[int, int] = (50_000, 500_000)
    products: int = 40_000
    memory_products: tuple[int, int] = (2_000, 200_000)
    head_products: int = 1000
    weights: str = "none"
    networks: tuple[str, ...] = (
        "cnn",
        "cnn_small",
        "solution1_1",
        "solution1_2",
        "inception",
        "logistic",
    )
    image_size: int = 180
    shuffle_buffer: int = 16384
