import dataclasses
import json

import pytest

from trainer.settings.config import MAY_CHANGE_ON_RESUME, Config, ConfigError


def test_json_round_trip_keeps_every_setting():
    config = Config(
        model="inception",
        input_range=(0.0, 1.0),
        chunks=(("train[:4]", "train[4:5]"), ("train[5:9]", "train[9:10]")),
    )
    assert Config.from_json(config.to_json()) == config


def test_an_unknown_setting_is_named():
    values = json.loads(Config().to_json()) | {"momentum": 1}
    with pytest.raises(
        ConfigError, match=r"Received also: momentum\. Use the version of the project"
    ):
        Config.from_json(json.dumps(values))


def test_differences_leave_out_what_may_change():
    ours = Config()
    theirs = dataclasses.replace(ours, batch_size=7, log_every_steps=1, data_dir="/elsewhere")
    assert ours.differences(theirs) == {"batch_size": (32, 7)}


def test_what_may_change_exists():
    assert {field.name for field in dataclasses.fields(Config)} >= MAY_CHANGE_ON_RESUME
