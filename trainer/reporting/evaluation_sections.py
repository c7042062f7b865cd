"""The report's section on evaluations: accuracies, and what is not evaluated yet."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from markupsafe import Markup

from cdisc_tfds.pages.table import share, table, with_note
from trainer.reporting.accuracy_cells import STANDARD_ERROR, with_error
from trainer.reporting.reported_evaluations import STALE, ReportedEvaluation
from trainer.reporting.reported_runs import ReportedRun
from trainer.runs.evaluation_file import Counts


def table_of_evaluations(
    evaluations: Sequence[ReportedEvaluation], runs: Sequence[ReportedRun]
) -> Markup:
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
        (one.key, with_note(one.split, _remarks(one)), *_figures(one.result.counts))
        for one in evaluations
    ]
    if not rows:
        return _missing(runs)
    note = (
        "Level 1, level 2 and the last column are accuracies by product. The last column leaves "
        "out every product that shares a picture, byte for byte, with the run's training split. "
        f"± is {STANDARD_ERROR}."
    )
    return Markup("\n").join(
        [
            table(columns, rows),
            Markup('<p class="note">{}</p>').format(note),
            _known_pictures(evaluations),
            _missing(runs),
        ]
    )


def _figures(counts: Counts) -> Sequence[object]:
    """The numbers of a row."""
    products, product, picture = counts.num_products, counts.product, counts.picture
    unique = counts.deduplicated
    return (
        f"{products:,}",
        f"{counts.num_pictures:,}",
        with_error(product.accuracy, products),
        share(picture.accuracy),
        with_error(product.top5_accuracy, products),
        share(picture.top5_accuracy),
        *(
            with_error(level.accuracy, products) if level else None
            for level in (counts.level1, counts.level2)
        ),
        with_error(unique.accuracy, unique.num_products) if unique else None,
    )


def _known_pictures(evaluations: Sequence[ReportedEvaluation]) -> Markup:
    """What `--known_pictures` would change, of the evaluations that looked."""
    return Markup("\n").join(
        Markup(
            "<p>{}: {} of {} products show a picture of a single training category, which is right "
            "for {}. With --known_pictures, {} change, and accuracy goes from {} to {}.</p>"
        ).format(
            f"{one.name} on {one.split}",
            f"{known.num_known:,}",
            f"{one.result.counts.num_products:,}",
            f"{known.num_known_right:,}",
            f"{known.num_changed:,}",
            share(known.accuracy_before),
            share(known.accuracy),
        )
        for one in evaluations
        if (known := one.result.counts.known_pictures)
    )


def _remarks(one: ReportedEvaluation) -> Markup:
    """Says if an evaluation is out of date, and how it differs from the default method."""
    method = one.result.method
    parts: list[str] = []
    if one.is_stale:
        parts.append(Markup('<span class="stale">{}; evaluate it again</span>').format(STALE))
    elif method.weights_sha256 is None and not one.run.is_two_stage and not one.members:
        parts.append("weights not recorded")
    if one.members:
        parts.append(f"{len(one.members)} runs together")
    if method.checkpoint != "best":
        parts.append(f"{method.checkpoint} checkpoint")
    if method.flip:
        parts.append("with mirror images")
    if method.scales != (1,):
        parts.append(f"at scales {', '.join(f'{scale:g}' for scale in method.scales)}")
    joins = not one.members and one.run.config.fusion is None  # by a rule
    if method.mean != "arithmetic" and joins:
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
