"""Compares runs on one page: curves, accuracies, categories, confusions, examples.

    python -m trainer.report runs/* --output=report.html

Writes one self-contained page, and its figures as PNGs to `report_files/`. Runs may be of any kind,
also unfinished or not evaluated; the page only compares accuracies of runs with the same classes.
Evaluations of several runs together (`trainer.evaluate --run_dirs=... --output=mixed.json`) are
named by their .json files, beside the runs: runs/* mixed.json.
"""

from __future__ import annotations

import dataclasses
import sys

from cdisc_tfds.storage import absolute_path, storage_path
from trainer.reporting.options import ReportOptions
from trainer.terminal import command
from trainer.terminal.option import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(ReportOptions):
    """The flags of the command."""

    output: str = option(
        "report.html", "The page to write.", group="Report", is_path=True, any_storage=True
    )


def main(paths: list[str], options: Options) -> None:
    """Writes the report and prints its path."""
    # These import Matplotlib, which takes seconds; `--help` and flag errors should not wait for it.
    from trainer.reporting.report import write_report
    from trainer.reporting.reported_paths import ReportedPaths

    given = [storage_path(path, "the folder of a run") for path in paths]
    found = ReportedPaths.of(given)
    if found.skipped:
        print(
            "Skipped, because they are neither folders nor evaluations of several runs: "
            f"{', '.join(found.skipped)}",
            file=sys.stderr,
        )
    folder = write_report(found.run_dirs, options.output, options, found.mixtures)
    print(f"{absolute_path(options.output)}\nIts figures as PNGs: {folder.absolute()}/")


if __name__ == "__main__":
    command.run(main, Options, arguments="the folders of the runs, e.g. runs/*", uses_keras=False)
