"""The commands on `gs://`, killed (`kill -9`) while they write an object, again and again."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from cdisc_tfds.sample.competition import write_sample
from tests.helpers.finished_runs import assert_same_run
from tests.helpers.object_store import ObjectStore
from trainer.runs.folder import RunFolder

pytestmark = pytest.mark.torture

ROOT = pathlib.Path(__file__).parents[1]
BUCKET = "gs://bucket"
LIMIT = 900  # seconds, on a machine that others use
# Each start is killed at this object, counted from 1; the last start is not.
BUILD_KILLS = (1, 4, 9)
TRAIN_KILLS = (2, 6, 9, 11, 12, 13, 14, 16, 19)
TRAIN = (
    *("trainer.main", "--model=solution1_1", "--image_size=32", "--batch_size=8", "--epochs=3"),
    *("--checkpoint_steps=2", "--augment=flip_shift", "--ema_momentum=0.9", "--precision=float32"),
)


class Place:
    """Runs the commands, on the disk or in the bucket."""

    def __init__(self, root: str, store: ObjectStore, temporary: pathlib.Path):
        self.root, self._store = root, store
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
        self._environment = os.environ | store.environment | {"PATH": path}
        self._environment["TMPDIR"] = str(temporary)
        temporary.mkdir()

    def run(self, *words: str, kill_at: int | None = None) -> int:
        """The exit status of a command, which is killed at its `kill_at`-th object."""
        process = subprocess.Popen(
            [word.replace("ROOT", self.root) for word in words],
            env=self._environment,
            cwd=ROOT,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        written = 0

        def kill(name: str) -> None:
            nonlocal written
            if name.endswith(".lock"):
                return
            written += 1
            if written == kill_at:
                os.killpg(process.pid, signal.SIGKILL)
                raise ConnectionResetError

        self._store.before_write = kill
        output, _ = process.communicate(timeout=LIMIT)
        self._store.before_write = lambda name: None
        assert process.returncode in (0, -signal.SIGKILL), output
        return process.returncode

    def python(self, *words: str, kill_at: int | None = None) -> int:
        return self.run(sys.executable, "-m", *words, kill_at=kill_at)

    def killed_and_finished(self, kills: tuple[int, ...], *words: str) -> int:
        """Runs a command until it is done; returns how often it was killed."""
        number = 0
        for kill_at in kills:
            if self.run(*words, kill_at=kill_at) == 0:
                return number
            number += 1
        assert self.run(*words) == 0
        return number


@pytest.fixture(scope="module")
def places(tmp_path_factory, object_store) -> tuple[Place, Place]:
    folder = tmp_path_factory.mktemp("torture_storage")
    write_sample(folder / "manual", products=90, test_products=12, categories=8, image_size=32)
    for path in (folder / "manual").iterdir():
        object_store.write(f"manual/{path.name}", path.read_bytes())
    return (
        Place(str(folder), object_store, folder / "tmp"),
        Place(BUCKET, object_store, folder / "tmp_of_bucket"),
    )


def fetched(store: ObjectStore, prefix: str, folder: pathlib.Path) -> pathlib.Path:
    """A folder of the bucket on the disk."""
    for name, content in store.contents(f"{prefix}/").items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_killed_at_any_object_all_ends_bit_for_bit(places, object_store, tmp_path):
    local, remote = places
    build = ("tfds", "build", "cdiscount", "--manual_dir=ROOT/manual", "--data_dir=ROOT/data")
    assert local.run(*build) == 0
    assert remote.killed_and_finished(BUILD_KILLS, *build) == len(BUILD_KILLS)
    data = pathlib.Path(local.root) / "data" / "cdiscount" / "1.0.0"
    found = object_store.contents("data/cdiscount/1.0.0/")
    built = {path.name: path.read_bytes() for path in data.iterdir()}
    differing = {name for name in built | found if built.get(name) != found.get(name)}
    assert differing <= {"metadata.json"}, differing  # it has the time of the input files

    train = (sys.executable, "-m", *TRAIN, "--data_dir=ROOT/data", "--run_dir=ROOT/run")
    assert local.run(*train) == 0
    began = time.monotonic()
    assert remote.killed_and_finished(TRAIN_KILLS, *train) == len(TRAIN_KILLS)
    print(f"{len(TRAIN_KILLS)} kills of a training in {time.monotonic() - began:.0f} s")
    run = RunFolder(fetched(object_store, "run", tmp_path / "run"))
    assert_same_run(run, RunFolder(pathlib.Path(local.root) / "run"))
    named = {file.file for entry in run.state.entries for file in entry.files}
    assert {path.name for path in run.checkpoints.iterdir()} == named  # nothing is left over

    for place in places:
        assert place.python("trainer.evaluate", "--run_dir=ROOT/run") == 0
        assert place.python("trainer.submit", "--run_dir=ROOT/run", "--output=ROOT/s.csv.gz") == 0
        assert place.python("trainer.serving", "--run_dir=ROOT/run", "--output=ROOT/served/1") == 0
        assert place.python("trainer.report", "ROOT/run", "--output=ROOT/report.html") == 0
    root, there = pathlib.Path(local.root), object_store.contents("")
    assert there["s.csv.gz"] == (root / "s.csv.gz").read_bytes()
    (evaluation,) = (root / "run" / "evaluation").glob("*.json")
    assert there[f"run/evaluation/{evaluation.name}"] == evaluation.read_bytes()
    served = {path.relative_to(root).as_posix() for path in (root / "served").rglob("*")}
    assert {name for name in served if (root / name).is_file()} <= set(there)
    assert "report.html" in there and any(name.startswith("report_files/") for name in there)


def test_what_cannot_be_is_a_sentence(places):
    _, remote = places
    for words, text in (
        (("--run_dir=s3://b/run",), "Received: s3://."),
        (("--run_dir=gs:/b/run",), "an address such as gs://BUCKET/FOLDER"),
        (("--run_dir=x", "--weights=gs://b/w.h5"), "--weights must be a path of this machine"),
    ):
        result = subprocess.run(
            [sys.executable, "-m", "trainer.main", f"--data_dir={remote.root}/data", *words],
            cwd=ROOT,
            env=remote._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 1 and "Traceback" not in result.stderr, result.stderr
        assert text in result.stderr, result.stderr
