"""Classifies photos that no data set holds: files, folders of files, or a table of products.

    python -m trainer.classify --run_dir=runs/cnn-adam photo.jpg
    python -m trainer.classify --run_dir=runs/cnn-adam photos --product=folder --output=found.csv
    python -m trainer.classify --run_dir=runs/cnn-adam products.csv --precision=0.99 \\
        --output=found.parquet

Writes a row for each product with its most probable classes, or prints them for a few products.
What cannot be used is listed in OUTPUT.rejected.jsonl.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING

from trainer.prediction.acceptance_options import AcceptanceOptions
from trainer.prediction.options import SourceOptions
from trainer.prediction.photo_inputs import PhotoOptions, read_inputs
from trainer.prediction.run_selection import RunSelection
from trainer.terminal import command
from trainer.terminal.option import OptionError, option

if TYPE_CHECKING:
    from trainer.prediction.classified_photos import Summary

MOST_PRINTED = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(SourceOptions, AcceptanceOptions, PhotoOptions, RunSelection):
    """The flags of the command."""

    output: str | None = option(
        None,
        f"The file to write, .csv, .jsonl or .parquet. Default: print, up to {MOST_PRINTED} "
        "products.",
        group="Run",
        is_path=True,
        any_storage=True,
    )
    top: int = option(5, "How many classes to name.", group="Prediction", at_least=1)
    keep_predictions: bool = option(
        True,
        "Keep what --mean=auto and --run_weights=fit predict of the validation products in the "
        "run's folder. The predictions of photos are never kept there.",
        group="Prediction",
    )


def main(paths: list[str], options: Options) -> None:
    """Classifies the photos, and writes or prints what they show."""
    # These import TensorFlow, which takes seconds; `--help` and flag errors should not wait for it.
    from trainer.cluster.environment import require_alone
    from trainer.prediction.classification import open_classifier
    from trainer.prediction.classified_photos import write_predictions
    from trainer.prediction.prediction_files import check_output
    from trainer.prediction.printed_predictions import printed, printed_rejection

    require_alone("trainer.classify")
    if options.output is not None:
        check_output(options.output)
    inputs = read_inputs(paths, options)
    if options.output is None and len(inputs.products) > MOST_PRINTED:
        raise OptionError(
            f"Without --output, at most {MOST_PRINTED} products are printed. Received: "
            f"{len(inputs.products):,}. Name a file, e.g. --output=predictions.csv."
        )
    for table in inputs.tables:
        print(table, file=sys.stderr)
    classifier = open_classifier(options, options, options, options.top)
    if options.output is not None:
        print(summary_line(options.output, write_predictions(classifier, inputs, options.output)))
        return
    rejected = list(inputs.rejected)
    for products in classifier.classify(inputs.products, rejected.append):
        for line in printed(products, classifier.names, classifier.marks(products)):
            print(line)
    for rejection in rejected:
        print(printed_rejection(rejection), file=sys.stderr)


def summary_line(output: str, summary: Summary) -> str:
    """The last line: what the file holds, and what could not be used."""
    text = f"{output}: {summary.num_products:,} products"
    if without := summary.num_products - summary.num_predicted:
        text += f", {without:,} without a prediction"
    if summary.num_accepted is not None:
        text += f", {summary.num_accepted:,} accepted"
    if summary.rejected_path is not None:
        text += f"; {summary.num_rejected:,} photos or rows rejected: {summary.rejected_path}"
    return f"{text}."


if __name__ == "__main__":
    command.run(main, Options, arguments="photos, folders of photos, or tables (.csv)")
