import os
import subprocess
import sys

import pytest

from trainer.terminal.command import quoted

_PROGRAM = """
import dataclasses
from trainer.terminal import command
from trainer.settings.config import ConfigError

command.import_tensorflow = lambda: None  # seconds, and not what is tested

def main():
    {body}

command.run(main, uses_keras=False)
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
        *(
            (
                f"import os; os.kill(os.getpid(), {number})",
                75,
                "Stopped as asked. Start the same command again: it does what is left.\n",
            )
            for number in (15, 1)
        ),
        (
            "raise KeyboardInterrupt",
            130,
            "Stopped by the keyboard. The same command does what is left.\n",
        ),
    ],
)
def test_expected_ends_are_one_line(body, status, text):
    result = _run(body)
    assert (result.returncode, result.stderr) == (status, text)


def test_a_librarys_error_and_traceback_flag_show_where():
    assert "Traceback" in _run("int('x')").stderr
    assert "Traceback" in _run("raise ConfigError('no')", "--traceback").stderr


def test_a_reader_that_has_enough_ends_a_command_quietly():
    command = [sys.executable, "-c", _PROGRAM.format(body="print('line\\n' * 200_000)")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_reader_that_has_enough_of_the_help():
    code = "from trainer.terminal import command; command.run(print)"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_nohup_is_respected():
    body = "import os, time; os.kill(os.getpid(), 1); print('still here')"
    shell = f"trap '' HUP; exec {quoted(sys.executable, '-c', _PROGRAM.format(body=body))}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "still here\n")


def test_printed_commands_survive_the_shell():
    words = ["echo", "--run_dir=my runs/it's", "train[80%:]"]
    done = subprocess.run(quoted(*words), shell=True, capture_output=True, text=True, check=True)
    assert done.stdout == " ".join(words[1:]) + "\n"


@pytest.mark.parametrize("module", ["main", "evaluate", "serving", "submit", "two_stage", "fuse"])
def test_a_word_that_is_no_flag_is_refused(module):
    command = [sys.executable, "-m", f"trainer.{module}", "-epochs", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1


COMMANDS = {
    "main": ["--run_dir=PATH", "--model=NAME", "--learning_rate=X", "--[no]profile_input"],
    "two_stage": ["--specialist_model=NAME", "--specialist_epochs=N", "--image_size=N"],
    "fuse": ["--run_dirs=TEXT", "--join=gated|max", "--picture_dropout=X", "--features_dir=PATH"],
    "evaluate": ["--split=TEXT", "--mean=NAME", "--[no]deduplicate"],
    "submit": ["--sample_submission=PATH", "--checkpoint=best|last", "--output=PATH"],
    "serving": ["--top=N", "--precision=auto|", "--[no]flip", "--format=saved_model|onnx|litert"],
    "report": ["--examples=N", "Arguments: the folders of the runs"],
}


@pytest.mark.parametrize("module", COMMANDS)
def test_help_lists_the_commands_own_flags_without_importing_tensorflow(module):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{module}', '--help']\n"
        "try:\n"
        f"    runpy.run_module('trainer.{module}', run_name='__main__', alter_sys=True)\n"
        "finally:\n"
        "    assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for text in [*COMMANDS[module], "--[no]traceback", f"python -m trainer.{module}"]:
        assert text in done.stdout
    assert "alsologtostderr" not in done.stdout  # absl's own
