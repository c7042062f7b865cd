"""Compares the service under load with the network's forward pass on pictures in memory.

    python -m benchmarks.serve [--networks=cnn,inception]

`python -m trainer.serve` runs in a process of its own, and the clients in another. Each client
sends one picture at a time, over one connection, and waits for its answer. They share the cores
with the network, as clients on other machines would not. A lost answer, or one that is not what
the picture gets alone, ends the benchmark; so that the two can be compared, the networks work in
float32. The weights come from one training step.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import tensorflow as tf

from benchmarks.input import training_jpegs
from benchmarks.measure import say, take_turns
from benchmarks.serve_clients import Tally
from benchmarks.settings import Settings
from benchmarks.table import Row, compare
from benchmarks.training import train_with, training_config, training_data
from trainer.data.dataset import CdiscountData
from trainer.data.tf_decoding import decode_jpeg
from trainer.prediction.loading import load_predictor
from trainer.prediction.predictor import Predictor

NETWORKS = ("cnn", "inception")
CLIENTS = 16
_PICTURES = 64
_RATE, _LATENCY, _WORK = 0.7, 1.5, 1.3  # targets


class ServeError(RuntimeError):
    """The service did not start, or gave a wrong answer."""


def run(settings: Settings) -> list[Row]:
    """Four rows for each of NETWORKS in `settings.networks`."""
    data = training_data(settings)
    return [
        row for name in NETWORKS if name in settings.networks for row in _rows(settings, data, name)
    ]


def _rows(settings: Settings, data: CdiscountData, name: str) -> list[Row]:
    config = training_config(settings, data, name, epochs=1, precision="float32")
    jpegs = training_jpegs(settings, _PICTURES)
    with tempfile.TemporaryDirectory() as folder:
        run_dir, pictures = pathlib.Path(folder) / "run", pathlib.Path(folder) / "pictures"
        train_with(config, data, run_dir, lambda epoch: epoch.run(1))
        pictures.mkdir()
        for number, jpeg in enumerate(jpegs):
            (pictures / f"{number:03}.jpg").write_bytes(jpeg)
        predictor = load_predictor(run_dir)
        images = tf.stack([decode_jpeg(jpeg, predictor.image_size) for jpeg in jpegs])
        with service(run_dir) as (address, process):

            def clients(number: int) -> Tally:
                return asked(address, pictures, number, settings.seconds, process)

            def work_of_service() -> float:
                tally = clients(CLIENTS)
                return 1000 * tally.service_seconds / tally.requests

            turns = {
                "clients": lambda: clients(CLIENTS),
                "batch": lambda: forward(predictor, images, settings.seconds),
                "one client": lambda: clients(1),
                "one picture": lambda: forward(predictor, images[:1], settings.seconds),
                "service's cores": work_of_service,
                "network's cores": lambda: work_of_network(predictor, images, settings.seconds),
            }
            for warm_up in turns.values():  # oneDNN prepares for each batch size
                warm_up()
            results = take_turns(f"serve, {name}", turns, settings.repeats)
    return _table(f"{name} ({config.precision})", results)


def _table(network: str, results: dict[str, list[Any]]) -> list[Row]:
    many, alone = results["clients"], results["one client"]
    return [
        compare(
            "serve",
            f"{CLIENTS} clients of {network}, one picture a request",
            "the network on a batch in memory",
            "pictures/s",
            [rate(tally) for tally in many],
            results["batch"],
            at_least=_RATE,
        ),
        compare(
            "serve",
            f"one client of {network}, median latency",
            "the network on a picture in memory",
            "ms",
            [percentile(tally, 50) for tally in alone],
            [1000 / each for each in results["one picture"]],
            at_most=_LATENCY,
        ),
        compare(
            "serve",
            f"{CLIENTS} clients of {network}, processor time of the service a picture",
            "the network on a batch in memory",
            "ms",
            results["service's cores"],
            results["network's cores"],
            at_most=_WORK,
        ),
        Row(
            "serve",
            f"{CLIENTS} clients of {network}, 99th percentile of the latency",
            unit="ms",
            ours=float(np.median([percentile(tally, 99) for tally in many])),
            note=f"the 50th is {np.median([percentile(tally, 50) for tally in many]):.0f} ms; "
            f"{sum(tally.requests for tally in many):,} requests, none lost or mixed up",
        ),
    ]


def rate(tally: Tally) -> float:
    """Pictures per second."""
    return tally.requests / tally.seconds


def percentile(tally: Tally, percent: float) -> float:
    """A percentile of the latencies, in milliseconds."""
    return 1000 * float(np.percentile(tally.latencies, percent))


def forward(predictor: Predictor, images: tf.Tensor, seconds: float) -> float:
    """Pictures per second of the network on these pictures, again and again."""
    pictures, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        predictor.probabilities(images)
        pictures += len(images)
    return pictures / elapsed


def work_of_network(predictor: Predictor, images: tf.Tensor, seconds: float) -> float:
    """Milliseconds of all cores that a picture takes in the network."""
    before = time.process_time()
    start = time.perf_counter()
    rate = forward(predictor, images, seconds)
    pictures = rate * (time.perf_counter() - start)
    return 1000 * (time.process_time() - before) / pictures


def asked(
    address: str, pictures: pathlib.Path, clients: int, seconds: float, service: psutil.Process
) -> Tally:
    """What so many clients of a service see in some seconds.

    Raises:
      ServeError: if an answer was lost or is that of another picture.
    """
    words = [address, str(pictures), str(clients), str(seconds), str(service.pid)]
    command = [sys.executable, "-m", "benchmarks.serve_clients", *words]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    tally = Tally(**json.loads(result.stdout))
    if tally.lost or tally.mixed_up:
        raise ServeError(
            f"Of {tally.requests:,} requests of {clients} clients, {tally.lost:,} were lost "
            f"and {tally.mixed_up:,} got the answer of another picture."
        )
    return tally


@contextlib.contextmanager
def service(run_dir: pathlib.Path) -> Iterator[tuple[str, psutil.Process]]:
    """A service of a run on a free port: the address of its predict method, and its process."""
    command = [sys.executable, "-m", "trainer.serve", f"--run_dir={run_dir}", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = iter(process.stdout.readline, "")
            addresses = (re.search(r"http://(\S+:predict)$", line.rstrip()) for line in lines)
            found = next(filter(None, addresses), None)
            if found is None:
                raise ServeError("The service did not start; its message is above.")
            say(f"serve: {found[1]}")
            yield found[1], psutil.Process(process.pid)
        finally:
            process.terminate()


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(only="serve"))
