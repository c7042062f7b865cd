"""The workers that work together: what they exchange, and what happens when one is lost.

All exchange goes through `tf.distribute`: sums over the workers. Every worker must exchange the
same things in the same order.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.cluster.environment import Cluster, ClusterError
from trainer.data.lanes import Worker
from trainer.terminal.command import Preempted
from trainer.terminal.signals import SIGNALS

_SECONDS_BETWEEN_TRIES = 1.0
# What TensorFlow raises when an exchange fails because a worker is gone, or has begun anew.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


class WorkerLost(Preempted):
    """Another worker has ended."""


class WorkersError(ValueError):
    """The workers cannot work together."""


class Workers:
    """This worker among those that train together; one alone, without a cluster.

    Args:
      cluster: the workers; None: this one trains alone.
      strategy: the `MultiWorkerMirroredStrategy` of the cluster; None likewise.
    """

    def __init__(
        self, cluster: Cluster | None = None, strategy: tf.distribute.Strategy | None = None
    ):
        self._cluster, self.strategy = cluster, strategy
        self._sum = tf.function(self._summed, autograph=False)

    @property
    def this(self) -> Worker:
        """The number of this worker, and how many there are."""
        if self._cluster is None:
            return Worker()
        return Worker(self._cluster.index, len(self._cluster.addresses))

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes the run's folder."""
        return self.this.index == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self._cluster is not None

    def name(self, index: int) -> str:
        """A worker as messages name it."""
        return f"worker {index}" if self._cluster is None else self._cluster.name(index)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sums over the workers of their values, float64 [n]: float64 [n]."""
        if not self.several:
            return values
        with self.clear_errors():
            return self._sum(tf.constant(values, tf.float64)).numpy()

    def gather(self, text: str) -> list[str]:
        """The texts of all workers, in their order."""
        own = np.frombuffer(text.encode(), np.uint8)
        worker = self.this
        lengths = np.zeros(worker.count)
        lengths[worker.index] = len(own)
        lengths = self.sums(lengths).astype(int)
        # Few sizes, each of which TensorFlow traces; none is 0, at which its ring of sums crashes.
        width = 1 << max(10, int(lengths.max() - 1).bit_length())
        rows = np.zeros((worker.count, width))
        rows[worker.index, : len(own)] = own
        rows = self.sums(rows.ravel()).reshape(rows.shape).astype(np.uint8)
        return [row[:length].tobytes().decode() for row, length in zip(rows, lengths, strict=True)]

    def any(self, own: bool) -> bool:
        """Whether it is so on any worker."""
        return bool(self.sums(np.array([float(own)]))[0])

    def of_chief(self, own: bool) -> bool:
        """Whether it is so on the chief."""
        return self.any(own and self.is_chief)

    def from_chief(self, do: Callable[[], str]) -> str:
        """What `do` returns on the chief, which alone calls it; an error of it ends all workers.

        Raises:
          WorkersError: on the others, with the chief's error.
        """
        if not self.several:
            return do()
        if not self.is_chief:
            answer = json.loads(self.gather("")[0])
            if "error" in answer:
                raise WorkersError(f"{self.name(0)} cannot go on: {answer['error']}")
            return str(answer["text"])
        try:
            text = do()
        except Exception as error:
            self.gather(json.dumps({"error": str(error)}))
            raise
        self.gather(json.dumps({"text": text}))
        return text

    def value_of_chief(self, make: Callable[[], Any]) -> Any:
        """As `from_chief`, for a value that JSON has."""
        return json.loads(self.from_chief(lambda: json.dumps(make())))

    def require_no_problem(self, own: str) -> None:
        """Raises WorkersError on all workers if one has a problem; `own` is empty without one."""
        for index, problem in enumerate(self.gather(own)):
            if problem:
                raise WorkersError(f"{self.name(index)}: {problem}")

    def require_alike(self, facts: Mapping[str, str]) -> None:
        """Raises WorkersError on all workers, naming what differs, if some have other facts."""
        chief, *others = (json.loads(text) for text in self.gather(json.dumps(dict(facts))))
        for index, other in enumerate(others, 1):
            differing = [name for name in chief | other if chief.get(name) != other.get(name)]
            if differing:
                listed = "; ".join(
                    f"{self.name(index)} has {name}={other.get(name)}, {self.name(0)} has "
                    f"{chief.get(name)}"
                    for name in differing
                )
                raise WorkersError(
                    f"All workers must be alike. {listed}. Start the same command, with the "
                    "same versions and data, on all machines."
                )

    def barrier(self) -> None:
        """Waits until all workers are here."""
        self.sums(np.zeros(1))

    @contextlib.contextmanager
    def clear_errors(self) -> Iterator[None]:
        """Turns TensorFlow's errors about a lost worker into WorkerLost."""
        try:
            yield
        except _LOST as error:
            if not self.several:
                raise
            raise WorkerLost(
                f"{self.name(self.this.index)} lost {self._lost(error.message)}. All workers end; "
                "start the same command again on all of them: it does what is left."
            ) from error

    def _lost(self, message: str) -> str:
        """The worker that TensorFlow's message names."""
        tasks = re.findall(r"/job:(chief|worker)/(?:replica:0/)?task:(\d+)", message)
        assert self._cluster is not None
        indexes = {
            int(index) + (self._cluster.chiefs if role == "worker" else 0) for role, index in tasks
        } - {self._cluster.index}
        return _names(self._cluster, indexes) or "another worker"

    def _summed(self, values: tf.Tensor) -> tf.Tensor:
        assert self.strategy is not None
        # All devices of a worker hold the same values; one of them counts.
        devices = self.strategy.num_replicas_in_sync // self.this.count

        def total(own: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(own) / devices)

        sums = self.strategy.run(total, args=(values,))
        return self.strategy.experimental_local_results(sums)[0]


ALONE = Workers()


def join(cluster: Cluster | None, timeout: float) -> Workers:
    """Connects the workers of a cluster; call it before TensorFlow is used for anything else.

    Args:
      cluster: the workers; None: this machine alone.
      timeout: seconds to wait for the others.

    Raises:
      ClusterError: if this worker's port is in use.
      WorkerLost: if some do not come in time; it names them.
    """
    if cluster is None:
        return ALONE
    _await_others(cluster, timeout)
    # TensorFlow waits for an hour for a worker that is lost now, and Python cannot interrupt it.
    with _own_handlers(), _alarm(timeout):
        workers = Workers(cluster, _strategy(cluster))
        workers.barrier()
    return workers


def _await_others(cluster: Cluster, timeout: float) -> None:
    """Waits until each worker's port answers: by this function there, or by TensorFlow after it."""
    until = time.monotonic() + timeout
    missing = set(range(len(cluster.addresses))) - {cluster.index}
    names = _names(cluster, missing)
    print(f"{cluster.name(cluster.index)} waits for {names}.", file=sys.stderr)
    with _listening(cluster):
        while missing := {one for one in missing if not _answers(cluster.addresses[one])}:
            if time.monotonic() > until:
                raise WorkerLost(
                    f"All {len(cluster.addresses)} workers must start within {timeout:g} seconds "
                    f"of each other (--peer_timeout). {_names(cluster, missing)} did not answer. "
                    "Start the same command on all machines again."
                )
            time.sleep(_SECONDS_BETWEEN_TRIES)


def _names(cluster: Cluster, indexes: set[int]) -> str:
    return ", ".join(cluster.name(index) for index in sorted(indexes))


@contextlib.contextmanager
def _listening(cluster: Cluster) -> Iterator[None]:
    """Within the block, this worker's port answers."""
    port = int(cluster.addresses[cluster.index].rpartition(":")[2])
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after an earlier training
        try:
            listener.bind(("", port))
            listener.listen(len(cluster.addresses))
        except OSError as error:
            raise ClusterError(
                f"This machine is {cluster.name(cluster.index)}, so its port {port} must be free. "
                f"It cannot be used ({error.strerror}): perhaps an earlier training still runs. "
                "Stop that, or choose another port."
            ) from None
        yield


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=_SECONDS_BETWEEN_TRIES):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _own_handlers() -> Iterator[None]:
    """Restores the signal handlers after the block: TensorFlow catches SIGTERM for itself."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """SIGALRM ends the process if the block takes longer, where there is that signal."""
    if hasattr(signal, "alarm"):
        signal.alarm(math.ceil(seconds))
    try:
        yield
    finally:
        if hasattr(signal, "alarm"):
            signal.alarm(0)


def _strategy(cluster: Cluster) -> tf.distribute.Strategy:
    role, index = cluster.task
    return tf.distribute.MultiWorkerMirroredStrategy(
        tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec(cluster.roles), task_type=role, task_id=index, rpc_layer="grpc"
        )
    )
