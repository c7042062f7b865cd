"""The image classifiers of keras.applications: `trainer.models.applications` builds them."""

from __future__ import annotations

import dataclasses

from trainer.models.model_entry import BaseEntry, ChannelScale, ModelEntry, pretrained_entry

_ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/"

# The ways to scale pixels that keras.applications.imagenet_utils.preprocess_input names.
_TF = (-1.0, 1.0)
_TORCH = ChannelScale(
    mean=(0.485 * 255, 0.456 * 255, 0.406 * 255), std=(0.229 * 255, 0.224 * 255, 0.225 * 255)
)
_CAFFE = ChannelScale(mean=(123.68, 116.779, 103.939), blue_first=True)


@dataclasses.dataclass(frozen=True)
class _Family:
    """Networks of one paper.

    Attributes:
      folder: where their files of weights are, below `_ADDRESS` unless it is an address.
      file: name of a file; `{}` stands for the network's own part.
      pixels: as in `ModelEntry`.
      group_ends, first_layer: as in `BaseEntry`; `{}` of `first_layer` as in `file`.
      networks: name -> (class of keras.applications, its part of the file's name).
      min_image_size: as in `ModelEntry`; what the class accepts.
      depthwise: as in `ModelEntry`.
    """

    folder: str
    file: str
    pixels: tuple[float, float] | ChannelScale
    group_ends: str
    networks: dict[str, tuple[str, str]]
    first_layer: str = ""
    min_image_size: int = 32
    depthwise: bool = False

    def entries(self) -> dict[str, ModelEntry]:
        return {name: self._entry(kind, part) for name, (kind, part) in self.networks.items()}

    def _entry(self, kind: str, part: str) -> ModelEntry:
        file = self.file.format(part)
        folder = self.folder if "://" in self.folder else _ADDRESS + self.folder
        base = BaseEntry(
            "trainer.models.applications",
            kind,
            file,
            f"{folder}/{_REMOTE_NAMES.get(file, file)}",
            self.group_ends,
            first_layer=self.first_layer.format(part),
            range_in_weights=kind == "InceptionV3",
        )
        return pretrained_entry(base, self.pixels, self.min_image_size, self.depthwise)


# Files that have another name where they come from.
_REMOTE_NAMES = {
    "nasnet_mobile_no_top.h5": "NASNet-mobile-no-top.h5",
    "nasnet_large_no_top.h5": "NASNet-large-no-top.h5",
}
_KERNELS = "{}_weights_tf_dim_ordering_tf_kernels_notop.h5"
_EFFICIENTNET_ENDS = r"stem_activation|block\w+_(project_bn|project_activation|add)"
_V3_SIZES = ("small", "large")
_RESNET_ENDS = r"pool1_pool|conv\d_block\d+_out"

_FAMILIES = (
    _Family(
        "convnext",
        "{}_notop.h5",
        _TORCH,
        r"\w+_stem|\w+_stage_\d_block_\d+_(identity|stochastic_depth)",
        {
            f"convnext_{size.lower()}": (f"ConvNeXt{size}", f"convnext_{size.lower()}")
            for size in ("Tiny", "Small", "Base", "Large", "XLarge")
        },
        first_layer="{}_stem",
    ),
    _Family(
        "densenet",
        _KERNELS,
        _TORCH,
        r"pool\d(_pool)?",
        {f"densenet{size}": (f"DenseNet{size}", f"densenet{size}") for size in (121, 169, 201)},
    ),
    _Family(
        "https://storage.googleapis.com/keras-applications",
        "efficientnet{}_notop.h5",
        _TORCH,
        _EFFICIENTNET_ENDS,
        {f"efficientnet_b{size}": (f"EfficientNetB{size}", f"b{size}") for size in range(8)},
        first_layer="stem_conv_pad",
    ),
    _Family(
        "efficientnet_v2",
        "efficientnetv2-{}_notop.h5",
        _TORCH,
        _EFFICIENTNET_ENDS,
        {f"efficientnet_v2_b{size}": (f"EfficientNetV2B{size}", f"b{size}") for size in range(4)},
        first_layer="stem_conv",
    ),
    _Family(
        "efficientnet_v2",
        "efficientnetv2-{}_notop.h5",
        (-1.0, 255 / 128 - 1),
        _EFFICIENTNET_ENDS,
        {f"efficientnet_v2_{size}": (f"EfficientNetV2{size.upper()}", size) for size in "sml"},
        first_layer="stem_conv",
    ),
    _Family(
        "inception_resnet_v2",
        _KERNELS,
        _TF,
        r"mixed_\w+|block\d+_\d+_ac",
        {"inception_resnet_v2": ("InceptionResNetV2", "inception_resnet_v2")},
        min_image_size=75,
    ),
    _Family(
        "inception_v3",
        _KERNELS,
        _TF,
        r"mixed\d+",
        {"inception_v3": ("InceptionV3", "inception_v3")},
        min_image_size=75,
    ),
    _Family(
        "mobilenet",
        "mobilenet_1_0_224_tf_no_top.h5",
        _TF,
        r"conv1_relu|conv_pw_\d+_relu",
        {"mobilenet": ("MobileNet", "")},
    ),
    _Family(
        "mobilenet_v2",
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
        _TF,
        r"Conv1_relu|(block_\d+|expanded_conv)_(project_BN|add)",
        {"mobilenet_v2": ("MobileNetV2", "")},
    ),
    _Family(
        "mobilenet_v3",
        "weights_mobilenet_v3_{}_224_1.0_float_no_top_v2.h5",
        _TF,
        r"conv_bn|expanded_conv\w*_(project_bn|add)",
        {
            f"mobilenet_v3_{size}": (f"MobileNetV3{size.title()}", size)
            for size in ("small", "large")
        },
        first_layer="conv",
    ),
    _Family(
        "nasnet",
        "nasnet_{}_no_top.h5",
        _TF,
        r"(normal|reduction)_concat_\w+",
        {f"nasnet_{size}": (f"NASNet{size.title()}", size) for size in ("mobile", "large")},
    ),
    _Family(
        "resnet",
        _KERNELS,
        _CAFFE,
        _RESNET_ENDS,
        {f"resnet{size}": (f"ResNet{size}", f"resnet{size}") for size in (50, 101, 152)},
    ),
    _Family(
        "resnet",
        _KERNELS,
        _TF,
        _RESNET_ENDS,
        {f"resnet{size}_v2": (f"ResNet{size}V2", f"resnet{size}v2") for size in (50, 101, 152)},
    ),
    _Family("vgg16", _KERNELS, _CAFFE, r"block\d_pool", {"vgg16": ("VGG16", "vgg16")}),
    _Family("vgg19", _KERNELS, _CAFFE, r"block\d_pool", {"vgg19": ("VGG19", "vgg19")}),
    _Family(
        "xception",
        _KERNELS,
        _TF,
        r"block1_conv2_act|add(_\d+)?",
        {"xception": ("Xception", "xception")},
        min_image_size=71,
    ),
)

APPLICATIONS: dict[str, ModelEntry] = {
    name: entry for family in _FAMILIES for name, entry in family.entries().items()
}
