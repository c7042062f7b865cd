"""The settings that all parts of the benchmarks share."""

from __future__ import annotations

import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True)
class Settings:
    """Sizes and times of the benchmarks. The defaults take 20 minutes on two cores.

    Attributes:
      work_dir: folder for data sets and runs; the benchmarks reuse its contents.
      input_dir: folder with a competition's train.bson, test.bson and category_names.csv, which the
        benchmarks repeat under new ids; None for the generated sample.
      sample_products: training products of the generated sample.
      repeats: number of turns; the table shows their medians.
      seconds: duration of one measurement, where it is adjustable.
      build_products: products (both splits) of the timed build.
      flat_products: numbers of products of a small and a large build, to compare their memory.
      products: products (both splits) of the data set for reading and training.
      memory_products: smallest and largest number of products (training split) for the memory of
        training.
      head_products: products to train the head of the pretrained network on.
      weights: weights of the pretrained network, for the part `head`: a file, `imagenet` or `none`.
      networks: the networks to measure.
      image_size: width and height of the pictures, in pixels.
      shuffle_buffer: pictures in the shuffle buffer, ours and the peers'.
    """

    work_dir: pathlib.Path
    input_dir: pathlib.Path | None = None
    sample_products: int = 3000
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
