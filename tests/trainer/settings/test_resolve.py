"""What `resolve` refuses; what it chooses is tested with the models and the experiments."""

import pytest

from trainer.settings.config import Config, ConfigError
from trainer.settings.resolve import resolve


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"model": "vgg"}, r"--model must be one of .*inception.*\. Received: 'vgg'\.$"),
        ({"optimizer": "lion"}, r"--optimizer must be one of .*adam.*\. Received: 'lion'\.$"),
        ({"trainable": "none"}, r"--trainable must be one of .*all.*\. Received: 'none'\.$"),
        ({"batch_size": 0}, r"--batch_size must be at least 1\. Received: 0\.$"),
        (
            {"trainable": "head"},
            r"--trainable=head trains a part of a pretrained network; --model=cnn has no "
            r"pretrained part\. Leave --trainable out, or choose --model=inception\.$",
        ),
    ],
)
def test_settings_that_cannot_be(changes, text):
    with pytest.raises(ConfigError, match=text):
        resolve(Config(**changes), data=None, explicit=frozenset(changes))
