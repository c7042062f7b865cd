"""Several workers train through the real command, each a process of this machine."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from cdisc_tfds.sample.competition import write_sample
from tests.helpers import shared_predictions
from tests.helpers.finished_runs import assert_same_run, history_of, weights_of
from tests.helpers.several_machines import ROOT, machines, wait_for
from trainer.runs.folder import RunFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """A data set of 60 products in 8 categories."""
    folder = tmp_path_factory.mktemp("several_machines")
    write_sample(folder / "sample", products=60, test_products=6, categories=8, image_size=32)
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    command = ["tfds", "build", "cdiscount", f"--manual_dir={folder / 'sample'}"]
    subprocess.run(
        [*command, f"--data_dir={folder / 'data'}"],
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        check=True,
        capture_output=True,
    )
    return folder


def flags(folder: pathlib.Path, name: str, *more: str) -> list[str]:
    return [
        f"--data_dir={folder / 'data'}",
        f"--run_dir={folder / name}",
        "--model=solution1_1",
        "--image_size=32",
        "--batch_size=8",
        "--epochs=3",
        "--checkpoint_steps=3",
        "--precision=float32",
        "--dropout=0",
        *more,
    ]


def train(count: int, folder: pathlib.Path, name: str, *more: str) -> RunFolder:
    with machines(count, "trainer.main", flags(folder, name, *more)) as workers:
        results = workers.results()
    assert [status for status, _ in results] == [0] * count, results
    return RunFolder(folder / name)


@pytest.fixture(scope="module")
def two(folder) -> RunFolder:
    """A run of two workers."""
    return train(2, folder, "two")


def assert_nearly_same(one: RunFolder, other: RunFolder) -> None:
    """Equal but for the order in which floats are summed."""
    for name, ours in weights_of(one, one.state.last).items():
        theirs = weights_of(other, other.state.last)[name]
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=2e-4, err_msg=name)
    for row, also in zip(one.history, other.history, strict=True):
        assert also.val_loss == pytest.approx(row.val_loss, rel=1e-4)
        assert also.val_accuracy == row.val_accuracy
        assert also.loss == pytest.approx(row.loss, rel=2e-2)  # a last batch that is filled up


def test_two_workers_learn_what_one_process_learns(folder, two):
    command = [sys.executable, "-m", "trainer.main", *flags(folder, "one", "--lanes=2")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    one = RunFolder(folder / "one")
    assert two.config.lanes == 2
    assert two.state.newest.workers == 2 and one.state.newest.workers == 1
    assert_nearly_same(one, two)


def write_in_the_future(run_dir: pathlib.Path) -> None:
    """As if a machine whose clock is a year ahead had written every other file."""
    later = time.time() + 365 * 86400
    for path in sorted(run_dir.rglob("*"))[::2]:
        os.utime(path, (later, later))


@pytest.mark.parametrize("lost", [pytest.param(0, marks=pytest.mark.torture), 1])
def test_after_a_kill_all_end_and_go_on_bit_for_bit(folder, two, lost):
    name = f"killed-{lost}"
    with machines(2, "trainer.main", flags(folder, name)) as workers:
        wait_for(folder / name / "state.json", workers)
        workers.processes[lost].kill()
        killed = time.monotonic()
        other = workers.processes[1 - lost]
        other.wait(timeout=60)
        seconds = time.monotonic() - killed
        results = workers.results()
    status, said = results[1 - lost]
    assert status == 75, said
    assert f"lost worker {lost} (127.0.0.1:{workers.ports[lost]})" in said
    assert seconds < 30  # TensorFlow misses a worker after 10
    write_in_the_future(folder / name)
    assert_same_run(train(2, folder, name), two)


@pytest.mark.torture
def test_a_signal_to_one_stops_all_with_a_checkpoint(folder, two):
    with machines(2, "trainer.main", flags(folder, "stopped")) as workers:
        wait_for(folder / "stopped" / "state.json", workers)
        workers.processes[1].send_signal(signal.SIGTERM)
        results = workers.results()
    for status, said in results:
        assert status == 75, said
        assert "Stopped as asked at epoch" in said
    assert_same_run(train(2, folder, "stopped"), two)


def test_workers_that_differ_are_named(folder):
    with machines(
        2, "trainer.main", flags(folder, "unlike"), {1: ["--batch_size=16", "--seed=7"]}
    ) as workers:
        results = workers.results()
    first, second = (f"127.0.0.1:{port}" for port in workers.ports)
    for status, said in results:
        assert status == 1
        assert (
            f"All workers must be alike. worker 1 ({second}) has --batch_size=16, worker 0 "
            f"({first}) has 8; worker 1 ({second}) has --seed=7, worker 0 ({first}) has 0."
        ) in said
    assert not (folder / "unlike").exists()


def test_two_workers_predict_what_one_does(folder, two):
    """Also with a fused run, whose features they share; its folder holds no more than before."""
    places = []
    for name in ("shared", "alone"):
        places.append(folder / name)
        shutil.copytree(two.path, folder / name / "two")
    shared, alone = places
    program = "tests.helpers.shared_predictions"
    with machines(2, program, [str(shared / "two"), str(shared)]) as workers:
        results = workers.results()
    assert [status for status, _ in results] == [0, 0], results
    shared_predictions.predict(alone / "two", alone)
    fused = shared_predictions.fuse(alone / "two", alone / "fused")
    for row, other in zip(fused.history, RunFolder(shared / "fused").history, strict=True):
        # Each worker normalises by its own products.
        assert other.val_loss == pytest.approx(row.val_loss, rel=1e-2)
    shutil.rmtree(fused.path)
    shutil.copytree(shared / "fused", fused.path)
    shared_predictions.predict(fused.path, alone)
    kept = sorted(path.relative_to(alone) for path in alone.rglob("predictions/*/*"))
    assert len(kept) > 4  # files that both workers have a part of
    written = [alone / name for name in ("two.json", "two.csv", "fused.json", "fused.csv")]
    made_from = sorted(path.relative_to(alone) for path in alone.glob("*.made_from.json"))
    for path in [*kept, *(path.relative_to(alone) for path in written), *made_from]:
        assert (shared / path).read_bytes() == (alone / path).read_bytes(), path
    assert not [*shared.rglob("part-*.json"), *shared.rglob("shared-*")]


@pytest.mark.torture
def test_an_error_of_the_chief_is_told_by_all(folder, tmp_path):
    (tmp_path / "file").write_text("not a run")
    with machines(2, "trainer.main", [*flags(folder, "other"), f"--run_dir={tmp_path}"]) as workers:
        results = workers.results()
    for status, said in results:
        assert status == 1
        assert f"Received: {tmp_path}, which holds other files." in said
    assert "worker 0" in results[1][1] and "cannot go on" in results[1][1]


@pytest.mark.torture
def test_a_full_run_folder_on_the_chief(folder, two, small_disk):
    """There is no room for the first checkpoint; when there is, the run is the undisturbed one."""
    size = max(path.stat().st_size for path in two.checkpoints.iterdir())
    run_dir = small_disk(size // 2) / "run"
    with machines(2, "trainer.main", [*flags(folder, "-"), f"--run_dir={run_dir}"]) as workers:
        (chief, said), (other, also) = workers.results()
    assert (chief, other) == (1, 75)
    assert "No space left on device" in said and "Traceback" not in said
    assert f"lost worker 0 (127.0.0.1:{workers.ports[0]})" in also
    subprocess.run(["mount", "-o", f"remount,size={100 * size}", run_dir.parent], check=True)
    train(2, folder, "-", f"--run_dir={run_dir}")
    assert_same_run(RunFolder(run_dir), two)


@pytest.mark.torture
def test_a_read_only_run_folder_on_the_chief(folder, small_disk):
    run_dir = small_disk("1m") / "run"
    subprocess.run(["mount", "-o", "remount,ro", run_dir.parent], check=True)
    with machines(2, "trainer.main", [*flags(folder, "-"), f"--run_dir={run_dir}"]) as workers:
        results = workers.results()
    for status, said in results:
        assert status == 1
        assert "--run_dir must be a folder that can be written to" in said
        assert "Traceback" not in said


def test_a_worker_that_does_not_come_is_named(folder):
    with machines(3, "trainer.main", flags(folder, "late", "--peer_timeout=3")) as workers:
        workers.processes[2].kill()
        results = workers.results()
    for status, said in results[:2]:
        assert status == 75
        assert f"worker 2 (127.0.0.1:{workers.ports[2]}) did not answer" in said


@pytest.mark.torture
def test_another_number_of_machines_must_be_allowed(folder, two):
    """The run goes on where it was, with one machine."""
    shutil.copytree(two.path, folder / "fewer")
    fewer = RunFolder(folder / "fewer")
    command = [sys.executable, "-m", "trainer.main", *flags(folder, "fewer", "--epochs=4")]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "was trained on 2 so far, and is to go on with 1." in refused.stderr
    before = history_of(two)
    command.append("--allow_other_machines")
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert history_of(fewer)[:3] == before and len(fewer.history) == 4
    assert fewer.state.newest.workers == 1
