"""Full disks and interrupted writes, through the real commands: training and submission.

`tests/test_build_killed.py` does the same to the build. A limit on the size of files stands in for
a full disk where nothing can be mounted; a small tmpfs is a full disk.
"""

import pathlib
import resource
import shutil
import signal
import subprocess
import sys

import pytest

from cdisc_tfds.sample.competition import write_sample
from tests.helpers.finished_runs import assert_same_run
from trainer.runs.folder import RunFolder

ROOT = pathlib.Path(__file__).parents[1]


def command(*words, limit=None):
    """Runs a command, with a limit on the bytes of any file; returns (status, stderr)."""

    def set_limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [str(word) for word in words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=set_limit if limit else None,
    )
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    write_sample(folder / "sample", products=60, test_products=400, categories=6, image_size=24)
    status, stderr = command(
        pathlib.Path(sys.executable).with_name("tfds"),
        *("build", "cdiscount", f"--manual_dir={folder / 'sample'}"),
        f"--data_dir={folder / 'data'}",
    )
    assert status == 0, stderr
    return folder


def train(folder, run_dir, epochs, **kwargs):
    return command(
        *(sys.executable, "-m", "trainer.main", "--model=logistic", "--image_size=48"),
        *("--batch_size=16", "--precision=float32", f"--epochs={epochs}", "--schedule=constant"),
        *("--checkpoint_steps=100", f"--data_dir={folder / 'data'}", f"--run_dir={run_dir}"),
        **kwargs,
    )


@pytest.fixture(scope="module")
def short_run(folder):
    """One epoch; its checkpoints are intact."""
    status, stderr = train(folder, folder / "short", epochs=1)
    assert status == 0, stderr
    return folder / "short"


@pytest.fixture(scope="module")
def undisturbed(folder, short_run):
    """The short run, and another epoch."""
    shutil.copytree(short_run, folder / "undisturbed")
    status, stderr = train(folder, folder / "undisturbed", epochs=2)
    assert status == 0, stderr
    return folder / "undisturbed"


def contents(run_dir):
    return {
        path.relative_to(run_dir): path.read_bytes()
        for path in run_dir.rglob("*")
        if path.is_file() and "checkpoints" in path.parts or path.name == "state.json"
    }


def assert_checkpoint_failed(status, stderr, reason, run_dir, before):
    assert status == 1, stderr
    assert stderr.splitlines()[-1].endswith(
        f"A checkpoint must be written whole. Received: {reason}. {run_dir} keeps the one before "
        "it; nothing half-written counts. Make room (or lift the limit on file sizes) and start "
        "the same command again to continue."
    ), stderr
    assert "Traceback" not in stderr
    assert contents(run_dir) == before


def test_a_limit_on_file_sizes_keeps_the_checkpoint_before(
    folder, short_run, undisturbed, tmp_path
):
    run_dir = tmp_path / "run"
    shutil.copytree(short_run, run_dir)
    before = contents(run_dir)
    smallest = min(len(data) for path, data in before.items() if path.suffix in (".npy", ".h5"))
    status, stderr = train(folder, run_dir, epochs=2, limit=smallest - 1000)
    assert_checkpoint_failed(status, stderr, "File too large", run_dir, before)
    status, stderr = train(folder, run_dir, epochs=2)
    assert status == 0, stderr
    assert_same_run(RunFolder(run_dir), RunFolder(undisturbed))


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "of_state",
    [
        pytest.param(0.5, id="for the weights, not for the training state"),
        pytest.param(-0.5, id="not for the weights", marks=pytest.mark.torture),
    ],
)
def test_a_full_disk_keeps_the_checkpoint_before(
    folder, short_run, undisturbed, small_disk, of_state
):
    checkpoint = RunFolder(short_run).state.newest
    weights, state = (
        (short_run / "checkpoints" / file.file).stat().st_size
        for file in (checkpoint.last, checkpoint.training_state)
    )
    room = round(weights + of_state * min(weights, state))
    run_dir = small_disk(size_of(short_run) + room) / "run"
    shutil.copytree(short_run, run_dir)
    before = contents(run_dir)
    status, stderr = train(folder, run_dir, epochs=2)
    assert_checkpoint_failed(status, stderr, "No space left on device", run_dir, before)
    larger = ["mount", "-o", f"remount,size={10 * size_of(short_run)}", str(run_dir.parent)]
    subprocess.run(larger, check=True)
    status, stderr = train(folder, run_dir, epochs=2)
    assert status == 0, stderr
    assert_same_run(RunFolder(run_dir), RunFolder(undisturbed))


def submit(run_dir, output, **kwargs):
    words = (sys.executable, "-m", "trainer.submit", f"--run_dir={run_dir}", f"--output={output}")
    return command(*words, **kwargs)


@pytest.mark.parametrize(
    "earlier",
    [b"_id,category_id\n1,2\n", pytest.param(None, marks=pytest.mark.torture)],
    ids=["over another", "new"],
)
def test_a_submission_that_does_not_fit_is_not_there(short_run, tmp_path, earlier):
    output = tmp_path / "submission.csv"
    if earlier:
        output.write_bytes(earlier)
    status, stderr = submit(short_run, output, limit=2000)
    assert status == 1
    kept = f"the previous submission is unchanged: {output}" if earlier else "there is no file"
    assert stderr.splitlines()[-1] == (
        f"Error: A submission must be written whole. Received: [Errno 27] File too large; {kept}. "
        "Make room (or choose another --output) and start the same command again."
    )
    assert [path.name for path in tmp_path.iterdir()] == (["submission.csv"] if earlier else [])
    if earlier:
        assert output.read_bytes() == earlier
    status, stderr = submit(short_run, output)
    assert status == 0, stderr
    assert len(output.read_bytes().splitlines()) == 401


@pytest.mark.torture
def test_a_submission_killed_before_it_has_its_name(short_run, tmp_path):
    """Between the last prediction and the renaming there is a partial file, and no submission."""
    output = tmp_path / "submission.csv"
    script = (
        "import os, runpy, signal, sys; from trainer.prediction import submission\n"
        "submission._check_written = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "runpy.run_module('trainer.submit', run_name='__main__', alter_sys=True)"
    )
    flags = (f"--run_dir={short_run}", f"--output={output}")
    status, _ = command(sys.executable, "-c", script, *flags)
    assert status == -signal.SIGKILL
    assert not output.exists()
    status, stderr = submit(short_run, output)
    assert status == 0, stderr
    assert len(output.read_bytes().splitlines()) == 401
