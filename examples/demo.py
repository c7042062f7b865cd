"""`make demo`: from nothing to scored submissions in about six minutes on two cores.

Each step is a command that you can also type as printed. The demo does not repeat finished steps.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

FOLDER = pathlib.Path("build/demo")
SAMPLE, DATA, RUNS = FOLDER / "sample", FOLDER / "data", FOLDER / "runs"
BUILD_LOG = FOLDER / "tfds-build.log"
DATA_PAGE, REPORT = FOLDER / "data.html", FOLDER / "report.html"

# The study's network, and a pretrained one whose weights come from the package index.
STUDY, PRETRAINED = RUNS / "study", RUNS / "pretrained"


def submission(run: pathlib.Path) -> pathlib.Path:
    return FOLDER / f"{run.name}.csv.gz"


def _scored(run: pathlib.Path) -> tuple[tuple[str, str], ...]:
    """The steps that evaluate and submit a run."""
    return (
        (
            f"Evaluation, by product and by picture: {run.name}",
            f"python -m trainer.evaluate --run_dir={run}",
        ),
        (
            f"The submission: {run.name}",
            f"python -m trainer.submit --run_dir={run} --output={submission(run)} "
            f"--sample_submission={SAMPLE / 'sample_submission.csv'}",
        ),
    )


STEPS = (
    ("A small competition, generated", f"python -m cdisc_tfds.sample --output_dir={SAMPLE}"),
    (
        "The data set: TFRecord shards from BSON",
        f"tfds build cdiscount --manual_dir={SAMPLE} --data_dir={DATA}",
    ),
    (
        "A page about the data",
        f"python -m cdisc_tfds.explore --data_dir={DATA} --output={DATA_PAGE} --report={REPORT}",
    ),
    (
        "Training the study's network, on 80% of the products, validated on the others",
        f"python -m trainer.main --model=cnn --optimizer=adam --data_dir={DATA} "
        f"--run_dir={STUDY} --image_size=90 --epochs=4",
    ),
    *_scored(STUDY),
    (
        "Fine-tuning a pretrained network, on smaller pictures",
        f"python -m trainer.main --model=efficientnet_lite0 --optimizer=adamw --data_dir={DATA} "
        f"--run_dir={PRETRAINED} --image_size=64 --epochs=2 --batch_norm_momentum=0.9 "
        "--augment=flip",
    ),
    *_scored(PRETRAINED),
    (
        "The report",
        f"python -m trainer.report {STUDY} {PRETRAINED} --output={REPORT} --data_page={DATA_PAGE}",
    ),
)


def run(title: str, command: str) -> None:
    """Runs one step; if it fails, exits the demo with the step's exit code."""
    print(f"\n== {title}\n$ {command}", flush=True)
    started = time.monotonic()
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    arguments, environment = shlex.split(command), os.environ | {"PATH": path}
    if arguments[0] == "tfds":  # Its log fills pages.
        with open(BUILD_LOG, "wb") as log:
            code = subprocess.run(
                arguments, env=environment, stdout=log, stderr=subprocess.STDOUT
            ).returncode
        print(f"Its log: {BUILD_LOG}")
    else:
        code = subprocess.run(arguments, env=environment).returncode
    if code:
        print(f"This step failed with exit code {code}.", file=sys.stderr)
        sys.exit(code)
    print(f"({time.monotonic() - started:.0f} s)")


def accuracy(submission: pathlib.Path, solution: pathlib.Path) -> float:
    """Share of test products with the right category, as Kaggle scores it."""
    with gzip.open(submission, "rt") as guesses, open(solution) as truth:
        pairs = list(zip(csv.reader(guesses), csv.reader(truth), strict=True))[1:]
    return sum(guess == true for guess, true in pairs) / len(pairs)


def validation_accuracy(run_dir: pathlib.Path) -> float:
    """The accuracy by product that the evaluation step wrote."""
    (path,) = (run_dir / "evaluation").glob("*.json")
    return json.loads(path.read_text())["product"]["accuracy"]


def main() -> None:
    started = time.monotonic()
    for title, command in STEPS:
        if command == STEPS[0][1] and (SAMPLE / "train.bson").exists():
            continue  # The sample command never overwrites files.
        run(title, command)
    print(f"\n== Done in {time.monotonic() - started:.0f} s\nAccuracy by product:")
    for run_dir in (STUDY, PRETRAINED):
        score = accuracy(submission(run_dir), SAMPLE / "solution.csv")
        print(
            f"  {run_dir.name:<11} {validation_accuracy(run_dir):.1%} on the validation products, "
            f"{score:.1%} on the test products"
        )
    print(
        f"The latter are the submissions against {SAMPLE / 'solution.csv'}.\n"
        f"  data set    {DATA}   (its page: {DATA_PAGE})\n"
        f"  runs        {RUNS}   (tensorboard --logdir={RUNS})\n"
        f"  submissions {submission(STUDY)}, {submission(PRETRAINED)}\n"
        f"  report      {REPORT}\n"
        f"  service     python -m trainer.serve --run_dir={PRETRAINED}"
    )


if __name__ == "__main__":
    main()
