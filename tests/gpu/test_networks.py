"""Networks that train on a GPU: whole epochs, with a smaller last batch."""

import numpy as np
import pytest

from tests.helpers.accelerator import gpus
from tests.helpers.small_data import SmallData, make_products, small_config
from trainer.training.train import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not gpus(), reason="needs a GPU; on processors, tests/trainer trains them"),
]


@pytest.mark.parametrize("xla", ["off", "auto"])
def test_depthwise_convolutions_train_deterministically(tmp_path, xla):
    """TensorFlow refuses, when it meets them, operations that have no deterministic form."""
    data = SmallData(tmp_path)
    data.add("train", make_products(np.arange(12) % 6))
    data.add("validation", make_products(np.arange(6) % 6, seed=1, first_id=1000))
    assert data.split("train").num_pictures % 8
    settings = {"model": "efficientnet_lite0", "image_size": 32, "precision": "mixed_bfloat16"}
    config = small_config(**settings, epochs=1, xla=xla)
    assert config.deterministic
    runs = [train(config, tmp_path / name, data) for name in ("first", "again")]
    losses = [run.history[0].loss for run in runs]
    assert losses[0] == losses[1] and np.isfinite(losses[0])
