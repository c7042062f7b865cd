"""The whole path through the commands that a user types, on a competition of 90 products."""

import csv
import gzip
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from cdisc_tfds.sample.competition import write_sample
from tests.helpers.finished_runs import assert_same_run
from trainer.prediction.format_table import FILE_FORMATS
from trainer.runs.folder import RunFolder

ROOT = pathlib.Path(__file__).parents[1]


def run(*command, check=True, cwd=ROOT):
    """Runs a command as a user would; returns (exit status, stdout, stderr)."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    result = subprocess.run(
        [str(word) for word in command],
        env=os.environ | {"PATH": path},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and result.returncode:
        raise AssertionError(f"{command} failed:\n{result.stdout}\n{result.stderr}")
    return result.returncode, result.stdout, result.stderr


def python(module, *flags, **kwargs):
    return run(sys.executable, "-m", module, *flags, **kwargs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("end_to_end")
    write_sample(folder / "sample", products=90, test_products=30, categories=8, image_size=48)
    run(
        "tfds",
        "build",
        "cdiscount",
        f"--manual_dir={folder / 'sample'}",
        f"--data_dir={folder / 'data'}",
    )
    return folder


def train_flags(folder, run_dir):
    return (
        f"--data_dir={folder / 'data'}",
        f"--run_dir={run_dir}",
        "--model=solution1_1",
        "--optimizer=adam",
        "--image_size=48",
        "--batch_size=16",
        "--epochs=2",
        "--checkpoint_steps=2",
        "--precision=float32",
    )


@pytest.fixture(scope="module")
def trained(folder):
    python("trainer.main", *train_flags(folder, folder / "run"))
    return folder / "run"


def test_training_is_quiet_and_says_what_comes_next(folder):
    status, stdout, stderr = python("trainer.main", *train_flags(folder, folder / "quiet"))
    assert status == 0
    assert "validation accuracy" in stdout and "python -m trainer.submit" in stdout
    lines = stderr.splitlines()
    assert lines[0].startswith("Training solution1_1 (") and len(lines) == 3, stderr
    assert [line.split()[:2] for line in lines[1:]] == [["epoch", "1/2"], ["epoch", "2/2"]]


def test_evaluation_counts_every_product_once(folder, trained):
    _, stdout, _ = python("trainer.evaluate", f"--run_dir={trained}")
    (path,) = (trained / "evaluation").glob("*.json")
    result = json.loads(path.read_text())
    assert result["num_products"] == 18
    row = json.loads((trained / "history.json").read_text())
    best = min(row, key=lambda epoch: epoch["val_loss"])
    assert result["product"]["accuracy"] == pytest.approx(best["val_product_accuracy"])
    assert "product" in stdout


def test_several_runs_are_evaluated_and_submitted_together(folder, trained):
    other, output = folder / "other", folder / "mixed.json"
    python("trainer.main", *train_flags(folder, other), "--seed=1")
    flags = (f"--run_dirs={trained},{other}", "--run_weights=fit", "--calibrate")
    _, stdout, _ = python("trainer.evaluate", *flags, f"--output={output}")
    result = json.loads(output.read_text())
    shares = [member["weight"] for member in result["mixture"]["runs"]]
    assert sum(shares) == pytest.approx(1) and len(shares) == 2
    assert "arithmetic mean of 2 runs:" in stdout and str(output) in stdout
    assert (folder / "mixed.categories.csv").exists()
    submission = folder / "mixed.csv.gz"
    _, stdout, _ = python("trainer.submit", flags[0], f"--output={submission}", "--mean=auto")
    assert "30 products, one row each" in stdout
    made_from = json.loads((folder / "mixed.csv.gz.made_from.json").read_text())
    assert [member["weight"] for member in made_from["runs"]] == [0.5, 0.5]


def test_submission_has_the_sample_submissions_rows(folder, trained):
    output = folder / "submission.csv.gz"
    sample = folder / "sample" / "sample_submission.csv"
    _, stdout, _ = python(
        "trainer.submit",
        f"--run_dir={trained}",
        f"--output={output}",
        f"--sample_submission={sample}",
    )
    assert "kaggle competitions submit" in stdout
    with gzip.open(output, "rt") as ours, open(sample) as theirs:
        ours, theirs = list(csv.reader(ours)), list(csv.reader(theirs))
    assert [row[0] for row in ours] == [row[0] for row in theirs]
    assert len(ours) == 31


def test_report_and_serving(folder, trained):
    python("trainer.report", trained, f"--output={folder / 'report.html'}")
    page = (folder / "report.html").read_text()
    assert "solution1_1" in page and "data:image/png;base64," in page
    python("trainer.serving", f"--run_dir={trained}", f"--output={folder / 'served'}")
    made_from = json.loads((folder / "served.made_from.json").read_text())
    assert made_from["sha256"] == RunFolder(trained).state.best.sha256
    assert (folder / "served" / "saved_model.pb").exists()


def test_serving_without_tensorflow(folder, trained):
    for module in FILE_FORMATS["onnx"].packages:
        pytest.importorskip(module, reason="needs the extra `formats`")
    output = folder / "onnx"
    flags = (f"--run_dir={trained}", f"--output={output}", "--format=onnx", "--check_pictures=9")
    status, _, stderr = python("trainer.serving", *flags, "--precision=auto", check=False)
    assert status == 1 and "take --precision=float32" in stderr
    status, _, stderr = python("trainer.serving", *flags, f"--data_dir={folder}", check=False)
    assert status == 1 and stderr.startswith("Error: ") and not output.exists()
    _, stdout, stderr = python("trainer.serving", *flags)
    assert stderr == ""
    assert f"{output}: onnx for 8 classes" in stdout and "same first guess 100.0%" in stdout
    assert sorted(path.name for path in output.iterdir()) == [
        *("check.json", "classes.json", "model.onnx"),
    ]
    assert json.loads((output / "check.json").read_text())["pictures"] == 9
    made_from = json.loads((folder / "onnx.made_from.json").read_text())
    assert (made_from["format"], made_from["int8"]) == ("onnx", False)
    assert made_from["sha256"] == RunFolder(trained).state.best.sha256


def test_sigterm_exits_with_75_and_the_same_command_goes_on(folder, trained):
    run_dir = folder / "stopped"
    command = [sys.executable, "-m", "trainer.main", *train_flags(folder, run_dir)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (run_dir / "state.json").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 75, stderr
    assert "The same command continues it." in stderr
    python("trainer.main", *train_flags(folder, run_dir))
    assert_same_run(RunFolder(run_dir), RunFolder(trained))


def test_killed_twice_and_started_again(folder, trained):
    """A short one of `tests/test_torture.py`: in the first epoch, and in the second."""
    run_dir = folder / "killed"
    for epoch, step in ((0, 4), (1, 2)):
        command = [sys.executable, "-m", "trainer.main", *train_flags(folder, run_dir)]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        while process.poll() is None and _place(run_dir) < (epoch, step):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    python("trainer.main", *train_flags(folder, run_dir))
    assert_same_run(RunFolder(run_dir), RunFolder(trained))


def _place(run_dir) -> tuple[int, int]:
    """Epoch and step of the newest checkpoint."""
    if not (run_dir / "state.json").exists():
        return 0, 0
    position = RunFolder(run_dir).state.newest.position
    return position.epoch, position.step


@pytest.mark.parametrize(
    ("module", "flags", "text"),
    [
        ("trainer.main", ["--data_dir=/nowhere"], "The data set must be built first."),
        ("trainer.main", ["--train_split=trian"], "A split is one of train (90 products)"),
        (
            "trainer.main",
            ["--trainable=staged"],
            "--trainable=staged trains a part of a pretrained",
        ),
        ("trainer.evaluate", ["--run_dir=/nowhere"], "which does not exist"),
        ("trainer.evaluate", [], "Name one run with --run_dir, or several with --run_dirs=A,B,C."),
        ("trainer.submit", ["--run_dir=/nowhere", "--output=x.csv"], "which does not exist"),
    ],
)
def test_a_mistake_is_one_clear_sentence(folder, module, flags, text):
    if module == "trainer.main" and not flags[0].startswith("--data_dir"):
        flags = [*flags, f"--data_dir={folder / 'data'}", f"--run_dir={folder / 'none'}"]
    status, _, stderr = python(module, *flags, check=False)
    assert status == 1 and text in stderr
    assert stderr.count("\n") == 1 and "Traceback" not in stderr


def test_pictures_are_the_dumps_bytes(folder):
    import tensorflow_datasets as tfds

    import cdisc_tfds  # noqa: F401
    from cdisc_tfds.bson_file import read_documents

    builder = tfds.builder("cdiscount", data_dir=folder / "data")
    raw = builder.as_dataset(
        split="train", decoders={"images": tfds.decode.SkipDecoding()}, shuffle_files=False
    )
    pictures = {int(record["product_id"]): list(record["images"]) for record in tfds.as_numpy(raw)}
    documents = [document for *_, document in read_documents(folder / "sample" / "train.bson")]
    assert len(documents) == len(pictures) == 90
    for document in documents:
        expected = [image["picture"] for image in document["imgs"]]
        np.testing.assert_array_equal(pictures[document["_id"]], expected)
