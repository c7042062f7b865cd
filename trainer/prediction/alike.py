"""What must be the same on all workers for them to predict together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer.cluster.installation import facts_of_installation
from trainer.cluster.workers import Workers
from trainer.data.dataset import Split
from trainer.prediction.options import PredictionOptions
from trainer.prediction.predictor import PredictionError
from trainer.prediction.run_selection import RunSelection
from trainer.runs.folder import RunFolder
from trainer.runs.run_weights import RunWeights
from trainer.terminal.option import options

# Where a worker finds the data.
_OF_A_MACHINE = ("data_dir",)


def require_alike(
    workers: Workers,
    selection: RunSelection,
    how: PredictionOptions,
    runs: Sequence[RunFolder],
    split: Split,
    **others: Any,
) -> None:
    """Raises WorkersError on all workers, naming what differs, if they would predict differently.

    Args:
      workers: the workers; one alone needs nothing.
      selection, how: the flags.
      runs: the runs' folders.
      split: the products.
      **others: other flags of the command.

    Raises:
      PredictionError: if the predictions are not to be kept, through which workers share them.
    """
    if not workers.several:
        return
    if not how.keep_predictions:
        raise PredictionError(
            "Several machines share predictions through the runs' folders, where they are kept. "
            "Received: --nokeep_predictions. Leave it out, or predict on one machine."
        )
    flags = {name: getattr(selection, name) for name in options(RunSelection)}
    flags |= {name: getattr(how, name) for name in options(PredictionOptions)} | others
    facts = {
        f"--{name}": str(value) for name, value in flags.items() if name not in _OF_A_MACHINE
    } | {f"the products of {split.spec}": split.index.digest[:12]}
    for run in runs:
        weights = RunWeights.of(run, how.checkpoint)
        name = f"the weights of {run.path}"
        facts[name] = "none" if weights is None else weights.sha256[:12]
    workers.require_alike(facts | facts_of_installation())
