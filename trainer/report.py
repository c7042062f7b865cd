"""Compares runs on one page: curves, a table, level-1 confusions, examples.

    python -m trainer.report runs/* --output=report.html

Writes one self-contained page, and its figures as PNGs to `report_files/`. Runs may be of any kind,
also unfinished or not evaluated; the page only compares accuracies of runs with the same classes.
"""

from __future__ import annotations

import dataclasses
import os
import sys

from cdisc_tfds.local_path import local_path
from trainer.terminal import command
from trainer.terminal.option import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of the command."""

    output: str = option("report.html", "The page to write.", group="Report", is_path=True)
    data_dir: str | None = option(
        None,
        "Where `tfds build cdiscount` put the data set (its --data_dir), for the examples' "
        "pictures. Default: where each run found it.",
        group="Report",
        is_path=True,
    )
    examples: int = option(
        24, "Wrong predictions to show of each evaluation.", group="Report", at_least=0
    )


def main(paths: list[str], options: Options) -> None:
    """Writes the report and prints its path."""
    # These import TensorFlow, which takes seconds; `--help` and flag errors should not wait for it.
    from trainer.reporting.report import write_report
    from trainer.reporting.reported_runs import without_files

    given = [local_path(path, "the folder of a run") for path in paths]
    run_dirs, files = without_files(given)
    if files:
        print(f"Skipped, because they are not folders: {', '.join(files)}", file=sys.stderr)
    folder = write_report(run_dirs, options.output, options.data_dir, options.examples)
    print(f"{os.path.abspath(options.output)}\nIts figures as PNGs: {folder.absolute()}/")


if __name__ == "__main__":
    command.run(main, Options, arguments="the folders of the runs, e.g. runs/*", uses_keras=False)
