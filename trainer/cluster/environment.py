"""The machines that train together, as the cluster's environment names them.

`TF_CONFIG` (Kubernetes, Vertex AI, SageMaker, or by hand) names all workers and this one. Without
it, a Slurm step with several tasks is a cluster of its tasks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import socket
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

_EXAMPLE = (
    """{"cluster": {"worker": ["host-a:8476", "host-b:8476"]}, """
    """"task": {"type": "worker", "index": 0}}"""
)
_SLURM_PORT = 8476
_ROLES = ("chief", "worker")


class ClusterError(ValueError):
    """The environment does not describe machines that can train together."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a training, in their order; the first one is the chief.

    Attributes:
      addresses: `host:port` of each worker.
      index: number of this one.
      chiefs: number of workers in TF_CONFIG's role `chief` (0 or 1); the others are `worker`s.
    """

    addresses: tuple[str, ...]
    index: int
    chiefs: int = 0

    @property
    def task(self) -> tuple[str, int]:
        """This worker's role and its index in it."""
        if self.index < self.chiefs:
            return "chief", self.index
        return "worker", self.index - self.chiefs

    @property
    def roles(self) -> dict[str, list[str]]:
        """The addresses of each role that has some."""
        parts = {
            "chief": list(self.addresses[: self.chiefs]),
            "worker": list(self.addresses[self.chiefs :]),
        }
        return {role: addresses for role, addresses in parts.items() if addresses}

    def name(self, index: int) -> str:
        """A worker as messages name it."""
        return f"worker {index} ({self.addresses[index]})"


def cluster_of(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """The cluster that the environment describes; None: this machine trains alone.

    Raises:
      ClusterError: if it does not describe one that works.
    """
    if environment.get("TF_CONFIG", "").strip():
        cluster = _of_tf_config(environment["TF_CONFIG"])
    elif _slurm_tasks(environment) > 1:
        cluster = _of_slurm(_slurm_tasks(environment))
    else:
        return None
    if len(cluster.addresses) == 1:
        return None
    _require_addresses(cluster)
    return cluster


def require_alone(command: str) -> None:
    """Raises ClusterError if the environment describes a cluster, which a command does not use."""
    if cluster_of() is not None:
        raise ClusterError(
            "trainer.main, fuse, evaluate and submit work on several machines; "
            f"{command} uses one. Unset TF_CONFIG (in a Slurm step, use a single task) and start "
            "it on one machine."
        )


def _of_tf_config(text: str) -> Cluster:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise _unusable(f"text that is no JSON ({error}): {_shortened(text)}") from None
    if not isinstance(value, dict):
        raise _unusable(_shortened(text))
    addresses = value.get("cluster")
    if not isinstance(addresses, dict) or not any(addresses.get(role) for role in _ROLES):
        raise _unusable(f"no workers under `cluster` in {_shortened(text)}")
    chiefs, workers = (_addresses(addresses.get(role, []), role) for role in _ROLES)
    if len(chiefs) > 1:
        raise _unusable(f"{len(chiefs)} chiefs; there may be one")
    role, index = _task(value.get("task"), text)
    of_role = {"chief": chiefs, "worker": workers}[role]
    if index >= len(of_role):
        raise _unusable(f"{role} {index} as this task, while `cluster` has {len(of_role)} of them")
    place = index if role == "chief" else len(chiefs) + index
    return Cluster((*chiefs, *workers), place, len(chiefs))


def _addresses(value: Any, role: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _unusable(f"{value!r} as the list of `{role}`")
    for address in value:
        host, _, port = address.rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 2**16):
            raise _unusable(f"the address {address!r}; one is HOST:PORT")
    return value


def _task(value: Any, text: str) -> tuple[str, int]:
    if not isinstance(value, dict) or not {"type", "index"} <= value.keys():
        raise _unusable(f"no type and index under `task` in {_shortened(text)}")
    role, index = value["type"], value["index"]
    if isinstance(index, str) and index.isdecimal():  # as some launchers write it
        index = int(index)
    if role not in _ROLES:
        raise _unusable(f"a task of type {role!r}; one is {' or '.join(_ROLES)}")
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise _unusable(f"a task with the index {index!r}; indexes count from 0")
    return role, index


def _unusable(received: str) -> ClusterError:
    return ClusterError(
        f"TF_CONFIG must name the workers and this one of them, like {_EXAMPLE}. Received: "
        f"{received}. Correct it, or unset it to train on this machine alone."
    )


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."


def _slurm_tasks(environment: Mapping[str, str]) -> int:
    tasks = environment.get("SLURM_STEP_NUM_TASKS", "")
    return int(tasks) if tasks.isdecimal() else 1


def _of_slurm(tasks: int) -> Cluster:
    try:
        # Slurm itself gives tasks their GPUs, so the resolver only has to name and number them.
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=_SLURM_PORT, gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
        )
        addresses = resolver.cluster_spec().as_dict()["worker"]
    except (RuntimeError, ValueError, KeyError) as error:
        raise ClusterError(
            "Slurm must name the nodes of a step with several tasks (SLURM_STEP_NODELIST, "
            f"SLURM_STEP_TASKS_PER_NODE, SLURM_PROCID). TensorFlow cannot read them: {error}. "
            "Start training with `srun`, or set TF_CONFIG."
        ) from None
    cluster = Cluster(tuple(addresses), resolver.get_task_info()[1])
    _require_this_machine(cluster)
    return cluster


def _require_this_machine(cluster: Cluster) -> None:
    """TensorFlow sorts the nodes by name, Slurm need not: node10 comes before node2."""
    host = cluster.addresses[cluster.index].rpartition(":")[0]
    with contextlib.suppress(socket.gaierror), socket.socket() as probe:
        try:
            probe.bind((socket.gethostbyname(host), 0))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise ClusterError(
                    "The tasks of a Slurm step are numbered in the order of their nodes' names. "
                    f"This task, {cluster.index}, runs on {socket.gethostname()}, not on {host}. "
                    "Set TF_CONFIG instead."
                ) from None
            raise


def _require_addresses(cluster: Cluster) -> None:
    """Checks what would otherwise end in a long wait or in TensorFlow's own errors."""
    for index, address in enumerate(cluster.addresses):
        if address in cluster.addresses[:index]:
            raise ClusterError(
                "Each worker has an address of its own; workers on the same machine differ in "
                f"their ports. {address} is that of two workers, "
                f"{cluster.addresses.index(address)} and {index}."
            )
    for index, address in enumerate(cluster.addresses):
        host = address.rpartition(":")[0]
        try:
            socket.getaddrinfo(host, None)
        except socket.gaierror as error:
            raise ClusterError(
                f"The address of each worker must be known here. That of {cluster.name(index)} is "
                f"not ({error.strerror}). Check its name, or give its number."
            ) from None
