"""Writes the report: one page that compares runs, and its charts as PNG files.

A section of the page is a function in `training_sections.py`, `evaluation_sections.py` or
`probability_sections.py`; each chart has a module of its own (`*_chart.py`).
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from markupsafe import Markup

from cdisc_tfds.pages.page import page
from cdisc_tfds.pages.page_figures import Figures
from cdisc_tfds.whole_files import can_create, whole_file
from trainer.reporting import evaluation_sections, probability_sections, training_sections
from trainer.reporting.pictures import DataSets
from trainer.reporting.reported_runs import by_target, load_runs


class ReportError(ValueError):
    """The report cannot be written."""


def write_report(
    run_dirs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    num_examples: int = 24,
) -> pathlib.Path:
    """Writes the page, which needs no other file, and its charts in a folder beside it.

    Runs may be of any kind, unfinished or not evaluated. The report compares accuracies only
    between runs with the same classes.

    Args:
      run_dirs: the folders of the runs, in the order in which the report lists them.
      output: the path of the page.
      data_dir: the directory of the data set, for the pictures of the examples. None: each run's
        own; where that is gone, the report has no examples.
      num_examples: how many wrong predictions to show of each evaluation; the report adds up to a
        third as many right ones.

    Returns:
      The folder of the charts.

    Raises:
      ReportError: if the page cannot be written to `output`.
      RunFolderError: if a folder contains no run, or was given twice.
      LabelMapError: if the files of a folder contradict each other.
      DatasetError: if `data_dir` contains no data set.
      EvaluationFileError: if an evaluation is damaged, or a newer version wrote it.
    """
    output = _checked(pathlib.Path(output))
    runs = load_runs(run_dirs)
    data, figures = DataSets(data_dir), Figures()
    groups = by_target(runs)
    sections = [
        ("curves", "Curves", training_sections.curves(groups, figures)),
        ("runs", "Runs", training_sections.tables(groups, data)),
        ("specialists", "Specialists", training_sections.specialists(runs, figures)),
        ("evaluations", "Evaluations", evaluation_sections.table_of_evaluations(runs)),
        ("probabilities", "Probabilities", probability_sections.probabilities(runs, figures)),
        ("classes", "Frequent and rare classes", probability_sections.classes(runs)),
        ("confusions", "Level-1 confusions", evaluation_sections.confusions(runs, figures)),
        ("examples", "Examples", evaluation_sections.examples(runs, data, num_examples)),
    ]
    text = page(
        f"Report on {runs[0].name if len(runs) == 1 else f'{len(runs)} runs'}",
        Markup("\n").join(training_sections.summary(group) for group in groups),
        [section for section in sections if section[-1]],
    )
    return _write(output, text, figures)


def _checked(output: pathlib.Path) -> pathlib.Path:
    """Returns `output`; raises ReportError if no page can be written there."""
    if output.is_dir() or not can_create(_folder(output) / "chart.png"):
        raise ReportError(
            "--output must be a file in a folder that can be written to. Received: "
            f"{output}. The charts go to {_folder(output).name}/ beside it."
        )
    return output


def _folder(output: pathlib.Path) -> pathlib.Path:
    """The folder of the charts."""
    return output.with_name(f"{output.stem}_files")


def _write(output: pathlib.Path, text: str, figures: Figures) -> pathlib.Path:
    """Writes the page after its charts, and each file whole or not at all."""
    folder = _folder(output)
    folder.mkdir(parents=True, exist_ok=True)
    for name, png in figures.pngs.items():
        with whole_file(folder / name) as file:
            file.write(png)
    with whole_file(output, "w", encoding="utf-8") as file:
        file.write(text)
    return folder
