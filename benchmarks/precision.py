"""Is the arithmetic that `--precision=auto` chooses the faster one here?

    python -m benchmarks.precision

Two networks of the same kind, compiled by the trainer under either policy, take turns on one batch
held in memory.
"""

from __future__ import annotations

import sys

from benchmarks.measure import take_turns
from benchmarks.settings import Settings
from benchmarks.table import Row, compare
from benchmarks.training import compiled_network, steps_in, training_config, training_data

NETWORKS = ("cnn", "inception")
_FASTER = 1.25
_NOT_SLOWER = 0.97  # two runs of the same differ by so much


def run(settings: Settings) -> list[Row]:
    """A row for each of NETWORKS that `settings.networks` has."""
    data = training_data(settings)
    return [_row(settings, data, name) for name in NETWORKS if name in settings.networks]


def _row(settings: Settings, data, name: str) -> Row:
    auto = training_config(settings, data, name, precision="auto")
    plain = training_config(settings, data, name, precision="float32")
    networks = {
        config: compiled_network(config, data) for config in (auto, plain)
    }  # one if they are the same
    rates = {config: network.step_rate(2) for config, network in networks.items()}
    steps = {config: steps_in(settings.seconds, rate) for config, rate in rates.items()}
    results = take_turns(
        "precision",
        {
            f"{name} {config.precision}": lambda c=config: networks[c].step_rate(steps[c])
            for config in networks
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
        [auto.batch_size * rate for rate in ours],
        [plain.batch_size * rate for rate in theirs],
        at_least=_NOT_SLOWER if same else _FASTER,
        note="this hardware multiplies no 16-bit floats: `auto` is float32" if same else "",
    )


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(only="precision"))
