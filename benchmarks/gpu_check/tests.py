"""The section `tests`: the tests that matter on a GPU, in a process of their own."""

from __future__ import annotations

import importlib.util
import pathlib
import subprocess
import sys
import tempfile
from xml.etree import ElementTree

from benchmarks.gpu_check.task import Report, Task, run_section
from benchmarks.table import Row
from cdisc_tfds.machine import num_cores


def measure(task: Task, report: Report) -> None:
    """A row with the number of tests that failed; fails if it is not 0."""
    if importlib.util.find_spec("pytest") is None:
        note = "not measured: pytest is not installed (`pip install pytest`)"
        report.row(Row("tests", task.tests, note=note))
        return
    with tempfile.TemporaryDirectory() as folder:
        xml = pathlib.Path(folder) / "tests.xml"
        command = [sys.executable, "-m", "pytest", "-v", "-m", "gpu", f"--junitxml={xml}"]
        command += [
            "-rs",
            "--durations=8",
            "-p",
            "no:cacheprovider",
            "-o",
            "faulthandler_timeout=120",
            task.tests,
        ]
        if (processes := num_cores() // 4) > 1 and importlib.util.find_spec("xdist"):
            command += ["-n", str(min(4, processes))]  # most wait for commands that they start
        status = subprocess.run(command, check=False).returncode
        if xml.exists():
            report.row(_row(task.tests, xml.read_text()))
    if status:  # also if it ran no test
        report.failed(f"pytest ended with exit status {status}; its output is above")


def _row(what: str, xml: str) -> Row:
    suites = list(ElementTree.fromstring(xml).iter("testsuite"))
    tests, failures, errors, skipped = (
        sum(int(suite.get(name, 0)) for suite in suites)
        for name in ("tests", "failures", "errors", "skipped")
    )
    reasons = sorted({one.get("message", "") for suite in suites for one in suite.iter("skipped")})
    note = "; ".join(f"skipped: {reason}" for reason in reasons)
    passed = tests - failures - errors - skipped
    return Row(
        "tests",
        f"{what}: {passed} passed, {skipped} skipped",
        unit="failed",
        ours=float(failures + errors),
        at_most=0,
        note=note,
    )


if __name__ == "__main__":
    run_section(measure)
