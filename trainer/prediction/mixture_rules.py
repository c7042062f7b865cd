"""Which runs may predict together, and on which products their weights may be fitted."""

from __future__ import annotations

from collections.abc import Sequence

from trainer.data.dataset import CdiscountData, Split, products_in_common
from trainer.prediction.loading import require_both_stages
from trainer.prediction.priors import training_splits
from trainer.runs.folder import RunFolder


class MixtureError(ValueError):
    """Runs that cannot predict together."""


def require_mixable(runs: Sequence[RunFolder]) -> None:
    """Checks that several runs can predict together.

    A two-stage run and a plain one may be mixed: both tell all categories apart.

    Raises:
      MixtureError: if a run is not finished, or they do not tell the same classes apart.
      RunFolderError: if a run has no checkpoint yet, or is of two stages and not finished.
    """
    first = runs[0]
    for run in runs:
        require_both_stages(run)
        if not run.is_two_stage and not run.state.finished:
            raise MixtureError(
                f"Runs in --run_dirs must be finished. The training of {run.path} is not. Start "
                "`python -m trainer.main` again with its flags and its --run_dir, or leave it out."
            )
        if run.label_map.digest != first.label_map.digest:
            raise MixtureError(
                "Runs in --run_dirs must tell the same classes apart. Received: "
                f"{_classes(first)} and {_classes(run)}. Leave one of them out."
            )


def _classes(run: RunFolder) -> str:
    config, label_map = run.config, run.label_map
    within = config.within_level1
    return (
        f"{run.path} with {label_map.num_classes} classes of --target={config.target}"
        + ("" if within is None else f" within level-1 category {within}")
        + f" (digest {label_map.digest[:12]})"
    )


def common_validation_split(runs: Sequence[RunFolder]) -> str:
    """The validation split of all runs; raises MixtureError if they differ."""
    specs = {str(run.path): run.config.validation_split for run in runs}
    if len(set(specs.values())) > 1:
        raise MixtureError(
            "Runs in --run_dirs need the same validation split, unless you name the products with "
            "--split and choose neither --run_weights=fit nor --calibrate. Received: "
            f"{', '.join(f'{path}: {spec}' for path, spec in specs.items())}."
        )
    return next(iter(specs.values()))


def require_unseen(split: Split, runs: Sequence[RunFolder], data: CdiscountData) -> None:
    """Raises MixtureError if a run was trained on products of `split`."""
    for run in runs:
        for training in training_splits(data, run.config) or ():
            if len(products_in_common(split, training)):
                raise MixtureError(
                    "Weights and temperatures are fitted on products that no run was trained on. "
                    f"{run.path} was trained on {training.spec}, which shares products with "
                    f"{split.spec}. Leave the run out, or fit nothing: give the weights as numbers."
                )
