"""What `resolve` chooses where the user left it open, and what it refuses."""

import dataclasses

import pytest

from tests.helpers.small_data import SmallData, make_products, small_config
from trainer.models.precision import resolve_precision
from trainer.settings.config import ConfigError
from trainer.settings.experiments import EXPERIMENTS, Experiment
from trainer.settings.resolve import resolve
from trainer.settings.settings import Settings


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = SmallData(tmp_path_factory.mktemp("data"))
    data.add("train", make_products([0, 1] * 30))
    return data


def test_a_network_from_random_weights(data):
    config = resolve(Settings(), data)
    assert (config.model, config.weights, config.trainable) == ("cnn", "none", "all")
    assert (config.optimizer, config.learning_rate, config.schedule) == ("adam", 1e-3, "constant")
    assert (config.warmup_epochs, config.augment) == (0.0, "none")
    assert (config.input_range, config.precision) == ((0.0, 1.0), resolve_precision("auto"))
    assert config.chunks is None and config.within_level1 is None


def test_all_layers_of_a_pretrained_network(data):
    """Warm-up, cosine and a small peak: a constant 1e-3 destroys what the weights know."""
    config = resolve(Settings(model="inception"), data)
    assert (config.weights, config.trainable) == ("imagenet", "all")
    assert (config.learning_rate, config.schedule, config.warmup_epochs) == (5e-4, "cosine", 1.0)
    assert (config.augment, config.input_range) == ("flip_shift", (-1.0, 1.0))
    assert resolve(Settings(model="inception", epochs=4), data).warmup_epochs == 0.4


def test_a_network_that_scales_channels_in_its_own_way_has_no_range(data):
    assert resolve(Settings(model="resnet50"), data).input_range is None
    given = Settings.of(model="resnet50", input_range=(0.0, 1.0))
    assert resolve(given, data).input_range == (0.0, 1.0)


def test_a_part_of_a_pretrained_network(data):
    config = resolve(Settings(model="inception", trainable="staged"), data)
    assert (config.learning_rate, config.schedule, config.warmup_epochs) == (1e-3, "constant", 0.0)
    assert config.fine_tune_learning_rate == pytest.approx(1e-4)


def test_what_is_given_stays(data):
    given = {
        "learning_rate": 0.3,
        "fine_tune_learning_rate": 0.2,
        "schedule": "step",
        "warmup_epochs": 0.0,
        "augment": "none",
        "precision": "float32",
        "input_range": (0.0, 1.0),
        "weights": "none",
        "eval_batch_size": 3,
    }
    config = resolve(Settings.of(model="inception", **given), data)
    assert {name: getattr(config, name) for name in given} == given


def test_a_run_that_was_begun_no_longer_needs_its_weights_file(data, tmp_path):
    missing = Settings(model="inception", weights=str(tmp_path / "gone.weights.h5"))
    with pytest.raises(ValueError, match="gone.weights.h5"):
        resolve(missing, data)
    begun = small_config(model="inception", weights=missing.weights, input_range=(0.0, 1.0))
    assert resolve(missing, data, begun).input_range == (0.0, 1.0)
    other = dataclasses.replace(begun, weights="none")
    with pytest.raises(ValueError, match="gone.weights.h5"):
        resolve(missing, data, other)


@pytest.mark.parametrize(("batch_size", "expected"), [(7, 64), (64, 64), (200, 200)])
def test_validation_takes_larger_batches(data, batch_size, expected):
    assert resolve(Settings(batch_size=batch_size), data).eval_batch_size == expected


def test_where_the_data_lie_is_kept_absolute(data, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert resolve(Settings(data_dir="d"), data).data_dir == str(tmp_path / "d")


def test_a_preset_gives_way_to_what_the_user_gave(data):
    settings = Settings.of(experiment="solution2_exp1", optimizer="adam", epochs=2)
    config = resolve(settings, data)
    assert (config.optimizer, config.epochs) == ("adam", 2)  # given; the preset's: rmsprop, 8
    assert (config.batch_size, config.schedule) == (20, "constant")
    assert (config.train_split, config.validation_split) == ("train[0:48]", "train[48:60]")


def test_given_splits_replace_a_presets_products(data):
    settings = Settings.of(experiment="solution1_exp1", train_split="train[:9]")
    config = resolve(settings, data)
    assert (config.train_split, config.chunks, config.epochs) == ("train[:9]", None, 6)


def test_chunks_set_the_number_of_epochs(data):
    assert resolve(Settings.of(experiment="solution1_exp1"), data).epochs == 6
    given = resolve(Settings.of(experiment="solution1_exp1", epochs=9), data)
    assert (given.epochs, len(given.chunks)) == (9, 6)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"model": "vgg"}, r"^--model must be one of .*inception.*\. Received: vgg\.$"),
        ({"optimizer": "lion"}, r"^--optimizer must be one of .*adam.*\. Received: lion\.$"),
        ({"trainable": "none"}, r"^--trainable must be one of .*all.*\. Received: none\.$"),
        ({"experiment": "mine"}, r"^--experiment must be one of .*\. Received: 'mine'\.$"),
        ({"batch_size": 0}, r"^--batch_size must be a whole number of at least 1\. Received: 0\.$"),
        (
            {"trainable": "head"},
            r"--trainable=head trains a part of a pretrained network; --model=cnn has no "
            r"pretrained part\. Leave --trainable out, or choose another network, such as "
            r"--model=efficientnet_lite2\.$",
        ),
    ],
)
def test_settings_that_cannot_be(data, changes, text):
    with pytest.raises(ConfigError, match=text):
        resolve(Settings.of(**changes), data)


def test_sizes_are_for_networks_that_take_them(data):
    config = resolve(Settings(model="efficientnet_lite0", train_sizes=(96, 128), epochs=5), data)
    assert [config.picture_size(epoch) for epoch in range(6)] == [96, 96, 96, 128, 128, 128]
    assert resolve(Settings(image_size=90), data).picture_size(3) == 90
    with pytest.raises(ConfigError) as error:
        resolve(Settings(model="cnn", train_sizes=(96, 128)), data)
    assert str(error.value) == (
        "--train_sizes is for networks that take pictures of any size, the pretrained ones. "
        "Received: --model=cnn. Leave --train_sizes out, or choose another network, such as "
        "--model=efficientnet_lite2."
    )
    with pytest.raises(ConfigError) as error:
        resolve(Settings(model="inception", train_sizes=(74, 128)), data)
    assert str(error.value) == (
        "--train_sizes must be at least 75 for --model=inception. Received: 74,128."
    )


def test_rates_by_depth_and_float16_exclude_each_other(data):
    settings = Settings(model="efficientnet_lite0", layer_decay=0.9, precision="mixed_float16")
    with pytest.raises(ConfigError, match="Received: mixed_float16. Add --precision=float32"):
        resolve(settings, data)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_run_that_was_begun_keeps_its_precision(data, precision):
    begun = resolve(Settings.of(model="logistic", precision=precision), data)
    assert resolve(Settings.of(model="logistic"), data, begun).precision == precision
    given = Settings.of(model="logistic", precision="mixed_float16")
    assert resolve(given, data, begun).precision == "mixed_float16"


def test_a_presets_pseudo_labels_need_their_split(data, monkeypatch, caplog):
    preset = Experiment("mine", {"pseudo_label_split": "test", "epochs": 4})
    monkeypatch.setitem(EXPERIMENTS, "mine", preset)
    found = resolve(Settings.of(experiment="mine"), data)
    assert (found.pseudo_label_split, found.pseudo_label_after) == (None, None)
    assert "the split 'test', which this data set does not have" in caplog.text
    given = Settings.of(experiment="mine", pseudo_label_split="train[:9]")
    assert resolve(given, data).pseudo_label_split == "train[:9]"
    assert resolve(dataclasses.replace(given, pseudo_label_split="none"), data) == resolve(
        Settings.of(experiment="mine", pseudo_label_split="none"), data
    )
    assert resolve(Settings.of(pseudo_label_split="none"), data).pseudo_label_split is None
