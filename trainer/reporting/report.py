"""Compares runs on one page: curves, a table, level-1 confusions, examples.

    python -m trainer.report runs/* --output=report.html

Writes the page, which needs no other file, and its figures once more as PNGs in `report_files/`.
Runs may be of any kind, unfinished or not evaluated; accuracies are compared only between runs that
tell the same classes apart.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from markupsafe import Markup

from cdisc_tfds.whole_files import whole_file
from trainer.reporting import evaluation_sections, training_sections
from trainer.reporting.page import page
from trainer.reporting.page_figures import Figures
from trainer.reporting.pictures import DataSets
from trainer.reporting.reported_runs import by_target, load_runs


def write_report(
    run_dirs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    num_examples: int = 24,
) -> pathlib.Path:
    """Writes the page, and its figures beside it.

    Args:
      run_dirs: folders of the runs, in the order in which they are listed.
      output: the page's path.
      data_dir: where the data set is, for the pictures of the examples; default: where each run
        found it, and no examples where it is gone.
      num_examples: wrong predictions to show of each evaluation; and up to a third as many right.

    Returns:
      The folder of the figures.

    Raises:
      RunFolderError: if one of the folders holds no run, or is given twice.
      LabelMapError: if the files of one of the folders contradict each other.
      DatasetError: if there is no data set in `data_dir`.
    """
    runs = load_runs(run_dirs)
    data, figures = DataSets(data_dir), Figures()
    groups = by_target(runs)
    sections = [
        ("curves", "Curves", training_sections.curves(groups, figures)),
        ("runs", "Runs", training_sections.tables(groups, data)),
        ("specialists", "Specialists", training_sections.specialists(runs, figures)),
        ("evaluations", "Evaluations", evaluation_sections.table_of_evaluations(runs)),
        ("confusions", "Level-1 confusions", evaluation_sections.confusions(runs, figures)),
        ("examples", "Examples", evaluation_sections.examples(runs, data, num_examples)),
    ]
    text = page(
        f"Report on {runs[0].name if len(runs) == 1 else f'{len(runs)} runs'}",
        Markup("\n").join(training_sections.summary(group) for group in groups),
        [section for section in sections if section[-1]],
    )
    return _write(pathlib.Path(output), text, figures)


def _write(output: pathlib.Path, text: str, figures: Figures) -> pathlib.Path:
    """Writes each file whole, the page last."""
    folder = output.with_name(f"{output.stem}_files")
    folder.mkdir(parents=True, exist_ok=True)
    for name, png in figures.pngs.items():
        with whole_file(folder / name) as file:
            file.write(png)
    with whole_file(output, "w", encoding="utf-8") as file:
        file.write(text)
    return folder
