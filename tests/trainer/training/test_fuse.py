"""Fused runs: from members to a finished run, bit for bit under kills."""

import dataclasses
import shutil

import numpy as np
import pytest

from tests.helpers.finished_runs import assert_same_run
from tests.helpers.fused_runs import config_of, paired_products, write_members
from tests.helpers.killing import KillAt, Killed
from tests.helpers.network_runs import write_network_run
from tests.helpers.small_data import SmallData, make_products, small_config
from trainer.models.networks import build_model, split_at_features
from trainer.prediction.loading import load_network
from trainer.prediction.member_bases import MemberError
from trainer.runs.folder import RunFolder, RunFolderError, settings_digest
from trainer.settings.config import Config, ConfigError
from trainer.training import feature_store
from trainer.training.train import train


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    monkeypatch.setattr(feature_store, "_BATCH_SIZE", 8)
    monkeypatch.setattr(feature_store, "_PICTURES_PER_FILE", 16)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = SmallData(tmp_path_factory.mktemp("data"))
    products = make_products(np.arange(30) % 6)
    products[3].images[0] = b"\xff\xd8\xff no picture"
    data.add("train", products)
    data.add("validation", make_products(np.arange(12) % 6, seed=1, first_id=1000))
    data.add("other", make_products(np.arange(12) % 6, seed=2, first_id=2000))
    return data


@pytest.fixture(scope="module")
def members(tmp_path_factory, data):
    return write_members(tmp_path_factory.mktemp("members"), data)


def test_the_folder_says_what_it_was_made_from(tmp_path, data, members):
    config = config_of(tmp_path / "fused", members, data)
    for member, run in zip(config.fusion.members, members, strict=True):
        assert (tmp_path / "fused" / member.path).resolve() == run.path.resolve()
        best = run.state.best
        assert (member.sha256, member.epoch) == (best.sha256, best.epoch)
        assert member.settings_sha256 == settings_digest(run.config)
        base, _ = split_at_features(load_network(run))
        assert member.features == base.output_shape[-1]
        assert (member.model, member.train_split) == ("logistic", "train")
    assert (config.model, config.train_split, config.validation_split) == (
        *("fusion", "train", "validation"),
    )
    assert Config.from_json(config.to_json()) == config
    assert settings_digest(Config.from_json(config.to_json())) == settings_digest(config)


def test_a_run_without_fusion_keeps_its_digest(members):
    config = members[0].config
    assert "fusion" not in config.of_result()
    text = config.to_json().replace(
        '"within_level1": null,\n  "fusion": null', '"within_level1": null'
    )
    assert "fusion" not in text
    assert Config.from_json(text) == config


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('"join": "gated"', '"join": "sum"', "a value that no fused run has"),
        ('"model": "fusion"', '"model": "cnn"', "the model 'cnn'"),
        ('"units": 8', '"unit": 8', "unit"),
    ],
)
def test_edited_settings_are_refused(tmp_path, data, members, old, new, text):
    content = config_of(tmp_path / "fused", members, data).to_json()
    assert old in content
    with pytest.raises(ConfigError, match="which runs a fused run is made of.*" + text):
        Config.from_json(content.replace(old, new))


KILLS = {"checkpoint_steps": 3, "ema_momentum": 0.9}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, data, members):
    folder = tmp_path_factory.mktemp("undisturbed") / "fused"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_store, "_BATCH_SIZE", 8)
        patch.setattr(feature_store, "_PICTURES_PER_FILE", 16)
        return train(config_of(folder, members, data, **KILLS), folder, data)


def test_a_fused_run_counts_products(undisturbed):
    state = undisturbed.state
    assert state.finished and len(undisturbed.history) == 2
    assert state.newest.position.global_step == 2 * 4  # 30 products in batches of 8
    assert state.best.val_loss == min(row.val_loss for row in undisturbed.history)


@pytest.mark.parametrize("call", [1, 4, 7])
def test_kills_change_nothing(tmp_path, data, members, undisturbed, call):
    folder = tmp_path / "fused"
    config = config_of(folder, members, data, **KILLS)
    with pytest.raises(Killed):
        train(config, folder, data, [KillAt(call)])
    run = train(config_of(folder, members, data, **KILLS), folder, data)
    assert_same_run(run, undisturbed)


def test_it_learns_what_no_picture_tells_alone(tmp_path):
    data = SmallData(tmp_path)
    data.add("train", paired_products(64, 0, seed=0))
    data.add("validation", paired_products(32, 1000, seed=1))
    folder = tmp_path / "runs" / "fused"
    members = write_members(tmp_path / "runs", data, 1, "cnn_small")
    settings = {
        "epochs": 12,
        "picture_dropout": 0.0,
        "dropout": 0.0,
        "units": 64,
        "learning_rate": 0.003,
    }
    run = train(config_of(folder, members, data, **settings), folder, data)
    best = run.history[run.state.best.epoch]
    assert best.val_product_accuracy == 1
    # A picture alone is dark or light in either class, so no rule over its classes can be right.
    assert best.val_accuracy <= 0.75


def test_each_command_continues_its_own_runs(tmp_path, data, members, undisturbed):
    with pytest.raises(RunFolderError, match="holds a fused run, which `python -m trainer.fuse`"):
        train(small_config(), undisturbed.path, data)
    plain = write_members(tmp_path, data, 1)[0]
    config = config_of(tmp_path / "fused", members, data)
    with pytest.raises(
        RunFolderError, match="holds a run of one network, .*trainer.main` continues"
    ):
        train(config, plain.path, data)


def test_a_moved_member_is_found_under_its_new_name(tmp_path, data):
    runs = tmp_path / "runs"
    members = write_members(runs, data, 1)
    config = config_of(runs / "fused", members, data, epochs=1)
    train(config, runs / "fused", data)
    moved = RunFolder(shutil.move(members[0].path, runs / "moved"))
    again = config_of(runs / "fused", [moved], data, epochs=1)
    assert settings_digest(again) == settings_digest(config)
    run = train(again, runs / "fused", data)
    assert run.config.fusion.members[0].path == "../moved"


@pytest.mark.parametrize("change", ["gone", "weights", "settings"])
def test_a_changed_member_is_refused_at_resume(tmp_path, data, change):
    runs = tmp_path / "runs"
    members = write_members(runs, data, 1)
    config = config_of(runs / "fused", members, data)
    with pytest.raises(Killed):
        train(config, runs / "fused", data, [KillAt(6)])
    path = members[0].path
    shutil.rmtree(path)
    text = {
        "gone": "where there is no run",
        "weights": "other weights",
        "settings": "other settings",
    }
    if change == "weights":
        other = write_members(tmp_path / "others", data, 2)[1]
        shutil.copytree(other.path, path)
    elif change == "settings":
        write_members(runs, data, 1)
        changed = dataclasses.replace(members[0].config, seed=5)
        members[0].config_path.write_text(changed.to_json())
    with pytest.raises(MemberError, match=f"member0.*{text[change]}"):
        train(config, runs / "fused", data)
    with pytest.raises((MemberError, RunFolderError), match="member0"):
        config_of(runs / "fused", members, data)


def test_members_that_cannot_be_fused(tmp_path, data, members, undisturbed):
    def refused(runs, text, run_dir=tmp_path / "fused", error=MemberError, **changes):
        with pytest.raises(error, match=text):
            config_of(run_dir, runs, data, **changes)

    first = members[0]
    refused(members, "not one of the runs that it is made of", first.path)
    refused(members, "not one of the runs that it is made of", first.path / "within")
    refused([undisturbed], "is a fused run. Name the runs that it is made of")
    copy = RunFolder(shutil.copytree(first.path, tmp_path / "copy"))
    refused([first, copy], "must have different weights. Received the same ones in .*member0 and ")
    level1 = write_network_run(
        tmp_path / "level1_run", data, best=load_network(first), target="category", seed=3
    )
    state = level1.state
    text = dataclasses.replace(
        state, entries=tuple(dataclasses.replace(one, finished=False) for one in state.entries)
    )
    level1.state_path.write_text(text.to_json())
    refused([first, level1], "Only finished runs can be fused. The training of .*level1_run is not")
    level1.level1_path.mkdir()
    refused([first, level1], "level1_run is a two-stage run")
    seen = write_members(tmp_path / "seen", data, 2)[1]
    changed = dataclasses.replace(seen.config, train_split="validation", validation_split="other")
    seen.config_path.write_text(changed.to_json())
    refused(
        [first, seen],
        "no common --train_split.*member0: train, .*member1: validation",
        error=ConfigError,
    )
    refused(
        [first, seen],
        "member1 was trained on validation, which shares 12 products with validation",
        train_split="train",
        validation_split="validation",
    )
    refused(members, "--units must be a multiple of 4", error=ConfigError, units=6)


def test_members_of_other_classes(tmp_path, data, members):
    other = write_network_run(
        tmp_path / "other",
        data,
        best=build_model("logistic", 3, image_size=16),
        target="level1",
    )
    with pytest.raises(MemberError, match="same classes apart. Received: .*member0 with 6 classes"):
        config_of(tmp_path / "fused", [members[0], other], data)


def test_products_without_pictures(tmp_path, data, members):
    empty = [product._replace(images=[]) for product in make_products([0, 1], first_id=5000)]
    data.add("empty", empty)
    mixed = [*empty, *make_products([0, 1, 2], first_id=6000)]
    data.add("mixed", mixed)
    config = config_of(tmp_path / "fused", members, data, train_split="empty", epochs=1)
    with pytest.raises(ConfigError, match="Training needs pictures.*'empty' has none"):
        train(config, tmp_path / "fused", data)
    folder = tmp_path / "mixed"
    config = config_of(folder, members, data, train_split="mixed", epochs=1)
    assert train(config, folder, data).state.newest.position.global_step == 1
