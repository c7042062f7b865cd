import importlib
import subprocess
import sys

import pytest
from absl import app

_PROGRAM = """
from trainer.terminal import command
from trainer.settings.config import ConfigError

def main(argv):
    {body}

command.run(main)
"""


def _run(body, *flags):
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(body=body), *flags],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ("raise ConfigError('--epochs must be 1.')", 1, "Error: --epochs must be 1.\n"),
        ("raise OSError(28, 'No space left')", 1, "Error: [Errno 28] No space left\n"),
        ("raise command.Preempted('Stopped as asked.')", 75, "Stopped as asked.\n"),
        (
            "import os; os.kill(os.getpid(), 15)",
            75,
            "Stopped as asked. Start the same command again: it does what is left.\n",
        ),
        ("raise KeyboardInterrupt", 130, "Stopped by the keyboard.\n"),
    ],
)
def test_expected_ends_are_one_line(body, status, text):
    result = _run(body)
    assert (result.returncode, result.stderr) == (status, text)


def test_a_librarys_error_and_traceback_flag_show_where():
    assert "Traceback" in _run("int('x')").stderr
    assert "Traceback" in _run("raise ConfigError('no')", "--traceback").stderr


@pytest.mark.parametrize("module", ["evaluate", "serving", "submit", "two_stage"])
def test_a_word_that_is_no_flag_is_refused(module):
    with pytest.raises(
        app.UsageError, match=r"This command takes flags only. Received: -epochs 3\."
    ):
        importlib.import_module(f"trainer.{module}").main([module, "-epochs", "3"])


def test_training_refuses_a_word_that_is_no_flag():
    command = [sys.executable, "-m", "trainer.main", "epochs=3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "This command takes flags only. Received: epochs=3." in done.stdout + done.stderr
