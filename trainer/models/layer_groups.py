"""A network's layers in groups from stem to top: which part trains, and how deep a weight is."""

from __future__ import annotations

import itertools
import re

import keras

from trainer.models.network_table import MODELS

_TOP_GROUPS = 2


def layer_groups(base: keras.Model, ends: str) -> list[list[keras.layers.Layer]]:
    """Splits a base into groups, from stem to top.

    Args:
      base: the pretrained part of a network.
      ends: regular expression for the full names of the layers that end a group.

    Returns:
      The layers in the order of `base.layers`, in groups of neighbours. The first group also holds
      what comes before the first weights; any other group without weights, such as an addition, or
      with a BatchNorm's alone belongs to the one before it.
    """
    groups: list[list[keras.layers.Layer]] = [[]]
    for layer in base.layers:
        groups[-1].append(layer)
        if re.fullmatch(ends, layer.name):
            groups.append([])
    joined: list[list[keras.layers.Layer]] = []
    for group in groups:
        if joined and not (_has_weights(group) and _has_weights(joined[0])):
            joined[-1] += group
        else:
            joined.append(group)
    return joined


def variable_groups(model: keras.Model) -> list[list[keras.Variable]]:
    """The variables that train, from stem to top: groups of the base, then the new layers.

    Each is in one group. In a network without a base, each layer is a group. A group of which
    nothing trains is left out; `set_trainable` only ever freezes from the stem upwards.

    Args:
      model: a network from `build_model`, after `set_trainable`.
    """
    base = base_of(model)
    if base is None:
        groups = [[layer] for layer in model.layers]
    else:
        groups = layer_groups(base, _group_ends(model))
        groups.append([layer for layer in model.layers if layer is not base])
    variables = [
        list(itertools.chain.from_iterable(layer.trainable_variables for layer in group))
        for group in groups
    ]
    return [group for group in variables if group]


def set_part_trainable(model: keras.Model, part: str) -> None:
    """Freezes the base (`head`), all but its top two groups (`top_blocks`), or nothing (`all`).

    Frozen BatchNorms use their stored statistics. Those in the top groups stay frozen too: a
    trainable functional base keeps updating their statistics, even when called with
    `training=False`, and batches of 20 would spoil the statistics of ImageNet's millions of
    pictures. With `all`, they train like the rest.

    Args:
      model: a network from `build_model` with a pretrained part.
      part: one of `PARTS`.
    """
    base = base_of(model)
    assert base is not None
    top = layer_groups(base, _group_ends(model))[-_TOP_GROUPS:]
    in_top = {layer.name for group in top for layer in group}
    base.trainable = part != "head"
    # Set per layer: Keras does not propagate a value that the base already has.
    for layer in base.layers:
        tops = layer.name in in_top and not _is_norm(layer)
        layer.trainable = part == "all" or (part == "top_blocks" and tops)


def base_of(model: keras.Model) -> keras.Model | None:
    """The pretrained part of a network: its layer `base`."""
    return next((layer for layer in model.layers if layer.name == "base"), None)


def _group_ends(model: keras.Model) -> str:
    base = MODELS[model.name].base
    assert base is not None
    return base.group_ends


def _has_weights(group: list[keras.layers.Layer]) -> bool:
    return any(layer.weights and not _is_norm(layer) for layer in group)


def _is_norm(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)
