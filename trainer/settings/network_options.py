"""The settings of a run: its network."""

from __future__ import annotations

import dataclasses

from trainer.models.network_table import BATCH_NORMS, MODELS, PARTS
from trainer.terminal.option import option

TRAINABLE = (*PARTS, "staged")
_NETWORK = "Network"


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """What a run trains."""

    model: str = option("cnn", "The network.", group=_NETWORK, choices=MODELS)
    weights: str | None = option(
        None,
        "Weights that training starts from: `imagenet`, `none`, or a path to a file of the network "
        "without its top (.weights.h5, .h5, .keras; for efficientnet_lite also .pth). "
        "Default: imagenet for a pretrained network, none for the others.",
        group=_NETWORK,
        is_path=True,
    )
    trainable: str | None = option(
        None,
        "The part of a pretrained network to train: the new layers (head), the top two blocks as "
        "well (top_blocks), everything (all), or head first and then top_blocks, as the study did "
        "(staged). Default: all. head, on the sample of docs/recipes.md: -5.4 points, in a sixth "
        "of the time.",
        group=_NETWORK,
        choices=TRAINABLE,
    )
    head_epochs: int = option(
        2,
        "With --trainable=staged: epochs of the new layers alone, counted among --epochs.",
        group=_NETWORK,
        at_least=0,
    )
    cache_features: bool = option(
        True,
        "While the new layers train alone, compute the frozen base's features of each picture once "
        "and keep them on disk, instead of in every epoch. Pictures are not augmented then.",
        group=_NETWORK,
    )
    image_size: int = option(
        180,
        "Pixels a side. Pictures of another size are resized.",
        group=_NETWORK,
        at_least=1,
    )
    train_sizes: tuple[int, ...] | None = option(
        None,
        "Pixels a side of the training pictures, one size after the other in equal parts of "
        "--epochs: 128,180 trains the first half on small pictures, in half the time. For "
        "pretrained networks. Default: --image_size. 48,64 instead of 64 lost 1.7 points on the "
        "sample of docs/recipes.md.",
        group=_NETWORK,
        at_least=1,
        since="0.3",
    )
    input_range: tuple[float, float] | None = option(
        None,
        "The numbers that the pixel values 0 and 255 become. Default: the network's own (0,1 for "
        "the study's, -1,1 for inception, a scale of each channel for resnet50, ...). Weights "
        "trained on other inputs need theirs.",
        group=_NETWORK,
    )
    dropout: float | None = option(
        None,
        "Dropout rate. Default: the network's own.",
        group=_NETWORK,
        at_least=0,
        below=1,
    )
    batch_norm: str = option(
        "train",
        "BatchNorm layers: normalise by each batch and learn (train), or by the statistics that "
        "they start with (frozen). frozen failed where all layers of a pretrained network train at "
        "a rate of 1e-3 (docs/recipes.md).",
        group=_NETWORK,
        choices=BATCH_NORMS,
        since="0.3",
    )
    batch_norm_momentum: float | None = option(
        None,
        "Momentum of the BatchNorms' moving statistics. Default: the network's own. Short runs "
        "need a short memory: 0.99 instead of 0.9 lost 10 points in 60 steps (docs/recipes.md).",
        group=_NETWORK,
        at_least=0,
        below=1,
        since="0.3",
    )
    sync_batch_norm: bool = option(
        False,
        "BatchNorm layers normalise by the whole batch where several GPUs or machines share it, "
        "instead of each by its own pictures. Costs an exchange for each layer.",
        group=_NETWORK,
        since="0.3",
    )
    recalibrate: int = option(
        0,
        "Training batches whose statistics replace the BatchNorms' moving ones in the weights that "
        "are kept after each epoch; 0: none. 50 on the sample of docs/recipes.md: +0.4 points.",
        group=_NETWORK,
        at_least=0,
        since="0.3",
    )
