"""`history.json` and `history.csv`: the run's epochs for people and for other programs.

They are copies of the history in `state.json`, and are never read.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence

from cdisc_tfds.whole_files import whole_file, write_json
from trainer.runs.folder import RunFolder
from trainer.runs.state import EpochRow

COLUMNS = tuple(field.name for field in dataclasses.fields(EpochRow))


def write_history(run: RunFolder, history: Sequence[EpochRow]) -> None:
    """Writes one row per epoch to both files; `epoch` is counted from 0."""
    rows = [dataclasses.asdict(row) for row in history]
    write_json(run.history_json, rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with whole_file(run.history_csv, "w", encoding="utf-8") as file:
        file.write(text.getvalue())
