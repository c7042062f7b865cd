"""Accuracies in tables, with their standard errors."""

from __future__ import annotations

import math

from markupsafe import Markup

from cdisc_tfds.pages.table import share, with_note

STANDARD_ERROR = (
    "the standard error, from the number of products alone: another sample of products would give "
    "an accuracy within two of them in 19 of 20 cases. It does not cover what another seed of "
    "training would change"
)


def binomial_error(value: float, count: int) -> float:
    """The standard error of the share of right ones among independent products.

    Args:
      value: the share, 0 to 1.
      count: the number of products, at least 1.
    """
    return math.sqrt(value * (1 - value) / count)


def with_error(value: float, count: int) -> Markup:
    """A share of products, 0 to 1, and its standard error.

    All right or all wrong, the error cannot be estimated so, and none is shown.
    """
    error = binomial_error(value, count) if count else 0
    return with_note(share(value), f"± {error:.4f}" if error else "")
