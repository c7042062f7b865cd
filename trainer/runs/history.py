"""`history.json` and `history.csv`: the run's epochs for people and for other programs.

They are copies of the history in `state.json`, and are never read.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Sequence

from cdisc_tfds.whole_files import whole_file
from trainer.runs.folder import RunFolder
from trainer.runs.state import EpochRow

COLUMNS = tuple(field.name for field in dataclasses.fields(EpochRow))


def write_history(
    run: RunFolder,
    history: Sequence[EpochRow],
    before_rename: Callable[[], None] = lambda: None,
) -> None:
    """Writes one row per epoch to both files; `epoch` is counted from 0.

    Args:
      run: the run's folder.
      history: the rows.
      before_rename: as for `whole_file`.
    """
    rows = [dataclasses.asdict(row) for row in history]
    with whole_file(run.history_json, "w", encoding="utf-8", before_rename=before_rename) as file:
        file.write(json.dumps(rows, indent=2) + "\n")
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with whole_file(run.history_csv, "w", encoding="utf-8", before_rename=before_rename) as file:
        file.write(text.getvalue())
