"""Three workers, of which one is killed, again and again: each of them, in each phase."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time

import pytest

from cdisc_tfds.sample.competition import write_sample
from tests.helpers.finished_runs import assert_same_run
from tests.helpers.phases import read_phase
from tests.helpers.several_machines import LIMIT, ROOT, Machines, machines
from trainer.runs.folder import RunFolder

pytestmark = pytest.mark.torture

# (worker, the phase at whose start it is killed). The chief alone writes weights.
KILLS = (
    (1, "building the network"),
    (0, "training"),
    (1, "training"),
    (2, "training"),
    (0, "copying a checkpoint"),
    (2, "copying a checkpoint"),
    (0, "building the network"),
    (0, "validation"),
    (1, "preparing the stage"),
    (2, "validation"),
    (0, "weights file"),
    (2, "building the network"),
    (0, "preparing the stage"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("torture_workers")
    write_sample(folder / "sample", products=90, test_products=6, categories=8, image_size=32)
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    command = ["tfds", "build", "cdiscount", f"--manual_dir={folder / 'sample'}"]
    command.append(f"--data_dir={folder / 'data'}")
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": path}, check=True)
    return folder


def command(folder: pathlib.Path, name: str) -> list[str]:
    return [
        str(folder / f"{name}.phase-{{index}}"),
        "trainer.main",
        f"--data_dir={folder / 'data'}",
        f"--run_dir={folder / name}",
        "--model=solution1_1",
        "--image_size=32",
        "--batch_size=8",
        "--epochs=5",
        "--checkpoint_steps=2",
        "--augment=flip_shift",
    ]


def kill_in(workers: Machines, victim: int, phase: str, file: pathlib.Path) -> None:
    """Kills a worker when it reaches a phase."""
    until, process = time.monotonic() + LIMIT, workers.processes[victim]
    while phase not in read_phase(file)[1]:
        assert time.monotonic() < until, read_phase(file)
        assert process.poll() is None, workers.results()
        time.sleep(0.001)
    process.kill()


def test_three_workers_killed_in_each_phase_end_bit_for_bit(folder):
    with machines(3, "tests.helpers.phases", command(folder, "whole")) as workers:
        assert [status for status, _ in workers.results()] == [0, 0, 0]
    for victim, phase in KILLS:
        file = folder / f"killed.phase-{victim}"
        file.unlink(missing_ok=True)
        with machines(3, "tests.helpers.phases", command(folder, "killed")) as workers:
            kill_in(workers, victim, phase, file)
            began = time.monotonic()
            results = workers.results()
        print(f"worker {victim}, {phase}: {[status for status, _ in results]}")
        for number, (status, said) in enumerate(results):
            assert number == victim or status == 75, said
        assert time.monotonic() - began < 120
    with machines(3, "tests.helpers.phases", command(folder, "killed")) as workers:
        assert [status for status, _ in workers.results()] == [0, 0, 0]
    assert_same_run(RunFolder(folder / "killed"), RunFolder(folder / "whole"))
