"""Writes the report: one page that compares runs, and its charts as PNG files.

A section of the page is a function in a `*_section(s).py`; each chart has a module of its own
(`*_chart.py`).
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from markupsafe import Markup

from cdisc_tfds.pages.page import page
from cdisc_tfds.pages.page_figures import Figures
from cdisc_tfds.pages.page_link import link_to
from cdisc_tfds.storage import is_remote, path_of
from cdisc_tfds.whole_files import can_create, whole_file
from trainer.reporting import (
    class_sections,
    confusion_sections,
    evaluation_sections,
    example_sections,
    probability_sections,
    training_sections,
)
from trainer.reporting.comparison_section import comparison
from trainer.reporting.options import ReportOptions
from trainer.reporting.pictures import DataSets
from trainer.reporting.reported_evaluations import ReportedEvaluation, evaluations
from trainer.reporting.reported_runs import ReportedRun, by_target, load_runs
from trainer.reporting.together_section import together


class ReportError(ValueError):
    """The report cannot be written."""


def write_report(
    run_dirs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    options: ReportOptions | None = None,
    mixtures: Sequence[pathlib.Path] = (),
) -> pathlib.Path:
    """Writes the page, which needs no other file, and its charts in a folder beside it.

    Runs may be of any kind, unfinished or not evaluated. The report compares accuracies only
    between runs with the same classes. Where the data set of a run is gone, the examples have no
    pictures.

    Args:
      run_dirs: the folders of the runs, in the order in which the report lists them.
      output: the path of the page.
      options: what to show; default: the default of each option.
      mixtures: files of evaluations of several runs together.

    Returns:
      The folder of the charts.

    Raises:
      ReportError: if the page cannot be written to `output`, or there is no page to link to.
      RunFolderError: if a folder contains no run, or was given twice.
      LabelMapError: if the files of a folder contradict each other.
      DatasetError: if `data_dir` contains no data set.
      EvaluationFileError: if an evaluation is damaged, or a newer version wrote it.
      MixtureError: if none of a mixture's runs is in the report.
    """
    options = options or ReportOptions()
    output = _checked(path_of(output))
    link = _link_to_data(options.data_page, output)
    runs = load_runs(run_dirs)
    measured = evaluations(runs, mixtures)
    data, figures = DataSets(options.data_dir), Figures()
    groups = by_target(runs)
    introduction = Markup("\n").join([*map(training_sections.summary, groups), link])
    sections = [
        ("curves", "Curves", training_sections.curves(groups, figures)),
        ("runs", "Runs", training_sections.tables(groups, data)),
        ("specialists", "Specialists", training_sections.specialists(runs, figures)),
        *_sections_of_evaluations(measured, runs, figures),
        ("examples", "Examples", example_sections.examples(measured, data, options.examples)),
        (
            "class-examples",
            "Examples by category",
            example_sections.examples_of_classes(
                measured, data, options.category_examples, options.max_examples
            ),
        ),
    ]
    text = page(
        f"Report on {runs[0].name if len(runs) == 1 else f'{len(runs)} runs'}",
        introduction,
        [section for section in sections if section[-1]],
    )
    return _write(output, text, figures)


def _sections_of_evaluations(
    measured: Sequence[ReportedEvaluation], runs: Sequence[ReportedRun], figures: Figures
) -> list[tuple[str, str, Markup]]:
    """(anchor, heading, body) of the sections of numbers; the body may be empty."""
    return [
        ("together", "Several runs together", together(measured, runs)),
        (
            "evaluations",
            "Evaluations",
            evaluation_sections.table_of_evaluations(measured, runs),
        ),
        ("comparison", "On the same products", comparison(measured)),
        ("probabilities", "Probabilities", probability_sections.probabilities(measured, figures)),
        ("classes", "Frequent and rare classes", class_sections.groups(measured)),
        ("categories", "Categories", class_sections.categories(measured)),
        (
            "confusions",
            "Level-1 confusions",
            confusion_sections.level1_confusions(measured, figures),
        ),
        ("class-confusions", "Confused classes", confusion_sections.class_confusions(measured)),
    ]


def _link_to_data(data_page: str | None, output: pathlib.Path) -> Markup:
    """A link to the page of the data set; raises ReportError if there is no such file."""
    if data_page is None:
        return Markup("")
    if is_remote(output):
        raise ReportError(
            "A page on a storage cannot link to a file of this machine. Received: "
            f"--output={output} with --data_page={data_page}. Leave --data_page out."
        )
    if not os.path.isfile(data_page):
        raise ReportError(
            "--data_page must be a page that exists. Received: "
            f"{data_page}. Make it with `python -m cdisc_tfds.explore --output={data_page}`."
        )
    return Markup("<p>{}</p>").format(link_to(data_page, output, "The data set, before training"))


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
