"""Programs of `tests.helpers` that need a process of their own."""

from __future__ import annotations

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run_program(name: str, folder: pathlib.Path) -> None:
    """Runs `tests.helpers.NAME FOLDER`, and fails with its errors unless it succeeds."""
    command = [sys.executable, "-m", f"tests.helpers.{name}", str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
