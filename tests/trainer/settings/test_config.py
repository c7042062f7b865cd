import dataclasses
import json

import pytest

from tests.helpers.small_data import small_config
from trainer.settings.config import Config, ConfigError
from trainer.settings.settings import MAY_CHANGE_ON_RESUME


def test_json_round_trip_keeps_every_setting():
    config = small_config(
        model="inception",
        chunks=(("train[:4]", "train[4:5]"), ("train[5:9]", "train[9:10]")),
        within_level1=3,
    )
    assert Config.from_json(config.to_json()) == config


def test_only_a_network_that_scales_channels_in_its_own_way_may_have_no_range():
    config = small_config(model="resnet50", input_range=None)
    assert Config.from_json(config.to_json()) == config
    text = small_config(model="inception", input_range=None).to_json()
    with pytest.raises(ConfigError, match=r"lacks input_range\. Restore the file"):
        Config.from_json(text)


def test_the_config_of_version_0_1_is_read():
    """It had no format, and a data_dir only where the user gave one."""
    config = small_config(data_dir=None)
    values = json.loads(config.to_json())
    assert values.pop("format") == 2
    assert Config.from_json(json.dumps(values)) == config


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"format": 3}, "is of format 3, which a newer version of the project wrote.*up to 2"),
        ({"momentum": 1}, r"also holds momentum\. Use the version of the project that wrote it"),
        ({"learning_rate": None}, r"lacks learning_rate\. Restore the file"),
        ({"epochs": 0}, r"--epochs must be a whole number of at least 1\. Received: 0\. Restore"),
        ({"epochs": "3"}, r"--epochs must be a whole number of at least 1\. Received: 3\. Restore"),
        ({"model": "vgg"}, r"--model must be one of cnn, .*Received: vgg\."),
    ],
)
def test_a_config_that_cannot_be_used_is_explained(changes, text):
    values = json.loads(small_config().to_json()) | changes
    with pytest.raises(ConfigError, match=f"^run/config.json.*{text}"):
        Config.from_json(json.dumps(values), "run/config.json")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\0" * 40])
def test_a_config_that_is_damaged_is_named(content):
    with pytest.raises(ConfigError, match=r"^config.json must hold a run's settings as JSON\. It"):
        Config.from_json(content)


def test_differences_leave_out_what_may_change():
    ours = small_config()
    theirs = dataclasses.replace(ours, batch_size=7, log_every_steps=1, data_dir="/elsewhere")
    assert ours.differences(theirs) == {"batch_size": (8, 7)}
    assert set(ours.of_result()) & MAY_CHANGE_ON_RESUME == set()
