"""Writes what a run's network sees in products, their most similar ones, and near duplicates.

    python -m trainer.embed --run_dir=runs/a --split=train --output=train.parquet --neighbours=10
    python -m trainer.embed --run_dir=runs/a --split=train+test --output=all.npz --neighbours=10 \\
        --duplicates=0.98
    python -m trainer.embed --run_dir=runs/a --split=test --among=train --output=test.parquet \\
        --neighbours=10

The file has a row for each product with a readable picture: its id, its features and its
neighbours. With --duplicates, OUTPUT.duplicates.csv lists the pairs of neighbours that look nearly
the same, and OUTPUT.duplicates.html shows them.
"""

from __future__ import annotations

import dataclasses
import pathlib

from trainer.prediction.embedding_options import EmbeddingOptions
from trainer.terminal import command
from trainer.terminal.option import OptionError, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(EmbeddingOptions):
    """The flags of the command."""

    run_dir: str = option(
        None,
        "Folder of the run, plain or fused.",
        group="Run",
        is_path=True,
        any_storage=True,
        required=True,
    )
    output: str = option(
        None,
        "The file to write, .npz or .parquet.",
        group="Run",
        is_path=True,
        any_storage=True,
        required=True,
    )
    split: str = option("train", "The products.", group="Data")
    duplicates: float | None = option(
        None,
        "List the pairs of neighbours whose features have at least this cosine, such as 0.98.",
        group="Neighbours",
        above=0,
        at_most=1,
    )
    shown: int = option(
        60,
        "Pairs to show of different categories, and as many of the same one.",
        group="Neighbours",
        at_least=1,
    )


def main(options: Options) -> None:
    """Writes the features, and prints what the files hold."""
    # These import TensorFlow, which takes seconds; `--help` and flag errors should not wait for it.
    from trainer.cluster.environment import require_alone
    from trainer.prediction.made_embeddings import make_embeddings
    from trainer.reporting.duplicates_page import write_duplicates_page
    from trainer.runs.embedding_file import check_output
    from trainer.runs.near_duplicates import NearDuplicates

    require_alone("trainer.embed")
    if options.duplicates is not None and not options.neighbours:
        raise OptionError(
            "--duplicates are looked for among neighbours. Name their number as well, such as "
            "--neighbours=10."
        )
    path = check_output(options.output)
    made = make_embeddings(options.run_dir, options.split, options)
    made.write(path)
    number, size = made.embeddings.features.shape
    print(f"{path}: {number:,} products of {made.split.spec}, {size:,} features each.")
    if without := made.split.num_products - number:
        print(f"{without:,} products have no readable picture, and so no features.")
    if made.among is not None:
        others = len(made.among.embeddings.features)
        print(f"Neighbours are among {others:,} products of {made.among.split.spec}.")
    if options.duplicates is None:
        return
    among = None if made.among is None else made.among.embeddings
    pairs = NearDuplicates.of(made.embeddings, options.duplicates, among)
    listed, page = beside(path, ".csv"), beside(path, ".html")
    pairs.write(listed)
    splits = [made.split] if made.among is None else [made.split, made.among.split]
    write_duplicates_page(page, pairs, splits, made.categories, options.duplicates, options.shown)
    print(f"{len(pairs):,} pairs look nearly the same: {listed}, {page}")


def beside(path: pathlib.Path, kind: str) -> pathlib.Path:
    """A file of near duplicates beside the file of features."""
    return path.with_name(f"{path.name}.duplicates{kind}")


if __name__ == "__main__":
    command.run(main, Options)
