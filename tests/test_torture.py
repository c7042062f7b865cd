"""`kill -9` at random moments, through the real commands; `make torture` runs this."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from cdisc_tfds.sample import write_sample
from tests.finished_runs import assert_same_run
from trainer.run_folder import RunFolder

pytestmark = pytest.mark.torture

ROOT = pathlib.Path(__file__).parents[1]
_SEED = int(os.environ.get("TORTURE_SEED", "0"))
_COMMON = ("--batch_size=16", "--checkpoint_steps=2", "--log_every_steps=3", "--augment=flip_shift")
COMMANDS = {
    "one_stage": (
        "trainer.main",
        *("--model=solution1_1", "--image_size=48", "--epochs=6", "--ema_momentum=0.9"),
    ),
    "transfer": (
        "trainer.main",
        *("--model=inception", "--weights=none", "--trainable=staged", "--image_size=75"),
        *("--head_epochs=2", "--epochs=4"),
    ),
    "two_stage": ("trainer.two_stage", "--model=solution1_1", "--image_size=48", "--epochs=2"),
}
KILLS = {"one_stage": 12, "transfer": 8, "two_stage": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torture")
    write_sample(folder / "sample", products=160, test_products=20, categories=8, image_size=48)
    tfds = pathlib.Path(sys.executable).with_name("tfds")
    subprocess.run(
        [tfds, "build", "cdiscount", f"--manual_dir={folder / 'sample'}"]
        + [f"--data_dir={folder / 'data'}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return folder


def _start(name: str, folder: pathlib.Path, run_dir: pathlib.Path) -> subprocess.Popen:
    module, *flags = COMMANDS[name]
    flags += [*_COMMON, f"--data_dir={folder / 'data'}", f"--run_dir={run_dir}"]
    return subprocess.Popen(
        [sys.executable, "-m", module, *flags],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(name: str, folder: pathlib.Path, run_dir: pathlib.Path) -> tuple[float, float]:
    """Runs to the end; returns the seconds until the first checkpoint, and in all."""
    started = time.monotonic()
    process = _start(name, folder, run_dir)
    while process.poll() is None and not list(run_dir.rglob("state.json")):
        time.sleep(0.05)
    first = time.monotonic() - started
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    return first, time.monotonic() - started


def _place(run_dir: pathlib.Path) -> str:
    """Where the newest checkpoint stands, for the log."""
    states = sorted(run_dir.rglob("state.json"), key=lambda path: path.stat().st_mtime)
    if not states:
        return "no checkpoint yet"
    entry = RunFolder(states[-1].parent).state["entries"][0]
    return f"{states[-1].parent.name} stage {entry['stage']} epoch {entry['epoch']} step " + str(
        entry["step"]
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_random_moments(name, folder, capsys):
    rng = random.Random(f"{_SEED} {name}")
    undisturbed, run_dir = folder / f"{name}-undisturbed", folder / f"{name}-killed"
    first, seconds = _finish(name, folder, undisturbed)
    # Spread over the whole course, starts, checkpoints and validations included.
    latest = first + 2 * (seconds - first) / KILLS[name]
    places = []
    for _ in range(KILLS[name]):
        process = _start(name, folder, run_dir)
        try:
            process.communicate(timeout=rng.uniform(0.5 * first, latest))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        places.append(f"{process.returncode} at {_place(run_dir)}")
    _finish(name, folder, run_dir)
    with capsys.disabled():
        print(f"\n{name}: {seconds:.0f} s undisturbed; ended by\n  " + "\n  ".join(places))
    runs = sorted(path.parent for path in undisturbed.rglob("state.json"))
    assert runs
    for run in runs:
        assert_same_run(RunFolder(run), RunFolder(run_dir / run.relative_to(undisturbed)))
