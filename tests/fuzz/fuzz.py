"""Coverage-guided fuzzing of the BSON reader and the record encoder.

    pip install -e '.[fuzz]'
    python -m tests.fuzz.fuzz bson -max_total_time=600 CORPUS_DIR tests/fuzz/seeds/bson
    python -m tests.fuzz.fuzz records -max_total_time=600 CORPUS_DIR tests/fuzz/seeds/records

The options are libFuzzer's. Put an input that fails into the folder of seeds, where
`tests/test_fuzz_seeds.py` finds it.
"""

import sys

import atheris

with atheris.instrument_imports(include=["cdisc_tfds"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    # A file takes at most twice its size in memory, so the limit is the interpreter's and TFDS's.
    limits = ["-timeout=20", "-rss_limit_mb=1500", "-max_len=20000"]
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
