"""Writes what photos show, with the photos that cannot be used beside it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
from typing import Any

from cdisc_tfds.photo_products import RejectedPhoto
from cdisc_tfds.whole_files import whole_file
from trainer.prediction.classification import Classifier
from trainer.prediction.photo_inputs import PhotoInputs
from trainer.prediction.prediction_files import as_text, check_output, prediction_file
from trainer.runs.output_file import write_made_from


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a file of predictions holds.

    Attributes:
      num_products: its rows.
      num_predicted: those with a prediction.
      num_accepted: those whose first guess is accepted; None without a threshold.
      num_rejected: photos and rows that could not be used.
      rejected_path: the file that lists them; None if there are none.
    """

    num_products: int
    num_predicted: int
    num_accepted: int | None
    num_rejected: int
    rejected_path: pathlib.Path | None


def write_predictions(classifier: Classifier, inputs: PhotoInputs, output: str) -> Summary:
    """Writes OUTPUT, OUTPUT.made_from.json and, if there are any, OUTPUT.rejected.jsonl.

    Each appears whole or not at all; the list of an earlier command is replaced or deleted.

    Raises:
      PredictionFileError: as in `check_output`.
      OSError: if a file cannot be written.
    """
    path = check_output(output)
    listed = path.with_name(f"{path.name}.rejected.jsonl")
    predicted = accepted = rejected = 0
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(prediction_file(path, classifier.names, classifier.top))
        # Complete before the predictions are, because it is closed first.
        list_file = stack.enter_context(whole_file(listed, "w", encoding="utf-8"))

        def reject(rejection: RejectedPhoto) -> None:
            nonlocal rejected
            # A product's own line sums up those of its photos.
            rejected += rejection.photo is not None or rejection.product is None
            values = {
                key: None if value is None else as_text(value)
                for key, value in rejection._asdict().items()
            }
            list_file.write(json.dumps(values, ensure_ascii=False) + "\n")

        for row in inputs.rejected:
            reject(row)
        for products in classifier.classify(inputs.products, reject):
            marks = classifier.marks(products)
            writer.add(products, marks)
            predicted += int((products.num_pictures > 0).sum())
            accepted += 0 if marks is None else int(marks.sum())
    any_listed = bool(listed.stat().st_size)
    if not any_listed:
        listed.unlink()
    write_made_from(path, _made_from(classifier, writer.sha256))
    return Summary(
        num_products=len(inputs.products),
        num_predicted=predicted,
        num_accepted=accepted if classifier.rule.applies else None,
        num_rejected=rejected,
        rejected_path=listed if any_listed else None,
    )


def _made_from(classifier: Classifier, file_sha256: str) -> dict[str, Any]:
    rule = classifier.rule
    return classifier.selected.made_from | {
        "file_sha256": file_sha256,  # a kill before this line leaves the previous file's
        "decoder": classifier.decoder,
        **dataclasses.asdict(classifier.how.views),
        "calibration": rule.calibration and dataclasses.asdict(rule.calibration),
        "threshold": rule.threshold,
        "expected": rule.expected and dataclasses.asdict(rule.expected),
    }
