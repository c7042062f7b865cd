import subprocess
import sys

import pytest

from trainer.settings.experiments import EXPERIMENTS, Experiment, ExperimentError, resolve_splits
from trainer.settings.settings import Settings
from trainer.terminal.option import options, require_allowed

# The study's table, typed from it: network, optimizer, target, products to train and to validate
# on, epochs, published accuracies, best epoch, Kaggle score, parameters.
M = 1_000_000
STUDY = {
    "solution1_exp1": (
        *("solution1_1", None, "level1", 240_000, 60_000, 6),
        *((0.5756, 0.3516, 0.3504, 0.3131), None, None, 458_669),
    ),
    "solution1_exp2": (
        *("solution1_2", None, "level1", 240_000, 60_000, 10, (0.5542,), 6, None, 491_729),
    ),
    "solution2_exp1": (
        *("cnn", "rmsprop", "category", 800_000, 200_000, 8, (0.153,), 1, None, 46_546_170),
    ),
    "solution2_exp2": (
        *("cnn", "adam", "category", 800_000, 200_000, 10, (0.2424,), 4, 0.24686, 46_546_170),
    ),
    "solution2_exp3": (
        *("cnn", "adadelta", "category", 800_000, 200_000, 10, (0.2045,), 1, None, 46_546_170),
    ),
    "solution2_exp4": (
        *("cnn_small", "adam", "category", 800_000, 200_000, 10, (0.2069,), 5, None, 97_459_800),
    ),
    "solution2_exp5": (
        *("inception", "adam", "category", 800_000, 200_000, 8, (0.2987,), 8, None, None),
    ),
    "solution2_exp6": (
        *("inception", "adam", "category", 1_600_000, 400_000, 10, (0.4671,), 4, 0.46234, None),
    ),
}


def test_the_studys_eight_experiments_come_first_in_order():
    assert list(EXPERIMENTS) == [*STUDY, "best", "inception_all"]


@pytest.mark.parametrize("name", STUDY)
def test_each_preset_is_the_published_experiment(name):
    experiment = EXPERIMENTS[name]
    config = Settings(**experiment.settings)
    model, optimizer, target, train, validation, epochs, *published = STUDY[name]
    assert (config.model, config.target, config.epochs) == (model, target, epochs)
    assert optimizer in (None, config.optimizer)
    assert (experiment.train_products, experiment.validation_products) == (train, validation)
    assert published == [
        experiment.published_accuracy,
        experiment.published_epoch,
        experiment.kaggle_score,
        experiment.parameters,
    ]
    # Pixels divided by 255, batches of 20, nothing that the study did not do.
    assert config.input_range == (0.0, 1.0)
    assert config.batch_size == 20
    assert (config.augment, config.schedule) == ("none", "constant")
    assert (config.label_smoothing, config.weight_decay or 0) == (0, 0)


@pytest.mark.parametrize("name", ["solution2_exp5", "solution2_exp6"])
def test_transfer_learning_starts_from_imagenet_and_trains_in_stages(name):
    config = EXPERIMENTS[name].settings
    assert (config["weights"], config["trainable"]) == ("imagenet", "staged")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_each_preset_has_settings_that_are_allowed(name):
    require_allowed(options(Settings).values(), Settings(**EXPERIMENTS[name].settings))


def test_the_table_can_be_read_without_tensorflow():
    code = "import sys, trainer.settings.experiments; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Splits.


@pytest.mark.parametrize(
    ("name", "train", "validation"),
    [
        ("solution1_exp2", "train[0:240000]", "train[240000:300000]"),
        ("solution2_exp1", "train[0:800000]", "train[800000:1000000]"),
        ("solution2_exp6", "train[0:1600000]", "train[1600000:2000000]"),
    ],
)
def test_the_published_counts_are_used_where_there_are_as_many(name, train, validation):
    experiment = EXPERIMENTS[name]
    wanted = experiment.train_products + experiment.validation_products
    for available in (7_069_896, wanted):
        splits = resolve_splits(experiment, available)
        assert (splits.train, splits.validation) == (train, validation)
        assert (splits.chunks, splits.message) == (None, "")


def test_a_smaller_data_set_is_used_whole_in_the_same_proportion():
    splits = resolve_splits(EXPERIMENTS["solution2_exp2"], 1643)
    assert (splits.train, splits.validation) == ("train[0:1315]", "train[1315:1643]")
    assert splits.message == (
        "The study used 800,000 products for training and 200,000 for validation; the data set has "
        "1,643. Using the same proportion: 1,315 and 328."
    )


def test_the_chunks_follow_one_another():
    splits = resolve_splits(EXPERIMENTS["solution1_exp1"], 7_069_896)
    assert splits.chunks[:2] == (
        ("train[0:40000]", "train[40000:50000]"),
        ("train[50000:90000]", "train[90000:100000]"),
    )
    assert len(splits.chunks) == 6
    assert splits.chunks[-1] == ("train[250000:290000]", "train[290000:300000]")
    assert splits.train.startswith("train[0:40000]+train[50000:90000]+")
    assert splits.validation.endswith("+train[240000:250000]+train[290000:300000]")
    assert splits.message == ""


def test_a_smaller_data_set_has_smaller_chunks():
    splits = resolve_splits(EXPERIMENTS["solution1_exp1"], 1643)
    assert splits.chunks[1] == ("train[273:492]", "train[492:546]")
    assert splits.message == (
        "The study used 240,000 products for training and 60,000 for validation; the data set has "
        "1,643. Using the same proportion: 6 chunks of 219 and 54."
    )


def test_a_recipe_beyond_the_study_uses_all_there_is_silently():
    splits = resolve_splits(EXPERIMENTS["inception_all"], 1000)
    assert (splits.train, splits.validation) == ("train[0:800]", "train[800:1000]")
    assert splits.message == ""
    splits = resolve_splits(EXPERIMENTS["best"], 1000)
    assert (splits.train, splits.validation) == ("train[0:950]", "train[950:1000]")


@pytest.mark.parametrize(
    ("experiment", "num_products"), [("solution2_exp1", 4), ("solution1_exp1", 29)]
)
def test_a_data_set_too_small_to_split_is_refused(experiment, num_products):
    preset = EXPERIMENTS[experiment]
    with pytest.raises(
        ExperimentError,
        match=f"needs at least {num_products + 1} products to split. Received: a data set of "
        f"{num_products}.",
    ):
        resolve_splits(preset, num_products)
    splits = resolve_splits(preset, num_products + 1)
    assert splits.train.startswith("train[0:4]")


def test_an_experiment_without_published_counts_has_none():
    assert resolve_splits(Experiment("mine", {}), 10).train == "train[0:8]"
