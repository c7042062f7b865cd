"""Runs the pieces of a build on a runner of Apache Beam."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

# What `tfds build` reads on its command line.
_FLAG = "--beam_pipeline_options"
_POLL = 0.2  # seconds
# How the error of Beam's `SubprocessSdkWorker` begins.
_LOST = "Worker subprocess exited"


class BeamOptionsError(ValueError):
    """Beam, or its runner, cannot be used as asked."""


class BeamRunError(RuntimeError):
    """The runner did not finish its work."""


@dataclasses.dataclass(frozen=True)
class BeamRunner:
    """A runner and its options, as TFDS's `DownloadConfig` holds them.

    Attributes:
      runner: a `PipelineRunner`, the name of one, or None: the one that the options name.
      options: `PipelineOptions`, or None.
    """

    runner: Any
    options: Any

    @classmethod
    def of(cls, runner: Any, options: Any) -> BeamRunner | None:
        """None if neither is given: the build then runs on this machine, without Beam."""
        return None if runner is None and options is None else cls(runner, options)

    def require_usable(self, alone: bool = False) -> None:
        """Raises BeamOptionsError if Beam is missing, or refuses the runner or an option.

        Args:
          alone: whether other options of the build need TFDS's own writer in one process.
        """
        pipeline = self._pipeline()
        if alone:
            raise BeamOptionsError(
                "A build on Beam writes TFRecord files in TFDS's order. Received, with runner "
                "options of Beam: another --file_format, --nondeterministic_order, "
                "CDISCOUNT_STOCK_WRITER=1 or a limit of 0 products. Leave out one or the other."
            )
        if unknown := _unknown(pipeline):
            raise BeamOptionsError(
                f"{_FLAG} must hold options that Beam knows with its "
                f"{type(pipeline.runner).__name__}. Received also: {', '.join(unknown)}. Check "
                "their names; a value cannot contain a comma."
            )

    def run(self, name: str, function: Callable[[Any], None], pieces: Sequence[Any]) -> None:
        """Calls the function with each of the pieces, on the runner's workers.

        A worker may call it several times with the same piece.

        Args:
          name: what the pieces are; it is shown by the runner's own pages.
          function: a function of a module, or a `functools.partial` of one.
          pieces: small values; they travel in the pipeline's description.

        Raises:
          BeamOptionsError: as for `require_usable`.
          BeamRunError: the runner fails.
        """
        pipeline = self._pipeline()
        beam = _beam()
        # Create spreads its values over the workers by a shuffle: of these pieces, not of pictures.
        _ = pipeline | f"{name} to make" >> beam.Create(pieces) | name >> beam.Map(function)
        runner = type(pipeline.runner).__name__
        run = _Run(pipeline)
        with _lost_workers() as lost:
            run.start()
            try:
                while run.is_alive() and not lost:
                    run.join(_POLL)
            except KeyboardInterrupt:
                run.cancel()
                raise
        if lost:
            raise BeamRunError(f"Beam's {runner} lost a worker and does not replace it: {lost[0]}.")
        if run.error is not None:
            raise BeamRunError(f"Beam's {runner} failed: {_gist(run.error)}") from run.error
        if run.state != beam.runners.runner.PipelineState.DONE:
            raise BeamRunError(f"Beam's {runner} ended in the state {run.state}.")

    def _pipeline(self) -> Any:
        beam = _beam()
        options = self.options
        if options is None:
            options = beam.options.pipeline_options.PipelineOptions(flags=[])
        with _refused():
            options.get_all_options()  # parses them: the values may be of other types
            return beam.Pipeline(runner=self.runner, options=options)


class _Run(threading.Thread):
    """Runs a pipeline. Its thread does not keep the process alive: a runner may wait forever.

    Attributes:
      state: the state in which the pipeline ended; None if it failed.
      error: what the runner raised, whatever that is; None if it did not.
    """

    def __init__(self, pipeline: Any):
        super().__init__(daemon=True)
        self._pipeline, self._result = pipeline, None
        self.state: str | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self._result = result = self._pipeline.run()
            self.state = result.wait_until_finish() or result.state
        except Exception as error:
            self.error = error

    def cancel(self) -> None:
        """Asks the runner to stop, if it can."""
        if self._result is not None:
            with contextlib.suppress(NotImplementedError):
                self._result.cancel()


@contextlib.contextmanager
def _lost_workers() -> Iterator[list[str]]:
    """What Beam's own runner says of its worker processes that end; it then waits for them forever.

    It says so in an exception of a thread, which nobody handles.
    """
    lost: list[str] = []
    usual = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if _LOST in str(args.exc_value):
            lost.append(str(args.exc_value))
        else:
            usual(args)

    threading.excepthook = hook
    try:
        yield lost
    finally:
        threading.excepthook = usual


def _beam() -> Any:
    try:
        import apache_beam
        import apache_beam.options.pipeline_options
        import apache_beam.runners.runner
    except ImportError as error:
        raise BeamOptionsError(
            f"A build on Beam needs Apache Beam, which cannot be imported here ({error}). Install "
            "it: pip install 'apache-beam>=2.70,<3'. Without runner options, the build needs none."
        ) from error
    return apache_beam


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    """Turns a refusal of Beam into BeamOptionsError. Its parser prints and exits."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            yield
    except SystemExit as error:
        raise BeamOptionsError(_refusal(printed.getvalue())) from error
    except ImportError as error:
        raise BeamOptionsError(
            f"{_refusal(str(error))}. Install what this runner needs; for Dask: pip install "
            "'cdiscount-image-classification[dask]'."
        ) from error
    except (ValueError, TypeError, AttributeError, NotImplementedError) as error:
        raise BeamOptionsError(_refusal(str(error))) from error


def _refusal(text: str) -> str:
    # The parser's last line, or all of another text.
    told = " ".join(text.rpartition(" error: ")[2].split())
    return f"{_FLAG} must name a runner of Beam and its options. Beam refuses them: {told}"


def _unknown(pipeline: Any) -> list[str]:
    """Names of options that no part of Beam knows. It would only drop them, with a warning."""
    from apache_beam.runners.portability.portable_runner import PortableRunner

    if isinstance(pipeline.runner, PortableRunner):
        return []  # its job server may know more
    options = pipeline.options
    known = options.get_all_options()
    given = options.get_all_options(drop_default=True, retain_unknown_options=True)
    return sorted(set(given) - set(known))


def _gist(error: Exception) -> str:
    """The last line of a message, which may be a whole trace."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
