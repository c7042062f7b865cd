"""Coverage-guided fuzzing of the BSON reader and the record encoder.

    pip install -e '.[fuzz]'
    python -m tests.fuzz.fuzz_bson -max_total_time=600 CORPUS_DIR tests/fuzz/seeds

The options are libFuzzer's. Put an input that fails into tests/fuzz/seeds/, where
`tests/test_fuzz_seeds.py` finds it.
"""

import sys

import atheris

with atheris.instrument_imports(include=["cdisc_tfds"]):
    from tests.fuzz.targets import check


def main() -> None:
    limits = ["-timeout=20", "-rss_limit_mb=1500", "-max_len=20000"]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[1:]], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
