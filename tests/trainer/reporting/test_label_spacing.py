"""Labels keep apart."""

import numpy as np
from matplotlib.figure import Figure

from trainer.reporting.label_spacing import spread


def test_labels_are_spread_as_little_as_needed():
    ax = Figure(figsize=(5, 5), dpi=72).add_axes((0, 0, 1, 1))  # 360 points high
    ax.set_ylim(0, 3.6)
    np.testing.assert_allclose(spread(ax, [1.0, 2.0, 3.0], points=10), [1.0, 2.0, 3.0])
    np.testing.assert_allclose(spread(ax, [2.0, 2.0, 2.0], points=10), [1.9, 2.0, 2.1])
    np.testing.assert_allclose(spread(ax, [0.0, 0.02, 2.0], points=10), [0.0, 0.1, 2.0])
    np.testing.assert_allclose(spread(ax, [1.0, 3.6, 3.6], points=10), [1.0, 3.5, 3.6])
    assert len(spread(ax, [], points=10)) == 0
