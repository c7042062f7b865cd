"""What the network over all pictures of a product can be, importable without TensorFlow."""

from __future__ import annotations

# The `model` of a run with such a network; not one of `network_table.MODELS`.
FUSION = "fusion"
# How it joins the pictures of a product; see `trainer.models.fusion`.
JOINS = ("gated", "max")
# Number of weighted means of `gated`, each of its own share of the units.
HEADS = 4
