"""The evaluations of a report: those of its runs, and those of several runs together."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from trainer.reporting.reported_runs import ReportedRun, short_names
from trainer.reporting.run_key import run_key
from trainer.reporting.run_styles import Style, style_of
from trainer.runs.evaluation_file import EvaluationResult
from trainer.runs.prediction_method import MemberRun
from trainer.runs.run_weights import RunWeights

STALE = "out of date: the run has other weights now"
NOTHING = Markup("<p>No run has been evaluated yet.</p>")


class MixtureError(ValueError):
    """An evaluation of several runs that does not fit the report's runs."""


@dataclasses.dataclass(frozen=True, eq=False)
class Member:
    """A run of a mixture.

    Attributes:
      member: what the evaluation says of it.
      run: the report's run with this name, or with these weights; None if there is none.
      is_stale: whether that run has other weights now.
    """

    member: MemberRun
    run: ReportedRun | None
    is_stale: bool


@dataclasses.dataclass(frozen=True, eq=False)
class ReportedEvaluation:
    """An evaluation of a run, or of several together.

    Attributes:
      name, style: of the run; a mixture has its own.
      result: the contents of its files.
      run: the run; of a mixture the first of its runs in the report, whose classes and data set it
        shares.
      is_stale: whether it measured other weights than the run has now, or one of the runs.
      members: the runs of a mixture; empty otherwise.
    """

    name: str
    style: Style
    result: EvaluationResult
    run: ReportedRun
    is_stale: bool
    members: Sequence[Member] = ()

    @property
    def split(self) -> str:
        """The evaluated products, in TFDS's notation."""
        return self.result.method.split

    @property
    def key(self) -> Markup:
        """Marker and name."""
        return run_key(self.name, self.style)

    @property
    def heading(self) -> Markup:
        """A heading that names it and its products."""
        stale = Markup(' <span class="stale">({})</span>').format(STALE)
        return Markup("<h3>{} on {}{}</h3>").format(
            self.key, self.split, stale if self.is_stale else ""
        )


def evaluations(
    runs: Sequence[ReportedRun], mixtures: Iterable[pathlib.Path] = ()
) -> list[ReportedEvaluation]:
    """All evaluations: those of each run, then those of several runs.

    Args:
      runs: the runs of the report.
      mixtures: the files of the evaluations of several runs.

    Raises:
      EvaluationFileError: if a file is damaged, or a newer version wrote it.
      MixtureError: if none of a mixture's runs is in the report, or a file was given twice.
    """
    paths = [path.absolute() for path in mixtures]
    for path in paths:
        if paths.count(path) > 1:
            raise MixtureError(f"A report names each evaluation once. Received twice: {path}.")
    of_runs = [
        ReportedEvaluation(run.name, run.style, result, run, run.is_stale(result.method))
        for run in runs
        for result in run.evaluations
    ]
    return of_runs + [
        _mixture(name, style_of(len(runs) + place), path, runs)
        for place, (name, path) in enumerate(zip(short_names(paths), paths, strict=True))
    ]


def _mixture(
    name: str, style: Style, path: pathlib.Path, runs: Sequence[ReportedRun]
) -> ReportedEvaluation:
    result = EvaluationResult.read(path)
    mixture = result.method.mixture
    fitting = [run for run in runs if _fits(result, run)]
    members = [_member(one, fitting) for one in (mixture.runs if mixture else ())]
    known = [member for member in members if member.run is not None]
    run = next((member.run for member in known if not member.is_stale), None)
    run = run or next((member.run for member in known), None)
    if run is None:
        names = ", ".join(member.member.run for member in members)
        raise MixtureError(
            "The report takes the classes and pictures of a mixture from one of its runs. "
            f"{path} was evaluated with {names}. Name at least one of their folders as well."
        )
    stale = any(member.is_stale for member in members)
    return ReportedEvaluation(name, style, result, run, stale, members)


def _fits(result: EvaluationResult, run: ReportedRun) -> bool:
    """Whether an evaluation can be of a run's classes."""
    classes = run.label_map.num_classes
    names = run.label_map.categories.level1_names
    highest = max((row.category for row in result.counts.examples), default=-1)
    if result.guesses is not None and len(result.guesses):
        highest = max(highest, int(result.guesses.true.max()))
    return highest < classes and result.counts.level1_names == list(names) and not run.is_part


def _member(member: MemberRun, runs: Sequence[ReportedRun]) -> Member:
    """Finds the run by its weights, or else by its name."""
    for run in runs:
        if _weights(run, member.checkpoint) == member.sha256:
            return Member(member, run, is_stale=False)
    for run in runs:
        if run.folder.path.absolute().name == member.run:
            return Member(member, run, is_stale=_weights(run, member.checkpoint) is not None)
    return Member(member, None, is_stale=False)


def _weights(run: ReportedRun, checkpoint: str) -> str | None:
    """The SHA-256 of a run's weights; None if there are none yet."""
    if run.state is None and not run.folder.is_two_stage:
        return None
    weights = RunWeights.of(run.folder, checkpoint)
    return weights.sha256 if weights else None
