"""`make demo`: from nothing to a scored submission in about six minutes on two cores.

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
SAMPLE, DATA, RUN = FOLDER / "sample", FOLDER / "data", FOLDER / "run"
BUILD_LOG = FOLDER / "tfds-build.log"
SUBMISSION, REPORT = FOLDER / "submission.csv.gz", FOLDER / "report.html"

STEPS = (
    ("A small competition, generated", f"python -m cdisc_tfds.sample --output_dir={SAMPLE}"),
    (
        "The data set: TFRecord shards from BSON",
        f"tfds build cdiscount --manual_dir={SAMPLE} --data_dir={DATA}",
    ),
    (
        "Training (the study's network, on 80% of the products, validated on the others)",
        f"python -m trainer.main --model=cnn --optimizer=adam --data_dir={DATA} --run_dir={RUN} "
        "--image_size=90 --epochs=5",
    ),
    ("Evaluation, by product and by picture", f"python -m trainer.evaluate --run_dir={RUN}"),
    (
        "The submission",
        f"python -m trainer.submit --run_dir={RUN} --output={SUBMISSION} "
        f"--sample_submission={SAMPLE / 'sample_submission.csv'}",
    ),
    ("The report", f"python -m trainer.report {RUN} --output={REPORT}"),
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


def validation_accuracy() -> float:
    """The accuracy by product that the evaluation step wrote."""
    (path,) = (RUN / "evaluation").glob("*.json")
    return json.loads(path.read_text())["product"]["accuracy"]


def main() -> None:
    started = time.monotonic()
    for title, command in STEPS:
        if command == STEPS[0][1] and (SAMPLE / "train.bson").exists():
            continue  # The sample command never overwrites files.
        run(title, command)
    score = accuracy(SUBMISSION, SAMPLE / "solution.csv")
    print(
        f"\n== Done in {time.monotonic() - started:.0f} s\n"
        f"Accuracy by product: {validation_accuracy():.1%} on the validation products; "
        f"{score:.1%} on the test\nproducts, that is the submission against "
        f"{SAMPLE / 'solution.csv'}.\n"
        f"  data set    {DATA}\n"
        f"  run         {RUN}   (tensorboard --logdir={RUN})\n"
        f"  submission  {SUBMISSION}\n"
        f"  report      {REPORT}"
    )


if __name__ == "__main__":
    main()
