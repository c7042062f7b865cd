"""The phases in which `make torture` kills are those of the trainer as it is."""

import pathlib
import subprocess
import sys

import tensorflow_datasets as tfds

import cdisc_tfds
from tests.helpers.killing import POINTS
from tests.helpers.phases import PHASES

ROOT = pathlib.Path(__file__).parents[1]


def test_each_phase_of_a_training_is_noted(competition, tmp_path):
    cdisc_tfds.Builder(data_dir=tmp_path / "data", num_processes=1).download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=competition)
    )
    noted = tmp_path / "phase"
    code = (
        "import sys; from tests.helpers import phases\n"
        "class All(phases.PhaseFile):\n"
        "    def _write(self):\n"
        "        super()._write(); print(self.name)\n"
        "phases.PhaseFile = All\n"
        "phases.main()\n"
    )
    words = ["--model=logistic", "--image_size=24", "--epochs=1", "--batch_size=8"]
    done = subprocess.run(
        [sys.executable, "-c", code, noted, "trainer.main", *words]
        + [
            f"--data_dir={tmp_path / 'data'}",
            f"--run_dir={tmp_path / 'run'}",
            "--precision=float32",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    seen = {line.rpartition(": ")[2] for line in done.stdout.splitlines()}
    expected = {name for name, _, _ in PHASES} - {"features", "restoring"}
    assert seen >= expected | {f"checkpoint {point}" for point in POINTS}, done.stdout
