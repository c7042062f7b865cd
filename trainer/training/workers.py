"""The workers that train together: what they exchange, and what happens when one is lost.

All exchange goes through `tf.distribute`: sums over the workers. Every worker must exchange the
same things in the same order.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from trainer.data.lanes import Worker
from trainer.terminal.command import EXIT_PREEMPTED, Preempted
from trainer.training.cluster import Cluster

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
        rows = np.zeros([worker.count, max(lengths)])
        rows[worker.index, : len(own)] = own
        rows = self.sums(rows.ravel()).reshape(rows.shape).astype(np.uint8)
        return [row[:length].tobytes().decode() for row, length in zip(rows, lengths, strict=True)]

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
                f"{self.name(self.this.index)} lost another worker: an exchange failed "
                f"({error.message.splitlines()[0]}). All workers end; start the same command again "
                "on all of them to go on from the last checkpoint."
            ) from error

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

    If some do not come within `timeout` seconds, the process names them and ends, with the status
    for "start again": TensorFlow's own waiting cannot be interrupted.
    """
    if cluster is None:
        return ALONE
    print(
        f"{cluster.name(cluster.index)} waits for {len(cluster.addresses) - 1} others.",
        file=sys.stderr,
    )
    arrived = threading.Event()
    watch = threading.Thread(target=_watch, args=(cluster, timeout, arrived), daemon=True)
    watch.start()
    try:
        workers = Workers(cluster, _strategy(cluster))
        workers.barrier()
    finally:
        arrived.set()
    return workers


def _strategy(cluster: Cluster) -> tf.distribute.Strategy:
    role, index = cluster.task
    return tf.distribute.MultiWorkerMirroredStrategy(
        tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec(cluster.roles), task_type=role, task_id=index, rpc_layer="grpc"
        )
    )


def _watch(cluster: Cluster, timeout: float, arrived: threading.Event) -> None:
    """Ends the process if the others do not come in time."""
    until = time.monotonic() + timeout
    missing = set(range(len(cluster.addresses))) - {cluster.index}
    while not arrived.wait(_SECONDS_BETWEEN_TRIES):
        missing = {index for index in missing if not _listens(cluster.addresses[index])}
        if time.monotonic() < until:
            continue
        names = ", ".join(cluster.name(index) for index in sorted(missing))
        print(
            f"All {len(cluster.addresses)} workers must start within {timeout:g} seconds "
            f"(--peer_timeout). "
            + (
                f"Nobody answers at the address of {names}."
                if missing
                else "All addresses answer, but not all workers joined: perhaps they were started "
                "with other lists of workers, or belong to an earlier training that still ends."
            )
            + " Start the same command on all machines again.",
            file=sys.stderr,
            flush=True,
        )
        os._exit(EXIT_PREEMPTED)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=_SECONDS_BETWEEN_TRIES):
            return True
    except OSError:
        return False
