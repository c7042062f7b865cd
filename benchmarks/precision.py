"""Checks that `--precision=auto` chooses the faster arithmetic on this machine.

    python -m benchmarks.precision

The trainer's training steps under the two policies take turns on one batch in memory.
"""

from __future__ import annotations

import functools
import sys

from benchmarks.measure import take_turns
from benchmarks.settings import Settings
from benchmarks.table import Row, compare
from benchmarks.training import first_epoch_in_memory, steps_in, training_config, training_data
from trainer.data.dataset import CdiscountData
from trainer.settings.config import Config

NETWORKS = ("cnn", "inception")
_FASTER = 1.25
_NOT_SLOWER = 0.97  # two runs of the same step differ by this much


def run(settings: Settings) -> list[Row]:
    """One row for each of NETWORKS in `settings.networks`."""
    data = training_data(settings)
    return [_row(settings, data, name) for name in NETWORKS if name in settings.networks]


def _row(settings: Settings, data: CdiscountData, name: str) -> Row:
    auto = training_config(settings, data, name, precision="auto")
    plain = training_config(settings, data, name, precision="float32")
    configs = dict.fromkeys((auto, plain))  # one config if they are equal
    epochs = {config: first_epoch_in_memory(config, data) for config in configs}

    def rate(config: Config, steps: int) -> float:
        return epochs[config].timed(steps, warm_up=1).steps_per_second

    steps = {config: steps_in(settings.seconds, rate(config, 2)) for config in epochs}
    results = take_turns(
        "precision",
        {
            f"{name} {config.precision}": functools.partial(rate, config, steps[config])
            for config in epochs
        },
        settings.repeats,
    )
    ours = results[f"{name} {auto.precision}"]
    theirs = results[f"{name} float32"]
    same = auto.precision == "float32"
    return compare(
        "precision",
        f"{name}, --precision=auto ({auto.precision}), batch {auto.batch_size}",
        "float32",
        "pictures/s",
        [auto.batch_size * value for value in ours],
        [plain.batch_size * value for value in theirs],
        at_least=_NOT_SLOWER if same else _FASTER,
        note="this hardware multiplies no 16-bit floats: `auto` is float32" if same else "",
    )


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(only="precision"))
