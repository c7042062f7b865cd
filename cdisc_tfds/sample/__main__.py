"""`python -m cdisc_tfds.sample`: writes a small generated competition."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from cdisc_tfds.local_path import local_path
from cdisc_tfds.sample.competition import write_sample


def _print_progress(done: int, total: int, started: float) -> None:
    rate = done / (time.monotonic() - started)
    line = f"\r{done:,} of {total:,} products, {rate:.0f}/s, {(total - done) / rate:.0f} s left "
    print(line, end="", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m cdisc_tfds.sample",
        description="Writes a small generated competition in the real one's files.",
    )
    parser.add_argument("--output_dir", required=True, help="folder for the five files")
    parser.add_argument("--products", type=int, default=3000, help="train products (3000)")
    parser.add_argument("--test_products", type=int, default=750, help="test products (750)")
    parser.add_argument("--categories", type=int, default=48, help="categories (48)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other products (0)")
    flags = parser.parse_args(argv)

    started = time.monotonic()
    interactive = sys.stderr.isatty()

    def progress(done: int, total: int) -> None:
        if interactive and (done % 20 == 0 or done == total):
            _print_progress(done, total, started)

    try:
        output_dir = local_path(flags.output_dir, "--output_dir")
        size = write_sample(
            output_dir,
            products=flags.products,
            test_products=flags.test_products,
            categories=flags.categories,
            seed=flags.seed,
            progress=progress,
        )
    except (ValueError, FileExistsError) as error:
        sys.exit(f"error: {error}")
    if interactive:
        print(file=sys.stderr)
    print(
        f"{output_dir}: {size.products:,} train products ({size.pictures:,} pictures) and "
        f"{size.test_products:,} test products ({size.test_pictures:,} pictures) in "
        f"{size.categories} categories, in {time.monotonic() - started:.0f} s"
    )


if __name__ == "__main__":
    main()
