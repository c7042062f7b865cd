"""The highest rates of NVIDIA's cards, from NVIDIA's datasheets.

Dense products of 16-bit floats, summed in float32, in TFLOP/s; the datasheets' figures "with
sparsity" are twice as high.
"""

from __future__ import annotations

# In this order: the first whose words are all in the name that TensorFlow gives the card.
_PEAKS = (
    (("h100", "pcie"), 756.0),
    (("h100",), 989.0),  # SXM5: "NVIDIA H100 80GB HBM3"
    (("h200",), 989.0),
    (("a100",), 312.0),
    (("4090",), 165.0),
    (("l4",), 121.0),
    (("t4",), 65.0),  # float16: it has no bfloat16
)


def peak_tflops(card: str) -> float | None:
    """The card's highest rate, in TFLOP/s; None for a card that the table does not have.

    Args:
      card: name of the card, such as `NVIDIA H100 80GB HBM3`.
    """
    words = card.lower().replace("-", " ").split()
    for wanted, peak in _PEAKS:
        if all(word in words for word in wanted):
            return peak
    return None
