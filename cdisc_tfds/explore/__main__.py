"""`python -m cdisc_tfds.explore`: a page to look at the data before training."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from cdisc_tfds.local_path import local_path
from cdisc_tfds.machine import num_cores


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cdisc_tfds.explore",
        description="Makes a page of a built data set: its categories by size, the long tail, "
        "sizes, exact duplicates, pictures of several categories, examples, and what the build "
        "left out.",
    )
    parser.add_argument("--data_dir", help="where `tfds build cdiscount` put the data set")
    parser.add_argument("--output", default="data.html", help="the page to write (data.html)")
    parser.add_argument(
        "--report",
        help="a report by `python -m trainer.report` to link to; it may be made later, with "
        "--data_page for the way back",
    )
    parser.add_argument(
        "--shards",
        type=int,
        default=0,
        help="read at most so many shards of each split, chosen at random; without the search for "
        "exact duplicates, which needs them all (0: all)",
    )
    parser.add_argument("--examples", type=int, default=4, help="examples of each category (4)")
    parser.add_argument(
        "--max_examples", type=int, default=2000, help="examples on the page (2000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, other examples (0)")
    parser.add_argument(
        "--processes", type=int, default=num_cores(), help="processes that read (all cores)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = _parser().parse_args(argv)
    # These import TFDS and Matplotlib, which take seconds; `--help` should not wait for them.
    from tensorflow_datasets.core.utils import tqdm_utils

    from cdisc_tfds.explore.exploration import ExploreOptions, write_exploration
    from cdisc_tfds.explore.scan import OnBytes

    def on_start(num_bytes: int) -> OnBytes:
        bar = tqdm_utils.tqdm(
            total=num_bytes, desc="reading", unit="B", unit_scale=True, mininterval=1, leave=False
        )

        def on_bytes(number: int) -> None:
            bar.update(number)
            if bar.n >= num_bytes:
                bar.close()

        return on_bytes

    try:
        data_dir = None if flags.data_dir is None else local_path(flags.data_dir, "--data_dir")
        output = local_path(flags.output, "--output")
        options = ExploreOptions(
            shards=flags.shards,
            examples=flags.examples,
            max_examples=flags.max_examples,
            seed=flags.seed,
            processes=flags.processes,
            report=None if flags.report is None else local_path(flags.report, "--report"),
        )
        csv_path = write_exploration(data_dir, output, options, on_start)
    except KeyboardInterrupt:
        print("\nStopped by the keyboard. Nothing was written.", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) or type(error).__module__.startswith("cdisc_tfds."):
            sys.exit(f"error: {error}")
        raise
    print(os.path.abspath(output))
    if csv_path is not None:
        print(f"Pictures of several categories: {csv_path.absolute()}")
    if options.report is not None and not os.path.exists(options.report):
        print(
            f"The page links to {options.report}, which does not exist yet: make it with "
            "`python -m trainer.report`.",
            file=sys.stderr,
        )


if __name__ == "__main__":
    main()
