"""Trains a network over all pictures of a product, on the features of finished runs.

    python -m trainer.fuse --run_dirs=runs/a,runs/b --run_dir=runs/fused

The features of each picture are computed once and kept, so training takes minutes. The run is
evaluated, submitted and reported like any other, as long as the runs that it is made of stay where
they are. Repeat the command to resume an interrupted run.
"""

from __future__ import annotations

import dataclasses

from trainer.settings.fusion_options import FusionOptions
from trainer.terminal import command
from trainer.terminal.option import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of the command that are not settings of the network."""

    run_dirs: str = option(
        None,
        "Folders of the finished runs, with commas between: --run_dirs=runs/a,runs/b. One is "
        "enough. They must tell the same classes apart.",
        group="Run",
        required=True,
    )
    run_dir: str = option(
        None, "Folder of the fused run.", group="Run", is_path=True, any_storage=True, required=True
    )


def main(options: Options, settings: FusionOptions) -> None:
    """Trains the run and prints the next commands."""
    # These import TensorFlow, which takes seconds; `--help` and flag errors should not wait for it.
    from trainer.cluster.environment import cluster_of
    from trainer.cluster.workers import join
    from trainer.data.dataset import open_dataset
    from trainer.prediction.run_selection import parsed_folders
    from trainer.runs.folder import RunFolder
    from trainer.training.fuse import fusion_config
    from trainer.training.train import train

    workers = join(cluster_of(), settings.peer_timeout)
    folders = parsed_folders(options.run_dirs)
    first = RunFolder(folders[0]).require()
    data = open_dataset(settings.data_dir or first.config.data_dir)
    config = fusion_config(settings, folders, options.run_dir, data, workers.this.count)
    run = train(config, options.run_dir, data, workers=workers)
    if not workers.is_chief:
        return
    if best := run.state.best:
        row = run.history[best.epoch]
        print(
            f"Best epoch {best.epoch + 1}: validation accuracy {row.val_product_accuracy:.4f} by "
            f"product, {row.val_accuracy:.4f} by a picture alone."
        )
    command.print_next(run.path, submits=config.target == "category")


if __name__ == "__main__":
    command.run(main, Options, FusionOptions)
