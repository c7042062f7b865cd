"""Runs a section in a process of its own, within a time limit."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from benchmarks.gpu_check.task import Result, Task

MEASURED, FAILED, NOT_MEASURED = "measured", "failed", "not measured"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a section ended.

    Attributes:
      name: name of the section.
      status: MEASURED, FAILED or NOT_MEASURED.
      seconds: how long it ran.
      reason: why it failed or was not measured.
      output: what its process printed, if it failed or was ended.
      result: what it found, also if it failed or ran out of time.
    """

    name: str
    status: str
    seconds: float = 0.0
    reason: str = ""
    output: str = ""
    result: Result = dataclasses.field(default_factory=Result)


class RunningSection:
    """A section's process.

    Args:
      name: name of the section.
      module: module of `benchmarks.gpu_check`.
      task: what to measure.
      folder: folder for its files.
    """

    def __init__(self, name: str, module: str, task: Task, folder: pathlib.Path):
        self.name, self._began = name, time.monotonic()
        folder.mkdir(parents=True)
        self._result, self._log = folder / "result.json", folder / "log.txt"
        values = dataclasses.replace(task, began=time.time()).to_json()
        (folder / "task.json").write_text(json.dumps(values))
        command = [sys.executable, "-m", f"benchmarks.gpu_check.{module}"]
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [*command, str(folder / "task.json"), str(self._result)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # TensorFlow would reserve the whole GPU, beside DALI, tests and PyTorch.
                env=os.environ | {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # a group, so that its own processes end with it
            )

    def wait(self, seconds: float) -> Outcome:
        """How it ended; after `seconds` it is killed."""
        try:
            status = self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self.kill()
            reason = f"it was ended after {time.monotonic() - self._began:.0f} s, its time limit"
            return self._outcome(NOT_MEASURED, reason, self._log.read_text(errors="replace"))
        result = Result.read(self._result)
        if status or result.failed:
            reason = result.failed or f"its process ended with exit status {status}"
            return self._outcome(FAILED, reason, self._log.read_text(errors="replace"))
        return self._outcome(MEASURED)

    def kill(self) -> None:
        """Ends the process and those that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _outcome(self, status: str, reason: str = "", output: str = "") -> Outcome:
        seconds = time.monotonic() - self._began
        return Outcome(self.name, status, seconds, reason, output, Result.read(self._result))
