"""The settings of a run: its data, and the random changes to its pictures."""

from __future__ import annotations

import dataclasses

from trainer.data.augmentation_table import AUGMENTATIONS
from trainer.data.label_map import TARGETS
from trainer.terminal.option import option

_DATA, _AUGMENTATION = "Data", "Augmentation"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions:
    """What a run trains on."""

    data_dir: str | None = option(
        None,
        "Where `tfds build cdiscount` put the data set (its --data_dir). Default: $TFDS_DATA_DIR, "
        "else ~/tensorflow_datasets.",
        group=_DATA,
        is_path=True,
        any_storage=True,
        may_change_on_resume=True,
    )
    train_split: str = option(
        "train[:80%]",
        "Products to train on, in TFDS's sub-split notation: train[:80%], train[:800000], ...",
        group=_DATA,
    )
    validation_split: str = option(
        "train[80%:]",
        "Products to validate on after each epoch; they may not overlap --train_split.",
        group=_DATA,
    )
    target: str = option(
        "category",
        "What the network tells apart: the 5270 categories, or the names of level 1 or level 2.",
        group=_DATA,
        choices=TARGETS,
    )
    augment: str | None = option(
        None,
        "Random changes to training pictures: mirror them, and shift them by up to a tenth. "
        "Default: flip_shift for a pretrained network, none for the others. flip_shift on the "
        "sample of docs/recipes.md: +0.5 points.",
        group=_AUGMENTATION,
        choices=AUGMENTATIONS,
    )
    zoom: tuple[float, float] | None = option(
        None,
        "Enlarge each training picture by a random factor between these two, and show a random "
        "part of it; below 1, show it small, somewhere on white. "
        "0.6,1.6 gained 3.7 points on photos from other stores (docs/recipes.md).",
        group=_AUGMENTATION,
        above=0,
        example="0.75,1.15",
        since="0.3",
    )
    rotate: float = option(
        0.0,
        "Rotate each training picture by up to this many degrees, on white. "
        "15 alone, on the sample of docs/recipes.md: +0.9 points; with a zoom to 2 and colours of "
        "0.3, on photos from other stores: -3.7.",
        group=_AUGMENTATION,
        since="0.3",
        at_least=0,
        at_most=180,
    )
    colour: float = option(
        0.0,
        "Multiply brightness, contrast and saturation of each training picture by random factors "
        "between 1 minus this and 1 plus this. "
        "0.2 made no difference on photos from other stores.",
        group=_AUGMENTATION,
        since="0.3",
        at_least=0,
        below=1,
    )
    rand_augment: int = option(
        0,
        "Number of random changes per training picture that RandAugment chooses among moves and "
        "colours. "
        "2 lost 2.3 points on photos from other stores, in 8 epochs.",
        group=_AUGMENTATION,
        since="0.3",
        at_least=0,
    )
    erase: float = option(
        0.0,
        "Share of the training pictures in which a random rectangle is erased. 0.25 on the sample "
        "of docs/recipes.md: -0.8 points, within chance.",
        group=_AUGMENTATION,
        since="0.3",
        at_least=0,
        at_most=1,
    )
    mixup: float = option(
        0.0,
        "Mix each training picture with another, and their labels alike; the shares are drawn from "
        "Beta(this, this). 0: none. 0.2 lost 2.2 points in the 60 steps of docs/recipes.md's "
        "sample: it is for long runs.",
        group=_AUGMENTATION,
        since="0.3",
        at_least=0,
    )
    cutmix: float = option(
        0.0,
        "Like --mixup, but paste a rectangle of the other picture. With both, each picture gets "
        "one of the two. "
        "1 lost 7.0 points on photos from other stores, in 8 epochs: it needs far more.",
        group=_AUGMENTATION,
        since="0.3",
        at_least=0,
    )
