"""Terminal output of the commands: quiet libraries, and errors as one clear sentence."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import types
from collections.abc import Callable

from absl import app, flags, logging

# Exit status of a run that was asked to stop (SIGTERM) and can be continued: EX_TEMPFAIL of
# sysexits.h, so that a supervisor can tell it from a failure and start the command again.
EXIT_PREEMPTED = 75


class Preempted(Exception):
    """Training was asked to stop; a checkpoint has been written."""


def setup() -> None:
    """Silences the libraries' chatter. Call before TensorFlow is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # oneDNN's notice that results may differ by rounding order is printed at level INFO.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    os.environ.setdefault("TFDS_LOGGING_LEVEL", "ERROR")
    logging.set_verbosity(logging.WARNING)
    logging.use_absl_handler()
    logging.get_absl_handler().setFormatter(_ShortFormatter())


def import_tensorflow() -> None:
    """Imports TensorFlow and looks for its devices without what its libraries print meanwhile.

    They write to the file descriptor itself before any of their settings counts. If the import
    fails, all that they wrote is shown.
    """
    with tempfile.TemporaryFile() as said:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
        except BaseException:
            said.seek(0)
            os.write(stderr, said.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


class _ShortFormatter(logging.PythonFormatter):
    """`WARNING: text` rather than glog's date, thread and source line."""

    def format(self, record) -> str:
        return f"{record.levelname}: {record.getMessage()}"


def run(main: Callable[[list[str]], int | None]) -> None:
    """Runs a command: parses flags, calls `main`, prints an expected error as one line.

    Errors that carry their own explanation (subclasses of ValueError, OSError) end with exit
    status 1 and no traceback; set `--traceback` to see where they came from.
    """
    setup()
    if "traceback" not in flags.FLAGS:
        flags.DEFINE_bool("traceback", False, "On an error, show where in the code it came from.")

    def guarded(argv: list[str]) -> int | None:
        signal.signal(signal.SIGTERM, _stop)
        try:
            import_tensorflow()
            return main(argv)
        except Preempted as stop:
            print(stop, file=sys.stderr)
            return EXIT_PREEMPTED
        except KeyboardInterrupt:
            print("Stopped by the keyboard.", file=sys.stderr)
            return 130
        except (ValueError, OSError) as error:
            if flags.FLAGS.traceback or not _explains_itself(error):
                raise
            print(f"Error: {error}", file=sys.stderr)
            return 1

    app.run(guarded)


def _stop(signum: int, frame: types.FrameType | None) -> None:
    """SIGTERM while no training step is under way (training has a handler of its own)."""
    raise Preempted("Stopped as asked. Start the same command again: it does what is left.")


def _explains_itself(error: Exception) -> bool:
    """Ours are written for the user; a library's ValueError needs its traceback."""
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in (
        "cdisc_tfds",
        "trainer",
        "__main__",  # of the command's own module
    )
