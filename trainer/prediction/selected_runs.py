"""The runs that a command names, as one Source."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from trainer.cluster.workers import ALONE, Workers
from trainer.data.dataset import CdiscountData
from trainer.data.labelled_split import LabelledSplit
from trainer.prediction.fused_source import open_source
from trainer.prediction.mean_choice import DEFAULT
from trainer.prediction.mixture import MixedSource
from trainer.prediction.mixture_rules import (
    MixtureError,
    common_validation_split,
    require_mixable,
    require_unseen,
)
from trainer.prediction.options import SourceOptions
from trainer.prediction.predictor import PredictionError
from trainer.prediction.run_selection import RunSelection
from trainer.prediction.sources import FolderSource, Source
from trainer.prediction.weight_fit import fit_weights
from trainer.runs.folder import RunFolder
from trainer.runs.prediction_method import MeanChoice, MemberRun, Mixture
from trainer.runs.run_weights import RunWeights


@dataclasses.dataclass(frozen=True)
class SelectedRuns:
    """One run, or several together, ready to predict.

    Attributes:
      source: what predicts.
      members: the runs, in the order of the flags.
      choices: of each run, why `--mean=auto` chose its rule; None if the user named one.
      mixture: how several runs are averaged; None for one run.
    """

    source: Source
    members: tuple[FolderSource, ...]
    choices: tuple[MeanChoice | None, ...]
    mixture: Mixture | None

    @property
    def facts(self) -> dict[str, Any]:
        """The fields of `Method` that say what predicted."""
        first = self.members[0]
        if self.mixture is not None:
            rules = dict.fromkeys(member.mean for member in self.members)
            return {"mean": ", ".join(rules), "mixture": self.mixture}
        return {
            "mean": first.mean,
            "mean_choice": self.choices[0],
            "epoch": first.weights.epoch,
            "weights_sha256": first.weights.sha256,
        }

    @property
    def made_from(self) -> dict[str, Any]:
        """What predicted, for the file beside a submission."""
        if self.mixture is not None:
            return dataclasses.asdict(self.mixture)
        (member,), (choice,) = self.members, self.choices
        fusion = member.run.config.fusion
        made_from = dataclasses.asdict(member.weights) | {
            "mean": member.mean,
            "mean_choice": dataclasses.asdict(choice) if choice else None,
        }
        return made_from | ({"fused_runs": dataclasses.asdict(fusion)["members"]} if fusion else {})


def selected_folders(selection: RunSelection) -> tuple[RunFolder, ...]:
    """The folders of the runs, checked as far as that costs nothing.

    Raises:
      OptionError: if the flags contradict each other.
      RunFolderError: if a folder holds no run.
      MixtureError: if several runs cannot predict together.
    """
    runs = tuple(RunFolder(folder).require() for folder in selection.folders)
    _ = selection.weights  # raises OptionError
    if len(runs) > 1:
        require_mixable(runs)
    return runs


def select_runs(
    selection: RunSelection,
    runs: Sequence[RunFolder],
    data: CdiscountData | None,
    options: SourceOptions,
    decoder: str,
    workers: Workers = ALONE,
) -> SelectedRuns:
    """Prepares the runs; chooses rules and fits weights if the flags say so.

    Args:
      selection: the flags that choose the runs.
      runs: their folders, from `selected_folders`.
      data: the data set, which must have the runs' categories; None as in RunSource.
      options: how to predict.
      decoder: the decoder, as `resolve_decoder` returns it.
      workers: those that predict together; all prepare the same runs.

    Raises:
      MixtureError: if several runs hold the same weights, or weights cannot be fitted, as without
        a data set.
      PredictionError: if a rule is given for a fused run, which needs none.
      Also the errors of `RunSource` and `choose_mean`.
    """
    weights, fit, fitting = selection.weights, None, None
    if weights is None:  # check everything before the long work
        if data is None:
            raise MixtureError(
                "--run_weights=fit fits on the runs' validation split, and needs the data set. "
                "Give the weights as numbers."
            )
        fitting = data.split(common_validation_split(runs))
        require_unseen(fitting, runs, data)
    if len(runs) == 1:
        require_no_rule(runs[0], options.mean)
    members = tuple(open_source(run, data, options, decoder, workers) for run in runs)
    require_different([(member.run, member.weights) for member in members])
    choices = tuple(member.settle_mean() for member in members)
    if len(members) == 1:
        return SelectedRuns(members[0], members, choices, None)
    if fitting is not None:
        labelled = LabelledSplit(fitting, members[0].label_map)
        weights, fit = fit_weights(members, labelled, selection.run_mean)
    for member in members:
        member.hold_weights()  # the rows name them
    rows = tuple(
        MemberRun(
            **vars(member.weights),
            weight=weight,
            mean=member.mean,
            mean_choice=choice,
        )
        for member, weight, choice in zip(members, weights or (), choices, strict=True)
    )
    source = MixedSource(members, [row.weight for row in rows], selection.run_mean)
    return SelectedRuns(source, members, choices, Mixture(selection.run_mean, rows, fit))


def require_no_rule(run: RunFolder, mean: str) -> None:
    """Raises PredictionError if a rule is given for a fused run."""
    if run.config.fusion is not None and mean != DEFAULT:
        raise PredictionError(
            "--mean joins the predictions of a product's pictures. "
            f"{run.path} is a fused run, whose network takes all pictures at once. Received: "
            f"--mean={mean}. Leave it out."
        )


def require_different(members: Sequence[tuple[RunFolder, RunWeights]]) -> None:
    """Raises MixtureError if two runs have the same weights."""
    seen: dict[str, RunFolder] = {}
    for run, weights in members:
        other = seen.setdefault(weights.sha256, run)
        if other is not run:
            raise MixtureError(
                "Runs in --run_dirs must have different weights. Received the same ones in "
                f"{other.path} and {run.path}. Leave one of them out."
            )
