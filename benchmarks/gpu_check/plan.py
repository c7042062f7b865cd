"""Which sections are measured, in which order, and how long each takes.

The order is by worth: what does not fit into the time is left out at the end.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.gpu_check.task import PRECISIONS, Task
from benchmarks.settings import Settings

# Pictures per step on a GPU: enough to fill a large card; for the study's small network its own 20.
_BATCH_SIZES = {"solution1_1": 20, "solution1_2": 20}
_BATCH_SIZE = 128
NETWORKS = ("inception", "cnn", "efficientnet_lite0", "solution1_1", "efficientnet_lite2")
# The precision in which peers train on a GPU.
PEER_PRECISION = "mixed_bfloat16"
_LIMIT = 2.5  # times the expected cost, on a GPU


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the check.

    Attributes:
      name: its name in the table and for --only.
      module: module of `benchmarks.gpu_check` that measures it.
      task: what it measures.
      cost: seconds that it is expected to take; it is not begun with less time left.
      limit: seconds after which it is ended, so that one that hangs does not take all the time.
    """

    name: str
    module: str
    task: Task
    cost: float
    limit: float = math.inf


def sizes(
    work_dir: pathlib.Path, input_dir: pathlib.Path | None, gpu: bool, short: bool
) -> Settings:
    """Sizes of data and measurements.

    On a GPU an epoch must last three seconds at 8,000 pictures/s: 40,000 products have 56,000
    training pictures.
    """
    common = Settings(work_dir, input_dir, repeats=2, seconds=2.0)
    if short:
        changes = {"products": 300, "sample_products": 96, "image_size": 96, "shuffle_buffer": 64}
        return dataclasses.replace(common, repeats=1, seconds=0.2, **changes)
    if gpu:
        return common
    return dataclasses.replace(common, products=4000, sample_products=800, repeats=1, seconds=1.0)


def sections(base: Task, networks: Sequence[str], gpu: bool, short: bool) -> list[Section]:
    """The sections after `versions` and `data`, most valuable first."""
    if short:
        return _short(base, networks)
    if not gpu:
        return list(_on_cpu(base, networks))
    return [
        dataclasses.replace(section, limit=_LIMIT * section.cost)
        for section in _on_gpu(base, networks)
    ]


def _short(base: Task, networks: Sequence[str]) -> list[Section]:
    # The other tests run in the ordinary suite.
    tests = dataclasses.replace(base, tests="tests/gpu/test_memory.py")
    return [
        Section("tests", "tests", tests, 20),
        *(_network(base, name, "float32", 20) for name in networks),
        _decoding(base, "tf", 12),
        _decoding(base, "dali", 8),
        _peer("keras", base, networks[0], "float32", 15),
        _peer("torch", base, networks[0], "float32", 5),
    ]


def _on_cpu(base: Task, networks: Sequence[str]) -> Iterator[Section]:
    """The same sections in a few minutes; one precision, without settings that are for GPUs."""
    yield Section("tests", "tests", base, 90)
    for name in networks:
        yield _network(base, name, "float32", 60)
    yield _decoding(base, "tf", 15)
    yield _decoding(base, "dali", 15)
    yield _peer("keras", base, networks[0], "float32", 60)
    yield _peer("torch", base, networks[0], "float32", 60)
    yield _network(base, _small(networks), "mixed_bfloat16", 60)


def _on_gpu(base: Task, networks: Sequence[str]) -> Iterator[Section]:
    base = dataclasses.replace(base, batch_size=_BATCH_SIZE)
    first, *others = networks
    main = PEER_PRECISION
    yield Section("tests", "tests", base, 100)
    yield _network(base, first, main, 75)
    for name in others[:1]:
        yield _network(base, name, main, 40)
    yield _decoding(base, "tf", 15)
    yield _decoding(base, "dali", 25)
    yield _peer("keras", base, first, main, 130)
    yield _peer("torch", base, first, main, 60)
    for name in others[1:]:
        yield _network(base, name, main, 45)
    rest = [name for name in PRECISIONS if name != main]
    for precision in rest:
        yield _network(base, first, precision, 70)
    for name in (first, *others[:1]):
        yield _network(base, name, main, 40, xla="off")
    yield _network(base, first, main, 150, deterministic=False)  # XLA compiles all of it
    yield _network(base, _small(networks), main, 30, steps_per_call=1)
    for name in others[:1]:
        yield _network(base, name, main, 40, decoder="tf")
    yield _network(base, first, main, 60, batch_size=20)
    for name in others[:1]:
        yield _network(base, name, main, 40, deterministic=False)
    for name in others:
        for precision in rest:
            yield _network(base, name, precision, 45)
    for name in others[1:]:
        yield _network(base, name, main, 40, xla="off")


def _small(networks: Sequence[str]) -> str:
    """The network with the shortest steps."""
    return "solution1_1" if "solution1_1" in networks else networks[-1]


def _network(
    base: Task,
    name: str,
    precision: str,
    cost: float,
    batch_size: int | None = None,
    **changes: Any,
) -> Section:
    task = dataclasses.replace(
        base,
        network=name,
        precision=precision,
        batch_size=batch_size or min(base.batch_size, _BATCH_SIZES.get(name, base.batch_size)),
        changes=tuple(changes.items()),
    )
    return Section(task.label, "network", task, cost)


def _decoding(base: Task, decoder: str, cost: float) -> Section:
    task = dataclasses.replace(base, changes=(("decoder", decoder),))
    return Section(f"decoding with {decoder}", "decoding", task, cost)


def _peer(peer: str, base: Task, network: str, precision: str, cost: float) -> Section:
    module = {"keras": "keras_fit", "torch": "torch_training"}[peer]
    task = dataclasses.replace(base, network=network, precision=precision)
    return Section(f"peer: {peer}", module, task, cost)
