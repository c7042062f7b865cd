"""Lists labels that a run and the most similar products contradict, the most doubtful first.

    python -m trainer.doubtful --run_dir=runs/a --split=train --output=doubtful.csv
    python -m trainer.doubtful --run_dirs=runs/a,runs/b --features=train.npz --output=doubtful.csv

Writes the list, and a page with the pictures of the first ones beside it (OUTPUT.html).
"""

from __future__ import annotations

import dataclasses

from trainer.prediction.embedding_options import SEARCHES
from trainer.prediction.options import SourceOptions
from trainer.prediction.run_selection import RunSelection
from trainer.terminal import command
from trainer.terminal.option import OptionError, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(SourceOptions, RunSelection):
    """The flags of the command."""

    output: str = option(
        None, "The list to write, .csv.", group="Run", is_path=True, any_storage=True, required=True
    )
    split: str = option("train", "The products.", group="Data")
    features: str | None = option(
        None,
        "A file that `python -m trainer.embed --neighbours=N` wrote of the same --split. Default: "
        "features and neighbours of the first run, computed now.",
        group="Neighbours",
        is_path=True,
    )
    neighbours: int = option(
        10, "How many of the most similar products to ask.", group="Neighbours", at_least=1
    )
    search: str = option(
        "auto",
        "How to find them, as in `python -m trainer.embed`.",
        group="Neighbours",
        choices=SEARCHES,
    )
    shown: int = option(100, "Products to show on the page.", group="Run", at_least=1)


def main(options: Options) -> None:
    """Finds doubtful labels, writes the list and the page, and prints their number."""
    # These import TensorFlow, which takes seconds; `--help` and flag errors should not wait for it.
    from trainer.cluster.environment import require_alone
    from trainer.prediction.doubt_search import find_doubts
    from trainer.prediction.prediction_files import without_formula
    from trainer.reporting.doubtful_page import write_doubtful_page
    from trainer.runs.output_file import checked_output, write_made_from

    require_alone("trainer.doubtful")
    path = checked_output(options.output, "--output", (".csv",), OptionError)
    found = find_doubts(
        options, options, options.split, options.neighbours, options.search, options.features
    )
    ids = None if found.names.category_ids is None else found.names.category_ids.tolist()
    found.doubts.write(path, ids, [without_formula(name) for name in found.names.paths])
    page = path.with_name(f"{path.name}.html")
    write_doubtful_page(page, found.doubts, found.split, found.names.paths, options.shown)
    write_made_from(path, found.made_from)
    confident = int(found.doubts.confident.sum())
    print(
        f"{len(found.doubts):,} of {found.num_checked:,} labels of {options.split} are doubtful "
        f"({confident:,} also by confident learning): {path}, {page}"
    )
    if found.num_trained:
        print(
            f"The run was trained on {found.num_trained:,} of the products. A network contradicts "
            "what it has learnt by heart less often than it should, so the neighbours count more "
            "for these. A run that was trained on other products finds more."
        )


if __name__ == "__main__":
    command.run(main, Options)
