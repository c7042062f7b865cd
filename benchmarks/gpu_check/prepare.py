"""The section `data`: makes the data set and the picture files that the others read."""

from __future__ import annotations

import time

from benchmarks.data import data_dir, picture_files
from benchmarks.gpu_check.task import Report, Task, run_section
from benchmarks.table import Row


def measure(task: Task, report: Report) -> None:
    """Rows: seconds to make the data set, and the files of pictures for the peers."""
    start = time.monotonic()
    data_dir(task.settings, task.settings.products)
    built = time.monotonic()
    what = f"data set of {task.settings.products:,} products"
    report.row(Row("data", what, unit="s", ours=built - start))
    picture_files(task.settings, task.settings.products)
    report.row(Row("data", "files of pictures", unit="s", ours=time.monotonic() - built))


if __name__ == "__main__":
    run_section(measure)
