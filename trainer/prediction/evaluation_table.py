"""An evaluation as text for the terminal."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from trainer.prediction.mean_choice import DEFAULT, choice_text
from trainer.runs.calibration_file import Calibration
from trainer.runs.evaluation_file import Counts, EvaluationResult, LevelAccuracies
from trainer.runs.evaluation_parts import FrequencyGroup, KnownPictures, Reliability
from trainer.runs.prediction_method import Method


def _chosen(method: Method) -> list[str]:
    """What was chosen or fitted before the evaluation, in sentences."""
    if method.mixture is None:
        return [choice_text(method.mean_choice)] if method.mean_choice else []
    mixture = method.mixture
    lines = [f"{mixture.mean} mean of {len(mixture.runs)} runs:"]
    for run in mixture.runs:
        lines.append(f"  {run.weight:.4f}  {run.run}")
        if run.mean_choice:
            lines.append(f"          {choice_text(run.mean_choice)}")
    if fit := mixture.fit:
        lines.append(
            f"weights fitted on {fit.split} ({fit.num_products:,} products): loss {fit.loss:.4f}, "
            f"with equal weights {fit.loss_of_equal_weights:.4f}"
        )
    return lines


def table(result: EvaluationResult) -> str:
    """A result as text for the terminal."""
    method, counts = result.method, result.counts
    lines = [
        f"{counts.num_products:,} products, {counts.num_pictures:,} pictures of {method.split}, "
        f"{method.checkpoint} checkpoint{_differences(method)}",
        *_chosen(method),
        "",
        *_accuracies(counts),
        *_left_out(counts),
    ]
    if counts.reliability is not None:
        lines += ["", *_reliability(counts.reliability, method.calibration)]
    if counts.groups is not None:
        lines += ["", *_groups(counts.groups)]
    if counts.known_pictures is not None:
        lines += ["", _known(counts.known_pictures)]
    return "\n".join(lines)


def _differences(method: Method) -> str:
    """How the method differs from the default."""
    scales = ", ".join(f"{scale:g}" for scale in method.scales)
    return (
        (", with mirror images" if method.flip else "")
        + (f", at scales {scales}" if method.scales != (1,) else "")
        + (f", {method.mean} over pictures" if method.mean != DEFAULT else "")
        + (", decoded by DALI" if method.decoder == "dali" else "")
    )


def _accuracies(counts: Counts) -> list[str]:
    product, picture = counts.product, counts.picture
    classes = LevelAccuracies(
        product.accuracy, product.top5_accuracy, picture.accuracy, picture.top5_accuracy
    )
    lines = [
        f"{'':<14}{'by product':^20}{'by picture':^20}",
        f"{'':<14}" + f"{'accuracy':>10}{'top 5':>10}" * 2,
    ]
    for name, row in (("classes", classes), ("level 2", counts.level2), ("level 1", counts.level1)):
        if row is not None:
            values = dataclasses.astuple(row)
            lines.append(f"{name:<14}" + "".join(f"{value:>10.4f}" for value in values))
    if unique := counts.deduplicated:
        lines += [
            f"{'not in train':<14}{unique.accuracy:>10.4f}{unique.top5_accuracy:>10.4f}",
            "",
            f"not in train: the {unique.num_products:,} products none of whose pictures is in the "
            "training split",
        ]
    return lines


def _left_out(counts: Counts) -> list[str]:
    return [
        f"left out: {count:,} products {reason}"
        for count, reason in (
            (counts.num_unlabelled, "without a label"),
            (counts.num_foreign, "of categories that this run does not know"),
        )
        if count
    ]


def _reliability(found: Reliability, calibration: Calibration | None) -> list[str]:
    if calibration is None:
        lines = [
            f"calibration error {found.ece:.4f}, without temperature (--calibrate fits one)",
        ]
    else:
        lines = [
            f"calibration error {found.ece:.4f} with temperature {calibration.product:.3f} (fitted "
            f"on {calibration.split}), {found.ece_before:.4f} without"
        ]
    lines.append(f"{'wanted':>10}{'threshold':>12}{'accepted':>10}{'right':>8}")
    for row in found.acceptance:
        if row.threshold is None:
            lines.append(f"{row.wanted:>10.0%}  no threshold reaches it")
        else:
            lines.append(
                f"{row.wanted:>10.0%}{row.threshold:>12.4f}{row.share:>10.1%}{row.accuracy:>8.1%}"
            )
    return lines


def _groups(groups: Sequence[FrequencyGroup]) -> list[str]:
    columns = {"accuracy": "accuracy", "level 2": "level2", "level 1": "level1"}
    columns["mean recall"] = "mean_recall"
    shown = {
        title: name
        for title, name in columns.items()
        if any(getattr(group, name) is not None for group in groups)
    }
    titles = ("classes", "products", *shown)
    lines = [f"{'':<8}" + "".join(f"{title:>12}" for title in titles)]
    for group in groups:
        shares = (getattr(group, name) for name in shown.values())
        lines.append(
            f"{group.name:<8}{group.num_classes:>12,}{group.num_products:>12,}"
            + "".join(f"{'–' if share is None else f'{share:.4f}':>12}" for share in shares)
        )
    return [*lines, "head, middle, tail: the classes with a third of the training products each"]


def _known(found: KnownPictures) -> str:
    return (
        f"--known_pictures: {found.num_known:,} products show a picture of a single training "
        f"category, which is right for {found.num_known_right:,}; {found.num_changed:,} change, "
        f"accuracy {found.accuracy_before:.4f} -> {found.accuracy:.4f}"
    )
