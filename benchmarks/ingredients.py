"""What each ingredient of training gives: trains with it and without, over several seeds.

    python -m benchmarks.ingredients --data_dir=DIR [--seeds=5] [--only=flip,mixup] [--json=FILE]

Each ingredient is added to the same base, on the same products, and is validated by product after
the last epoch. A fifth of `train` is trained on, another fifth validated: with more, nearly all is
right and ingredients differ by less than the seeds do. The seed changes the new layers, the order
of the pictures and every random draw. The gain is the mean difference to the base with the same
seed. With --json, finished runs are kept in the file and not repeated.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import pathlib
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from benchmarks.measure import say
from cdisc_tfds.whole_files import whole_file
from trainer.data.dataset import CdiscountData, open_dataset
from trainer.settings.resolve import resolve
from trainer.settings.settings import Settings
from trainer.training.train import train

BASE: dict[str, Any] = {
    "model": "efficientnet_lite0",
    "image_size": 64,
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "schedule": "cosine",
    "warmup_epochs": 0.5,
    "epochs": 6,
    "train_split": "train[:20%]",
    "validation_split": "train[80%:]",
    "augment": "none",
    "batch_norm_momentum": 0.9,
    "precision": "float32",
}
INGREDIENTS: dict[str, dict[str, Any]] = {
    "base": {},
    "no pretrained weights": {"weights": "none"},
    "head alone": {"trainable": "head"},
    "batch_norm_momentum 0.99": {"batch_norm_momentum": 0.99},
    "batch_norm frozen": {"batch_norm": "frozen"},
    "recalibrate 50": {"recalibrate": 50},
    "flip": {"augment": "flip"},
    "flip_shift": {"augment": "flip_shift"},
    "zoom 0.75 to 1.33": {"zoom": (0.75, 1.33)},
    "rotate 15": {"rotate": 15.0},
    "colour 0.2": {"colour": 0.2},
    "rand_augment 2": {"rand_augment": 2},
    "erase 0.25": {"erase": 0.25},
    "mixup 0.2": {"mixup": 0.2},
    "cutmix 1": {"cutmix": 1.0},
    "label_smoothing 0.1": {"label_smoothing": 0.1},
    "ema 0.98": {"ema_momentum": 0.98},
    "layer_decay 0.9": {"layer_decay": 0.9},
    "clip_norm 1": {"clip_norm": 1.0},
    "batch_size 128 in 32": {"batch_size": 128, "micro_batch": 32},
    "class_balance 0.5": {"class_balance": 0.5},
    "sampling_balance 0.5": {"sampling_balance": 0.5},
    "distinct_epochs 2": {"distinct_epochs": 2},
    "levels 0.2": {"level1_weight": 0.2, "level2_weight": 0.2},
    "train_sizes 48 and 64": {"train_sizes": (48, 64)},
    "pseudo_label_split test": {"pseudo_label_split": "test"},
}


@dataclasses.dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
      accuracy: share of the validation products with the right category, after the last epoch.
      seconds: duration of the training.
    """

    accuracy: float
    seconds: float


def measure(changes: Mapping[str, Any], seed: int, data: CdiscountData) -> Result:
    """Trains the base with `changes` and validates it."""
    keras.utils.clear_session(free_memory=True)
    settings = Settings.of(**(BASE | dict(changes)), seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        run = train(resolve(settings, data), pathlib.Path(folder, "run"), data)
        return Result(run.history[-1].val_product_accuracy, round(time.monotonic() - started, 1))


def mean_and_error(values: Sequence[float]) -> str:
    """The mean and its standard error, in percent."""
    mean = f"{100 * statistics.fmean(values):.2f}"
    if len(values) < 2:
        return mean
    return f"{mean} ± {100 * statistics.stdev(values) / math.sqrt(len(values)):.2f}"


def table(results: Mapping[str, Mapping[int, Result]]) -> str:
    """Markdown: by ingredient, the accuracy, the gain over the base, and the time."""
    base = results["base"]
    lines = ["| ingredient | accuracy | gain | seconds |", "|---|---|---|---|"]
    for name, runs in results.items():
        gains = [run.accuracy - base[seed].accuracy for seed, run in runs.items() if seed in base]
        lines.append(
            f"| {name} | {mean_and_error([run.accuracy for run in runs.values()])} | "
            f"{mean_and_error(gains) if name != 'base' else ''} | "
            f"{statistics.median(run.seconds for run in runs.values()):.0f} |"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Formatter)
    parser.add_argument("--data_dir", required=True, help="as `tfds build cdiscount` has it")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", help="names of ingredients, with commas between")
    parser.add_argument("--json", type=pathlib.Path, help="file that keeps the finished runs")
    flags = parser.parse_args(argv)
    names = ["base", *flags.only.split(",")] if flags.only else list(INGREDIENTS)
    if unknown := set(names) - set(INGREDIENTS):
        parser.error(f"--only must name some of {', '.join(INGREDIENTS)}. Received: {unknown}.")
    data = open_dataset(flags.data_dir)
    kept = json.loads(flags.json.read_text()) if flags.json and flags.json.exists() else {}
    # A seed after the other, so that a machine that slows down treats all alike.
    for seed in range(flags.seeds):
        for name in names:
            runs = kept.setdefault(name, {})
            if str(seed) in runs:
                continue
            result = measure(INGREDIENTS[name], seed, data)
            runs[str(seed)] = dataclasses.asdict(result)
            say(f"{name}, seed {seed}: {result.accuracy:.4f} in {result.seconds:.0f} s")
            if flags.json:
                with whole_file(flags.json) as file:
                    file.write(json.dumps(kept, indent=1).encode())
    print(
        table(
            {
                name: {int(seed): Result(**values) for seed, values in kept[name].items()}
                for name in names
            }
        )
    )
    return 0


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    pass


if __name__ == "__main__":
    raise SystemExit(main())
