"""Runs a command: parses its flags, silences libraries, and prints errors as one clear sentence."""

from __future__ import annotations

import logging as pylogging
import os
import pathlib
import shlex
import signal
import sys
import types
from collections.abc import Callable
from typing import Any

from absl import flags, logging

from trainer.terminal.command_line import EveryCommand, parse
from trainer.terminal.hidden_output import hidden_stderr
from trainer.terminal.keras_settings import apply_keras_settings, clear_settings_errors
from trainer.terminal.option import OptionError
from trainer.terminal.signals import heeded_signals

# Exit status of a run that was asked to stop (SIGTERM) and can be continued: EX_TEMPFAIL of
# sysexits.h, so that a supervisor can tell it from a failure and start the command again.
EXIT_PREEMPTED = 75
_EXIT_PIPE = 128 + 13  # what a shell reports for a program that SIGPIPE killed


class Preempted(Exception):
    """Work ended before it was done, and the same command continues it."""


def setup() -> None:
    """Silences the libraries' chatter. Call before TensorFlow is imported."""
    # Also hides oneDNN's notice that results may differ by rounding order, which is at level INFO.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    os.environ.setdefault("TFDS_LOGGING_LEVEL", "ERROR")
    flags.FLAGS.mark_as_parsed()  # else absl says before the first warning that they are not
    logging.set_verbosity(logging.WARNING)
    logging.use_absl_handler()
    logging.get_absl_handler().setFormatter(_ShortFormatter())


def import_tensorflow() -> None:
    """Imports TensorFlow and lists its devices, hiding what its libraries print.

    They write directly to the file descriptor, before any of their settings take effect. If the
    import fails, their output is shown.
    """
    with hidden_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()


class _ShortFormatter(logging.PythonFormatter):
    """`WARNING: text` rather than glog's date, thread and source line."""

    def format(self, record: pylogging.LogRecord) -> str:
        return f"{record.levelname}: {record.getMessage()}"


def run(
    main: Callable[..., int | None],
    *option_types: type,
    arguments: str | None = None,
    uses_keras: bool = True,
) -> None:
    """Reads the command line, calls `main`, prints an expected error as one line, and exits.

    Errors that carry their own explanation (the project's subclasses of ValueError, and OSError)
    end with exit status 1 and no traceback; `--traceback` shows where they came from.

    Args:
      main: called with the values of `option_types`, after the list of words that are not flags if
        `arguments` is given.
      option_types: dataclasses whose options are the command's flags.
      arguments: description of those words; None: the command takes none.
      uses_keras: whether to import Keras, with the project's settings, before `main` is called.
    """
    setup()
    description = sys.modules["__main__"].__doc__ or ""
    try:
        words, values = parse(sys.argv, (*option_types, EveryCommand), description, arguments)
    except OptionError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(_reader_has_enough())
    *values, every_command = values
    if arguments is not None:
        values.insert(0, words)
    sys.exit(_guarded(main, values, every_command.traceback, uses_keras))


def quoted(*words: object) -> str:
    """A command line that a shell reads as `words`, for a user to copy."""
    return shlex.join(map(str, words))


def print_next(run_dir: pathlib.Path, *, submits: bool) -> None:
    """Prints the commands to use on a finished run.

    Args:
      run_dir: folder of the run.
      submits: whether the competition accepts its predictions.
    """
    commands: list[list[object]] = [
        ["python", "-m", "trainer.evaluate", f"--run_dir={run_dir}"],
        ["python", "-m", "trainer.report", run_dir, "--output=report.html"],
        ["tensorboard", f"--logdir={run_dir.parent}"],
    ]
    if submits:
        submit = ["python", "-m", "trainer.submit", f"--run_dir={run_dir}"]
        commands.insert(1, [*submit, "--output=submission.csv.gz"])
    print("Next:")
    for words in commands:
        print(f"  {quoted(*words)}")


def _guarded(
    main: Callable[..., int | None], values: list[Any], traceback: bool, uses_keras: bool
) -> int | None:
    """Calls `main`, and returns the exit status."""
    for number in heeded_signals():
        if number != signal.SIGINT:  # Python raises KeyboardInterrupt for it
            signal.signal(number, _stop)
    try:
        with clear_settings_errors():
            import_tensorflow()
            if uses_keras:
                apply_keras_settings()
        status = main(*values)
        sys.stdout.flush()  # here, where a closed pipe is handled
        return status
    except Preempted as stop:
        print(stop, file=sys.stderr)
        return EXIT_PREEMPTED
    except KeyboardInterrupt:
        print("Stopped by the keyboard. The same command does what is left.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return _reader_has_enough()
    except (ValueError, OSError) as error:
        if traceback or not _explains_itself(error):
            raise
        print(f"Error: {error}", file=sys.stderr)
        return 1


def _reader_has_enough() -> int:
    """Ends quietly after a reader (`| head`) has closed the pipe; returns the exit status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains on exit
    return _EXIT_PIPE


def _stop(signum: int, frame: types.FrameType | None) -> None:
    """Handles a signal outside training, which has its own handler."""
    raise Preempted("Stopped as asked. Start the same command again: it does what is left.")


def _explains_itself(error: Exception) -> bool:
    """Whether an error is written for the user; a library's ValueError needs its traceback."""
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in (
        "cdisc_tfds",
        "trainer",
        "__main__",  # the command's own module
    )
