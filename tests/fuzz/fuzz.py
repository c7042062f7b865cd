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
    # Atheris's own tracing grows by some 15 KB an input: `tests/test_fuzz_seeds.py` starts it anew
    # each minute. The targets alone stay at what the imports take.
    limits = ["-timeout=20", "-rss_limit_mb=2000", "-max_len=20000"]
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
