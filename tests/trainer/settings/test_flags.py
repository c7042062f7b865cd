import dataclasses

import pytest
from absl import flags

from trainer.data import input_pipeline, label_map
from trainer.models.networks import MODELS
from trainer.models.optimizers import OPTIMIZERS
from trainer.settings import flags as run_flags
from trainer.settings.config import Config, ConfigError

_PRESETS = {"small": {"batch_size": 20, "optimizer": "rmsprop", "epochs": 18}}


@pytest.fixture
def parse():
    """Parses a command line with the run's flags, and removes them afterwards."""
    before = set(flags.FLAGS)
    run_flags.define_config_flags(tuple(_PRESETS))

    def config_of(*argv):
        flags.FLAGS(["main", *argv])
        return run_flags.config_from_flags(_PRESETS)

    yield config_of
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)


def test_no_flags_give_the_defaults(parse):
    assert parse() == (Config(), frozenset())


def test_a_preset_gives_way_to_flags(parse):
    config, explicit = parse("--experiment=small", "--optimizer=adam", "--epochs=2")
    assert (config.batch_size, config.optimizer, config.epochs) == (20, "adam", 2)
    assert explicit == {"experiment", "optimizer", "epochs"}


def test_input_range(parse):
    assert parse("--input_range=-1,1")[0].input_range == (-1.0, 1.0)


@pytest.mark.parametrize("text", ["1", "1,0", "0,1,2", "a,b"])
def test_a_wrong_input_range_is_explained(parse, text):
    message = f"must be two numbers, the lower first, .* Received: {text}\\.$"
    with pytest.raises(ConfigError, match=message):
        parse(f"--input_range={text}")


def test_every_setting_has_a_flag(parse):
    without = {field.name for field in dataclasses.fields(Config)} - set(flags.FLAGS)
    # A specialist's category and the chunks come from `two_stage` and from a preset.
    assert without == {"within_level1", "chunks"}


def test_the_names_in_flags_are_those_of_the_tables():
    assert tuple(sorted(MODELS)) == run_flags.MODELS
    assert tuple(sorted(OPTIMIZERS)) == run_flags.OPTIMIZERS
    assert run_flags.AUGMENTATIONS == input_pipeline.AUGMENTATIONS
    assert run_flags.TARGETS == label_map.TARGETS


def test_every_flag_says_what_it_does(parse):
    for name in run_flags.flags.FLAGS.flags_by_module_dict()["trainer.settings.flags"]:
        assert len(name.help) > 10
