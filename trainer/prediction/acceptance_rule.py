"""From which probability on a first guess is accepted without a person's check."""

from __future__ import annotations

import dataclasses
import math
import pathlib

from cdisc_tfds.storage import path_of
from trainer.prediction.acceptance_options import AcceptanceOptions
from trainer.prediction.evaluation import output_path
from trainer.prediction.mixture_rules import common_validation_split
from trainer.prediction.options import SourceOptions
from trainer.prediction.selected_runs import SelectedRuns
from trainer.runs.calibration_file import CalibratedMethod, Calibration, read_calibrations
from trainer.runs.evaluation_file import EvaluationResult
from trainer.runs.evaluation_parts import Acceptance
from trainer.runs.prediction_method import Method, Mixture
from trainer.terminal.command import quoted


class AcceptanceError(ValueError):
    """There is no threshold for the wanted precision."""


@dataclasses.dataclass(frozen=True)
class AcceptanceRule:
    """Which first guesses to accept, and what probabilities are.

    Attributes:
      applies: whether guesses are accepted or not at all.
      threshold: the least probability; None: no guess is accepted.
      expected: what the evaluation found for the threshold; None if the user named it.
      calibration: the temperatures of the probabilities; None: none.
    """

    applies: bool
    threshold: float | None
    expected: Acceptance | None
    calibration: Calibration | None


def settled_rule(
    options: AcceptanceOptions, selected: SelectedRuns, how: SourceOptions
) -> AcceptanceRule:
    """The rule that the flags ask for.

    The temperatures are those kept in the run's folder; those of several runs together stand in
    their evaluation.

    Args:
      options: the flags.
      selected: the runs.
      how: how they predict.

    Raises:
      AcceptanceError: if there is no evaluation, it is of other predictions, or does not have the
        wanted precision.
      EvaluationFileError, CalibrationFileError: if a file cannot be read.
    """
    calibration = _kept_calibration(selected, how)
    if options.precision is None and options.evaluation is None:
        applies = options.threshold is not None
        return AcceptanceRule(applies, options.threshold, None, calibration)
    path = _evaluation_path(options, selected)
    again = _command(selected, how, calibration)
    if not path.exists():
        raise AcceptanceError(
            "--precision needs the evaluation that measured how often the run is right from which "
            f"probability on. {path} does not exist. Make it with:\n  {again}"
        )
    result = EvaluationResult.read(path)
    if selected.mixture is not None:
        calibration = result.method.calibration
    if fault := _fault(result.method, selected, how, calibration):
        raise AcceptanceError(
            f"A threshold holds for the predictions that it was measured on. {path} is of others: "
            f"{fault}. Evaluate again with:\n  {again}"
        )
    if options.precision is None:
        return AcceptanceRule(options.threshold is not None, options.threshold, None, calibration)
    expected = _acceptance(result, options.precision, path, again)
    return AcceptanceRule(True, expected.threshold, expected, calibration)


def _acceptance(
    result: EvaluationResult, precision: float, path: pathlib.Path, again: str
) -> Acceptance:
    reliability = result.counts.reliability
    if reliability is None:
        raise AcceptanceError(
            f"--precision needs thresholds. {path} has none: an earlier version of the project "
            f"wrote it. Evaluate again with:\n  {again}"
        )
    found = [row for row in reliability.acceptance if math.isclose(row.wanted, precision)]
    if not found:
        known = ", ".join(f"{row.wanted:g}" for row in reliability.acceptance)
        raise AcceptanceError(
            f"--precision must be one of those that {path} has a threshold for: {known}. "
            f"Received: {precision:g}. Or name a probability with --threshold."
        )
    return found[0]


def _kept_calibration(selected: SelectedRuns, how: SourceOptions) -> Calibration | None:
    """The temperatures in a single run's folder for this very method."""
    if selected.mixture is not None:
        return None
    (member,), views = selected.members, how.views
    kept = read_calibrations(member.run)
    if not kept:
        return None
    member.hold_weights()  # the temperatures are theirs
    method = CalibratedMethod(member.weights.sha256, views.flip, views.scales, member.mean)
    return kept.get(method)


def _evaluation_path(options: AcceptanceOptions, selected: SelectedRuns) -> pathlib.Path:
    if options.evaluation is not None:
        return path_of(options.evaluation)
    if selected.mixture is not None:
        raise AcceptanceError(
            "--precision of several runs needs the file that `python -m trainer.evaluate "
            "--run_dirs=... --output=FILE.json` wrote. Name it with --evaluation=FILE.json."
        )
    run = selected.members[0].run
    return output_path(run, common_validation_split([run]))


def _fault(
    method: Method,
    selected: SelectedRuns,
    how: SourceOptions,
    calibration: Calibration | None,
) -> str | None:
    """How an evaluation's method differs from the predictions to come; None: not at all."""
    for member in selected.members:
        member.hold_weights()
    views, facts = how.views, selected.facts
    mixture = selected.mixture
    if (method.mixture is None) != (mixture is None):
        return "of one run" if method.mixture is None else "of several runs"
    if mixture is not None and method.mixture is not None:
        if fault := _mixture_fault(method.mixture, mixture):
            return fault
    elif method.weights_sha256 != facts["weights_sha256"]:
        return "other weights"
    if (method.flip, method.scales) != (views.flip, views.scales):
        return f"flip={method.flip}, scales={','.join(f'{one:g}' for one in method.scales)}"
    if method.mean != facts["mean"]:
        return f"mean={method.mean}"
    if method.calibration != calibration:
        return "another temperature, or none"
    return None


def _mixture_fault(theirs: Mixture, ours: Mixture) -> str | None:
    if theirs.mean != ours.mean:
        return f"run_mean={theirs.mean}"
    weights = [{row.sha256: row.weight for row in mixture.runs} for mixture in (theirs, ours)]
    if weights[0].keys() != weights[1].keys():
        return "other runs, or other weights of a run"
    if not all(math.isclose(weights[0][one], weights[1][one], abs_tol=1e-6) for one in weights[0]):
        return f"run_weights={','.join(f'{row.weight:g}' for row in theirs.runs)}"
    return None


def _command(selected: SelectedRuns, how: SourceOptions, calibration: Calibration | None) -> str:
    """The command line that makes the evaluation."""
    words = ["python", "-m", "trainer.evaluate"]
    folders = [str(member.run.path) for member in selected.members]
    if selected.mixture is None:
        words.append(f"--run_dir={folders[0]}")
    else:
        weights = ",".join(f"{row.weight:g}" for row in selected.mixture.runs)
        words += [f"--run_dirs={','.join(folders)}", f"--run_weights={weights}"]
        words += [f"--run_mean={selected.mixture.mean}", "--calibrate", "--output=FILE.json"]
    if selected.mixture is None and calibration is None:
        words.append("--calibrate")
    if how.checkpoint != "best":
        words.append(f"--checkpoint={how.checkpoint}")
    if how.flip:
        words.append("--flip")
    if how.scales != "1":
        words.append(f"--scales={how.scales}")
    if how.mean != "arithmetic":
        words.append(f"--mean={how.mean}")
    return quoted(*words)
