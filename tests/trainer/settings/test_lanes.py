"""The number of lanes that a run gets, and the settings that do not go with several."""

import pytest

from tests.helpers.small_data import SmallData, make_products, small_config
from trainer.runs.folder import settings_digest
from trainer.settings.config import ConfigError
from trainer.settings.resolve import resolve
from trainer.settings.settings import Settings


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = SmallData(tmp_path_factory.mktemp("data"))
    data.add("train", make_products([0, 1] * 30))
    data.add("test", make_products([0, 1], first_id=900, unlabelled=True))
    return data


def test_a_lane_for_each_machine(data):
    assert resolve(Settings(), data).lanes == 1
    config = resolve(Settings(), data, machines=3)
    assert (config.lanes, config.decoder) == (3, "tf")
    assert resolve(Settings.of(lanes=4), data, machines=2).lanes == 4


def test_a_run_keeps_its_lanes(data):
    begun = small_config(lanes=4)
    assert resolve(Settings(), data, begun, machines=2).lanes == 4
    assert resolve(Settings(), data, begun).lanes == 4


def test_lanes_are_part_of_a_run_but_one_changes_no_older_digest():
    one = settings_digest(small_config(lanes=1))
    assert one == settings_digest(small_config())
    assert one != settings_digest(small_config(lanes=2))
    assert "lanes" in small_config().differences(small_config(lanes=2))


def test_more_machines_than_lanes(data):
    with pytest.raises(ConfigError, match=r"Received: 3 machines and --lanes=2\. Use as many"):
        resolve(Settings.of(lanes=2), data, machines=3)
    with pytest.raises(ConfigError, match=r"2 machines and --lanes=1 \(a run that was begun on"):
        resolve(Settings(), data, small_config(), machines=2)


def test_what_lanes_cannot_do_yet(data):
    with pytest.raises(ConfigError, match=r"--decoder=dali cannot be used with --lanes=2 yet\."):
        resolve(Settings.of(decoder="dali"), data, machines=2)
    resolve(Settings.of(decoder="dali"), data)
