"""The report's section on several runs together: mixtures, and fused runs."""

from __future__ import annotations

import os
from collections.abc import Sequence

from markupsafe import Markup

from cdisc_tfds.pages.table import table
from cdisc_tfds.storage import joined, real_path
from trainer.reporting.accuracy_cells import with_error
from trainer.reporting.reported_evaluations import Member, ReportedEvaluation
from trainer.reporting.reported_runs import ReportedRun
from trainer.reporting.run_key import run_key
from trainer.runs.prediction_method import Mixture
from trainer.runs.run_weights import RunWeights
from trainer.settings.fusion import FusedMember, Fusion

_MISSING = "not in this report"
_STALE = Markup('<span class="stale">has other weights now</span>')


def together(evaluations: Sequence[ReportedEvaluation], runs: Sequence[ReportedRun]) -> Markup:
    """What mixtures and fused runs are made of; empty if there are none."""
    parts = [
        _mixture(one, mixture, evaluations)
        for one in evaluations
        if (mixture := one.result.method.mixture) is not None
    ]
    parts += [
        _fused(run, fusion, runs) for run in runs if (fusion := run.config.fusion) is not None
    ]
    return Markup("\n").join(parts)


def _mixture(
    one: ReportedEvaluation, mixture: Mixture, evaluations: Sequence[ReportedEvaluation]
) -> Markup:
    columns = [
        ("run", ""),
        ("share", "number"),
        ("over pictures", ""),
        ("epoch", "number"),
        (f"accuracy alone on {one.split}", "number"),
        ("", ""),
    ]
    rows = [_member_row(member, one, evaluations) for member in one.members]
    sentence = f"The {mixture.mean} mean of {len(mixture.runs)} runs, by product."
    if fit := mixture.fit:
        sentence += (
            f" Weights fitted on {fit.num_products:,} products of {fit.split}: loss "
            f"{fit.loss:.4f}, with equal weights {fit.loss_of_equal_weights:.4f}."
        )
    counts = one.result.counts
    return Markup("{}<p>{} Together, accuracy {}.</p>\n{}").format(
        one.heading, sentence, f"{counts.product.accuracy:.4f}", table(columns, rows)
    )


def _member_row(
    member: Member, one: ReportedEvaluation, evaluations: Sequence[ReportedEvaluation]
) -> Sequence[object]:
    described, run = member.member, member.run
    alone = next(
        (
            other.result.counts
            for other in evaluations
            if run is not None
            and other.run is run
            and not other.members
            and other.split == one.split
            and other.result.method.weights_sha256 == described.sha256
            and other.result.method.data_digest == one.result.method.data_digest
        ),
        None,
    )
    return (
        run_key(run.name, run.style) if run is not None else described.run,
        f"{described.weight:.4f}",
        described.mean,
        None if described.epoch is None else described.epoch + 1,
        None if alone is None else with_error(alone.product.accuracy, alone.num_products),
        _MISSING if run is None else _STALE if member.is_stale else "",
    )


def _fused(run: ReportedRun, fusion: Fusion, runs: Sequence[ReportedRun]) -> Markup:
    columns = [
        ("run", ""),
        ("network", ""),
        ("features of a picture", "number"),
        ("epoch", "number"),
        ("trained on", ""),
        ("", ""),
    ]
    rows = [_fused_row(member, run, runs) for member in fusion.members]
    sentence = (
        f"A fused run: a network of {fusion.units:,} units over all pictures of a product "
        f"(--join={fusion.join}), on the features that these runs give each picture"
        + (" and its mirror image." if fusion.flip else ".")
    )
    return Markup("<h3>{}</h3><p>{}</p>\n{}").format(
        run_key(run.name, run.style), sentence, table(columns, rows)
    )


def _fused_row(
    member: FusedMember, fused: ReportedRun, runs: Sequence[ReportedRun]
) -> Sequence[object]:
    path = real_path(joined(fused.folder.path, member.path))
    run = next((one for one in runs if real_path(one.folder.path) == path), None)
    weights = RunWeights.of(run.folder, "best") if run is not None and run.state else None
    stale = weights is not None and weights.sha256 != member.sha256
    return (
        run_key(run.name, run.style) if run is not None else os.path.basename(path),
        member.model,
        f"{member.features:,}",
        member.epoch + 1,
        member.train_split,
        _MISSING if run is None else _STALE if stale else "",
    )
