"""Compares runs on one page: curves, a table, level-1 confusions, examples.

    python -m trainer.report runs/* --output=report.html

Writes the page, which needs no other file, and its figures once more as PNGs in `report_files/`.
Runs may be of any kind, unfinished or not evaluated; accuracies are compared only between runs that
tell the same classes apart.
"""

from __future__ import annotations

import os

from absl import flags

from trainer.terminal import command


def main(argv: list[str]) -> None:
    """Parses, calls, prints where the report lies."""
    # Imports TensorFlow: seconds that `--help` and a mistyped flag need not take.
    from trainer.reporting.report import write_report

    values = flags.FLAGS
    folder = write_report(argv[1:], values.output, values.data_dir, values.examples)
    print(f"{os.path.abspath(values.output)}\nIts figures as PNGs: {folder.absolute()}/")


def _define_flags() -> None:
    flags.DEFINE_string("output", "report.html", "The page to write.")
    flags.DEFINE_string(
        "data_dir",
        None,
        "Where `tfds build cdiscount` put the data set (its --data_dir), for the examples' "
        "pictures. Default: where each run found it.",
    )
    flags.DEFINE_integer(
        "examples", 24, "Wrong predictions to show of each evaluation.", lower_bound=0
    )


if __name__ == "__main__":
    _define_flags()
    command.run(main)
