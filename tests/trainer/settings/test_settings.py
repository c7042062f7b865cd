"""The description of each setting, against what uses it."""

import dataclasses

from trainer.data import decoding, label_map
from trainer.data.augmentation_table import AUGMENTATIONS
from trainer.models import networks, optimizers, precision
from trainer.settings.settings import MAY_CHANGE_ON_RESUME, RunOptions, Settings
from trainer.terminal.option import options, require_allowed


def test_defaults_are_allowed():
    require_allowed(options(Settings).values(), Settings())


def test_every_setting_is_described():
    named = {field.name for field in dataclasses.fields(RunOptions)}
    assert named == set(options(RunOptions))
    for one in options(RunOptions).values():
        assert len(one.help) > 10 and one.help.endswith("."), one.name


def test_the_choices_are_what_the_libraries_take():
    described = options(Settings)
    assert described["model"].choices == networks.MODELS
    for name, entry in networks.MODELS.items():
        if not entry.pretrained:  # tests/trainer/models/test_pretrained_networks.py builds those
            networks.build_model(name, 3, image_size=96, weights="none")
    for name in described["optimizer"].choices:
        optimizers.build_optimizer(name, learning_rate=0.1)
    for name in described["schedule"].choices:
        optimizers.build_schedule(0.1, name, total_steps=10, warmup_steps=0)
    for name in described["precision"].choices:
        assert precision.resolve_precision(name) != "auto"
    assert described["augment"].choices == AUGMENTATIONS
    assert described["decoder"].choices == decoding.DECODERS
    assert described["target"].choices == label_map.TARGETS


def test_what_may_change_on_resume():
    """Nothing on which the result of a step depends."""
    assert {
        *("data_dir", "decoder", "features_dir", "eval_batch_size"),  # where and with what
        *("epochs", "early_stopping"),  # how long
        *("checkpoint_minutes", "checkpoint_steps", "log_every_steps", "profile_steps"),
        *("steps_per_call", "deterministic"),  # how the device works
        *("peer_timeout", "allow_other_machines"),  # the machines
    } == MAY_CHANGE_ON_RESUME


def test_given_settings_are_known_by_name():
    settings = Settings.of(model="cnn", epochs=3)
    assert settings.given == {"model", "epochs"}
    assert dataclasses.replace(settings, given=frozenset()) == Settings(epochs=3)
