"""Measures what the exchange between machines costs: two workers against one, on the same cores.

    python -m benchmarks.workers [--input_dir=DIR] [--products=40000]

Both train the same network through the real command, with the same batches (`--lanes=2`). Each of
the two workers has half of the machine's cores; they exchange gradients through the loopback
interface, which no network is as fast as. So this is the cost of the work, not of the wire.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.data import data_dir
from benchmarks.measure import take_turns
from benchmarks.settings import Settings
from benchmarks.table import Row, compare
from trainer.runs.folder import RunFolder

_BATCH_SIZE = 32
_NETWORKS = ("solution1_1", "cnn")
_PRODUCTS = {"solution1_1": 1500, "cnn": 250}  # an epoch of about ten seconds on two cores


def rate(settings: Settings, network: str, workers: int) -> float:
    """Pictures per second of the second epoch, of all workers together."""
    run_dir = settings.work_dir / f"workers-{network}-{workers}"
    shutil.rmtree(run_dir, ignore_errors=True)
    count = _PRODUCTS[network]
    flags = [
        f"--data_dir={data_dir(settings, settings.products)}",
        f"--run_dir={run_dir}",
        f"--model={network}",
        f"--train_split=train[:{count}]",
        f"--validation_split=train[{count}:{count + 50}]",
        f"--image_size={settings.image_size}",
        f"--batch_size={_BATCH_SIZE}",
        "--epochs=2",
        "--lanes=2",
    ]
    cores = sorted(os.sched_getaffinity(0))
    share = max(1, len(cores) // workers)
    ports = _free_ports(workers)
    processes = [
        _started(flags, set(cores[index * share : (index + 1) * share]), ports, index)
        for index in range(workers)
    ]
    statuses = [process.wait() for process in processes]
    if any(statuses):
        raise RuntimeError(f"the workers ended with {statuses}")
    return RunFolder(run_dir).history[1].pictures_per_second


def _started(
    flags: Sequence[str], cores: set[int], ports: Sequence[int], index: int
) -> subprocess.Popen[bytes]:
    """A worker, bound to some of the cores."""
    task = {"type": "worker", "index": index}
    addresses = [f"127.0.0.1:{port}" for port in ports]
    config = json.dumps({"cluster": {"worker": addresses}, "task": task})
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer.main", *flags],
        cwd=pathlib.Path(__file__).parents[1],
        env=os.environ | {"TF_CONFIG": config},
        stdout=subprocess.DEVNULL,
    )
    os.sched_setaffinity(process.pid, cores)  # its threads are yet to come
    return process


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def run(settings: Settings) -> list[Row]:
    """The rows of this part."""
    rows = []
    for network in _NETWORKS:
        rates = take_turns(
            "workers",
            {
                "two": lambda network=network: rate(settings, network, 2),
                "one": lambda network=network: rate(settings, network, 1),
            },
            settings.repeats,
        )
        rows.append(
            compare(
                "workers",
                f"training `{network}` with two workers on this machine",
                "one process on the same cores",
                "pictures/s",
                rates["two"],
                rates["one"],
                at_least=0.8,
            )
        )
    return rows


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(only="workers"))
