"""The report's sections on training: the best run, curves, tables of the runs, specialists."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

from markupsafe import Markup

from cdisc_tfds.pages.page_figures import Figures
from cdisc_tfds.pages.table import share, table, with_note
from trainer.reporting.curves_chart import Curve, curves_chart
from trainer.reporting.pictures import DataSets
from trainer.reporting.reported_runs import ReportedRun
from trainer.reporting.run_key import run_key
from trainer.reporting.specialists_chart import specialists_chart

Groups = Sequence[Sequence[ReportedRun]]  # each of runs with the same classes


def summary(group: Sequence[ReportedRun]) -> Markup:
    """A sentence that names the best of the runs."""
    title = group[0].target_title
    measured = [(run.validation.product_accuracy, run) for run in group if run.validation]
    if not measured:
        return Markup("<p>{}: no run has been measured yet.</p>").format(title)
    accuracy, best = max(measured, key=lambda pair: pair[0])
    return Markup("<p>{}: <b>{}</b> of the validation products are right with {}{}.</p>").format(
        title,
        f"{accuracy:.1%}",
        run_key(best.name, best.style),
        f", the best of {len(measured)} runs" if len(measured) > 1 else "",
    )


def curves(groups: Groups, figures: Figures) -> Markup:
    """The chart of all runs' curves, with the results that the study published."""
    rows = [
        (group[0].target_title, [_curve(run) for run in group])
        for group in groups
        if any(run.history for run in group)
    ]
    if not rows:
        return Markup("<p>No run has finished an epoch yet.</p>")
    caption = "A ring marks the best epoch (lowest validation loss), whose weights the run keeps."
    if any(curve.published for _, curves in rows for curve in curves):
        caption += (
            " Dashes show the study's published results of the same experiment on the "
            "competition's data: validation accuracy by picture, Kaggle score by product."
        )
    return figures.add("curves", curves_chart(rows), "validation curves", caption, wide=True)


def _curve(run: ReportedRun) -> Curve:
    published = {}
    if run.experiment and run.experiment.published_accuracy:
        published["val_accuracy"] = run.experiment.published_accuracy
    if run.experiment and run.experiment.kaggle_score:
        published["val_product_accuracy"] = (run.experiment.kaggle_score,)
    return Curve(run.name, run.style, run.history, run.best_epoch, published)


def tables(groups: Groups, data: DataSets) -> Markup:
    """A table of the runs of each group, with the study's results."""
    note = (
        "Accuracies are those of the best epoch on the validation split. Seconds include "
        "validation and pictures/s do not; both are medians over the epochs of the last stage."
    )
    parts = [_table(group, data) for group in groups]
    return Markup("\n").join([*parts, Markup('<p class="note">{}</p>').format(note)])


def _table(group: Sequence[ReportedRun], data: DataSets) -> Markup:
    columns = [
        ("run", ""),
        ("network", ""),
        ("optimizer, precision", ""),
        ("train products", "number"),
        ("validation products", "number"),
        ("epochs", ""),
        ("seconds / epoch", "number"),
        ("pictures / s", "number"),
        ("best epoch", "number"),
        ("accuracy by picture", "number"),
        ("accuracy by product", "number"),
        ("top 5 by picture", "number"),
    ]
    with_study = any(_is_published(run) for run in group)
    if with_study:
        columns += [
            ("the study's experiment", "published"),
            ("its accuracy (epoch)", "number published"),
            ("its Kaggle score", "number published"),
        ]
    rows = [
        (
            with_note(run_key(run.name, run.style), run.shortfall),
            _network(run),
            with_note(run.config.optimizer, run.config.precision),
            *_products(run, data),
            _epochs(run),
            _rounded(run.last_stage_median("seconds")),
            _rounded(run.last_stage_median("pictures_per_second")),
            None if run.best_epoch is None else run.best_epoch + 1,
            *_validated(run),
            *(_published(run) if with_study else ()),
        )
        for run in group
    ]
    parts = [Markup("<h3>{}</h3>").format(group[0].target_title), table(columns, rows)]
    splits = sorted({run.config.validation_split for run in group})
    if len(splits) > 1:
        warning = "<p>These runs used different validation splits ({}): compare them with care.</p>"
        parts.append(Markup(warning).format(", ".join(splits)))
    return Markup("\n").join(parts)


def _network(run: ReportedRun) -> Markup:
    config = run.config
    if run.is_two_stage:
        names = dict.fromkeys(part.config.model for part in run.specialists)
        specialists = f"then {len(run.specialists)} specialists: {', '.join(names)}"
        return with_note(config.model, specialists)
    notes = []
    if config.weights not in (None, "none"):
        notes.append(pathlib.PurePath(config.weights).name)
    if config.trainable not in (None, "all"):
        notes.append(config.trainable)
    return with_note(config.model, ", ".join(notes))


def _products(run: ReportedRun, data: DataSets) -> list[str]:
    """Numbers of training and validation products; names of the splits if the data is gone."""
    splits = (run.config.train_split, run.config.validation_split)
    # A specialist uses only the products of its level-1 category; nothing counts those here.
    if run.config.within_level1 is not None or data.why_not(run, *splits):
        return list(splits)
    return [f"{data.of(run).num_products(split):,}" for split in splits]


def _epochs(run: ReportedRun) -> Markup | None:
    """The number of epochs; if there are several stages, that of each too."""
    if run.is_two_stage:
        return None
    stages = [row.stage for row in run.history]
    counts = [f"{stages.count(stage)} {stage}" for stage in dict.fromkeys(stages)]
    return with_note(len(stages), ", ".join(counts) if len(counts) > 1 else "")


def _is_published(run: ReportedRun) -> bool:
    """Whether the study published results of the run's experiment."""
    return run.experiment is not None and bool(run.experiment.published_accuracy)


def _published(run: ReportedRun) -> tuple[str | None, ...]:
    """The study's experiment, its validation accuracy (of each chunk) and its Kaggle score."""
    experiment = run.experiment
    if experiment is None or not _is_published(run):
        return (None, None, None)
    accuracy = ", ".join(f"{value:.4f}" for value in experiment.published_accuracy)
    if experiment.published_epoch:
        accuracy += f" ({experiment.published_epoch})"
    return (experiment.title.partition(":")[0], accuracy, share(experiment.kaggle_score))


def _validated(run: ReportedRun) -> tuple[str | None, ...]:
    """Accuracy by picture, accuracy by product, top-5 accuracy by picture."""
    if run.validation is None:
        return (None, None, None)
    return tuple(share(value) for value in dataclasses.astuple(run.validation))


def _rounded(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def specialists(runs: Sequence[ReportedRun], figures: Figures) -> Markup:
    """The accuracies of each two-stage run's specialists; empty if there are none."""
    return Markup("\n").join(_specialists(run, figures) for run in runs if run.specialists)


def _specialists(run: ReportedRun, figures: Figures) -> Markup:
    columns = [
        ("level-1 category", ""),
        ("categories", "number"),
        ("epochs", "number"),
        ("best epoch", "number"),
        ("accuracy by picture", "number"),
        ("accuracy by product", "number"),
    ]
    names = [part.level1_name for part in run.specialists]
    rows = [
        (
            with_note(name, part.shortfall),
            part.label_map.num_classes,
            len(part.history),
            None if part.best_epoch is None else part.best_epoch + 1,
            *_validated(part)[:2],
        )
        for name, part in zip(names, run.specialists)
    ]
    parts = [Markup("<h3>{}</h3>").format(run_key(run.name, run.style))]
    measured = [
        (name, part.validation.product_accuracy)
        for name, part in zip(names, run.specialists)
        if part.validation
    ]
    if measured:
        measured_names, accuracies = zip(*measured)
        png = specialists_chart(measured_names, accuracies, run.style.colour)
        caption = "Each specialist's accuracy on the validation products of its level-1 category."
        parts.append(figures.add(f"specialists {run.name}", png, "accuracies", caption))
    as_table = Markup("<details><summary>As a table</summary>{}</details>").format(
        table(columns, rows)
    )
    return Markup("\n").join([*parts, as_table])
