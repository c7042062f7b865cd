"""The report's sections on evaluations: accuracies, level-1 confusions, examples."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from cdisc_tfds.pages.page_figures import Figures
from cdisc_tfds.pages.table import share, table, with_note
from trainer.data.dataset import DatasetError
from trainer.data.label_map import LabelMapError
from trainer.reporting.confusion_chart import confusion_chart, largest_confusions
from trainer.reporting.pictures import DataSets
from trainer.reporting.product_card import product_card
from trainer.reporting.reported_runs import ReportedRun
from trainer.reporting.run_key import run_key
from trainer.runs.evaluation_file import EvaluationResult, Example
from trainer.runs.prediction_method import Method

_NAMED_CONFUSIONS = 5
_STALE = "out of date: the run has other weights now"
_NOTHING = Markup("<p>No run has been evaluated yet.</p>")


def evaluations(
    runs: Sequence[ReportedRun],
) -> Iterator[tuple[ReportedRun, EvaluationResult, Markup]]:
    """Each evaluation of each run, as (run, evaluation, heading)."""
    for run in runs:
        for result in run.evaluations:
            split = result.method.split
            stale = Markup(' <span class="stale">({})</span>').format(_STALE)
            heading = Markup("<h3>{} on {}{}</h3>").format(
                run_key(run.name, run.style), split, stale if run.is_stale(result.method) else ""
            )
            yield run, result, heading


def table_of_evaluations(runs: Sequence[ReportedRun]) -> Markup:
    """The results of `trainer.evaluate`, and the commands that evaluate the other runs."""
    columns = [
        ("run", ""),
        ("split", ""),
        ("products", "number"),
        ("pictures", "number"),
        ("accuracy by product", "number"),
        ("accuracy by picture", "number"),
        ("top 5 by product", "number"),
        ("top 5 by picture", "number"),
        ("level 1", "number"),
        ("level 2", "number"),
        ("not in training", "number"),
    ]
    rows = [
        (
            run_key(run.name, run.style),
            with_note(result.method.split, _remarks(run, result.method)),
            f"{result.counts.num_products:,}",
            f"{result.counts.num_pictures:,}",
            share(result.counts.product.accuracy),
            share(result.counts.picture.accuracy),
            share(result.counts.product.top5_accuracy),
            share(result.counts.picture.top5_accuracy),
            *(
                share(part.accuracy if part else None)
                for part in (
                    result.counts.level1,
                    result.counts.level2,
                    result.counts.deduplicated,
                )
            ),
        )
        for run, result, _ in evaluations(runs)
    ]
    if not rows:
        return _missing(runs)
    note = (
        "Level 1, level 2 and the last column are accuracies by product. The last column leaves "
        "out every product that shares a picture, byte for byte, with the run's training split."
    )
    return Markup("\n").join(
        [
            table(columns, rows),
            Markup('<p class="note">{}</p>').format(note),
            _known_pictures(runs),
            _missing(runs),
        ]
    )


def _known_pictures(runs: Sequence[ReportedRun]) -> Markup:
    """What `--known_pictures` would change, of the evaluations that looked."""
    return Markup("\n").join(
        Markup(
            "<p>{}: {} of {} products show a picture of a single training category, which is right "
            "for {}. With --known_pictures, {} change, and accuracy goes from {} to {}.</p>"
        ).format(
            f"{run.name} on {result.method.split}",
            f"{known.num_known:,}",
            f"{result.counts.num_products:,}",
            f"{known.num_known_right:,}",
            f"{known.num_changed:,}",
            share(known.accuracy_before),
            share(known.accuracy),
        )
        for run, result, _ in evaluations(runs)
        if (known := result.counts.known_pictures)
    )


def _remarks(run: ReportedRun, method: Method) -> Markup:
    """Says if an evaluation is out of date, and how it differs from the default method."""
    parts: list[str] = []
    if run.is_stale(method):
        parts.append(Markup('<span class="stale">{}; evaluate it again</span>').format(_STALE))
    elif method.weights_sha256 is None and not run.is_two_stage:
        parts.append("weights not recorded")
    if method.checkpoint != "best":
        parts.append(f"{method.checkpoint} checkpoint")
    if method.flip:
        parts.append("with mirror images")
    if method.scales != (1,):
        parts.append(f"at scales {', '.join(f'{scale:g}' for scale in method.scales)}")
    if method.mean != "arithmetic":
        parts.append(f"{method.mean} over pictures")
    if method.mean_choice is not None and method.mean_choice.gain:
        choice = method.mean_choice
        parts.append(
            f"chosen on {choice.split}: {choice.gain:+.4f} ± {choice.standard_error:.4f} against "
            f"{choice.default}"
        )
    return Markup(", ").join(parts)


def _missing(runs: Sequence[ReportedRun]) -> Markup:
    """The commands that evaluate the remaining runs, and the runs that are not ready for it."""
    missing = [run for run in runs if not run.evaluations and not run.is_part]
    ready = [run for run in missing if run.can_be_evaluated]
    waiting = ", ".join(run.name for run in missing if not run.can_be_evaluated)
    commands = "\n".join(
        f"python -m trainer.evaluate --run_dir={shlex.quote(str(run.folder.path))}" for run in ready
    )
    parts = []
    if ready:
        parts.append(Markup("<p>Not evaluated yet. Run:</p><pre>{}</pre>").format(commands))
    if waiting:
        parts.append(Markup("<p>Not trained far enough to be evaluated: {}.</p>").format(waiting))
    return Markup("\n").join(parts)


def confusions(runs: Sequence[ReportedRun], figures: Figures) -> Markup:
    """A heat map of each evaluation's largest level-1 confusions."""
    parts = [
        Markup("<div>{}{}</div>").format(heading, _confusion(run, result, figures))
        for run, result, heading in evaluations(runs)
    ]
    if not parts:
        return _NOTHING
    note = (
        "Each row shows which categories a true category's products were predicted as; the grey "
        "diagonal holds the right predictions. Only the categories with the largest confusions "
        "are shown."
    )
    return Markup('<p class="note">{}</p><div class="beside">{}</div>').format(
        note, Markup("\n").join(parts)
    )


def _confusion(run: ReportedRun, result: EvaluationResult, figures: Figures) -> Markup:
    if result.counts.level1 is None:
        return Markup("<p>This run's classes do not determine the level-1 category.</p>")
    matrix, names = result.counts.level1_confusion, result.counts.level1_names
    pairs = largest_confusions(matrix)
    if not pairs:
        return Markup("<p>Every product was predicted in its true level-1 category.</p>")
    named = Markup("\n").join(
        Markup("<li>{} of {} predicted as {} (products: {})</li>").format(
            f"{pair.share:.1%}",
            names[pair.true],
            names[pair.predicted],
            f"{pair.count:,}",
        )
        for pair in pairs[:_NAMED_CONFUSIONS]
    )
    png = confusion_chart(matrix, names)
    name = f"confusions {run.name} {result.method.split}"
    return Markup("{}<ol>{}</ol>").format(figures.add(name, png, "level-1 confusions"), named)


def examples(runs: Sequence[ReportedRun], data: DataSets, number: int) -> Markup:
    """Each evaluation's wrong predictions of the highest probability, then some right ones."""
    parts = [
        Markup("\n").join([heading, _examples(run, result, data, number)])
        for run, result, heading in evaluations(runs)
    ]
    if not parts:
        return _NOTHING
    note = "Wrong predictions, most confident first, then some right ones (green)."
    return Markup("\n").join([Markup('<p class="note">{}</p>').format(note), *parts])


def _examples(run: ReportedRun, result: EvaluationResult, data: DataSets, number: int) -> Markup:
    split = result.method.split
    chosen = chosen_examples(result.counts.examples, number)
    try:
        pictures = data.pictures(run, split, [row.product_id for row in chosen])
    except (DatasetError, LabelMapError) as error:
        return Markup("<p>Pictures unavailable: {}</p>").format(error)
    names = run.label_map.full_names
    cards = Markup("\n").join(
        product_card(
            row.product_id,
            pictures.get(row.product_id, []),
            names[row.category],
            names[row.predicted],
            row.probability,
        )
        for row in chosen
    )
    return Markup('<div class="cards">{}</div>').format(cards)


def chosen_examples(rows: Sequence[Example], number: int) -> list[Example]:
    """The `number` most confident wrong predictions, then up to a third as many right ones."""
    distinct = {row.product_id: row for row in rows}.values()
    by_confidence = sorted(distinct, key=lambda row: -row.probability)
    wrong = [row for row in by_confidence if not row.correct]
    right = [row for row in by_confidence if row.correct]
    return wrong[:number] + right[: number // 3]
