"""Two workers exchange, train and resume together; one process with two lanes learns the same."""

import json
import pathlib

import numpy as np
import pytest

from tests.helpers.finished_runs import assert_same_run, weights_of
from tests.helpers.several_machines import machines
from tests.helpers.two_workers import make_data, plain_config
from trainer.runs.folder import RunFolder
from trainer.training.train import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("workers")
    with machines(2, "tests.helpers.two_workers", [str(folder)]) as workers:
        results = workers.results()
    assert [status for status, _ in results] == [0, 0], results
    return folder


@pytest.fixture(scope="module", params=[0, 1])
def seen(request, folder) -> dict:
    return json.loads((folder / f"seen-{request.param}.json").read_text()) | {
        "index": request.param
    }


def test_workers_exchange_numbers_and_texts(seen):
    assert seen["sums"] == [1, 2]
    assert seen["texts"] == ["", "é" * 1500]
    assert seen["any"] == [True, False]
    assert seen["of_chief"] == [False, True]
    assert seen["from_chief"] == "from 0"


def test_problems_reach_all(seen):
    assert seen["problem"].startswith("worker 1 (127.0.0.1:")
    assert seen["problem"].endswith("): it is cold")
    if seen["index"] == 1:
        assert "cannot go on: division by zero" in seen["failed"]


def test_batch_norms_have_the_same_statistics_everywhere(seen):
    """Moving ones begin at mean 0, variance 1; momentum 0.5. The numbers: 0..7, and 10 more."""
    apart, together = seen["statistics"]
    assert apart[0] == apart[1] and together[0] == together[1]
    weight = 1 - 0.5**3
    # Columns 0, 2, 4, 6 and 1, 3, 5, 7: means 3 and 4, variance 5; half of them 10 higher.
    means = [weight * 8, weight * 9]
    np.testing.assert_allclose(apart[0], [*means, *[1 - weight + weight * 5] * 2], rtol=1e-5)
    np.testing.assert_allclose(together[0], [*means, *[1 - weight + weight * 30] * 2], rtol=1e-5)


def test_one_process_learns_the_same(folder):
    """Batches of 7, and a last one: no machine's share is the other's. With mixed pictures."""
    train(plain_config(), folder / "one", make_data(folder / "data"))
    one, two = RunFolder(folder / "one"), RunFolder(folder / "two")
    for name, ours in weights_of(one, one.state.last).items():
        theirs = weights_of(two, two.state.last)[name]  # averaged ones
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=2e-6, err_msg=name)
    for row, other in zip(one.history, two.history, strict=True):
        for name in ("val_loss", "val_accuracy", "val_product_accuracy", "learning_rate"):
            assert getattr(other, name) == pytest.approx(getattr(row, name), rel=1e-5), name
        # Pictures that fill up batches count in these means.
        assert other.loss == pytest.approx(row.loss, rel=2e-2)
    assert (one.state.newest.workers, two.state.newest.workers) == (1, 2)


def test_a_run_killed_on_both_ends_bit_for_bit(folder):
    assert_same_run(RunFolder(folder / "resumed"), RunFolder(folder / "whole"))
