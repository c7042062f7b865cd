"""Options from arguments and from the environment."""

import os

import pytest

from cdisc_tfds.build.options import BuildOptionError, BuildOptions


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("CDISCOUNT_"):
            monkeypatch.delenv(name)


def test_defaults():
    options = BuildOptions.resolve()
    assert options == BuildOptions(options.num_processes, False, None, False, False)
    assert 1 <= options.num_processes <= os.cpu_count()


def test_environment_fills_in_what_is_not_given(monkeypatch):
    monkeypatch.setenv("CDISCOUNT_NUM_PROCESSES", "7")
    monkeypatch.setenv("CDISCOUNT_KEEP_GOING", "1")
    monkeypatch.setenv("CDISCOUNT_STOCK_WRITER", "0")
    assert BuildOptions.resolve() == BuildOptions(7, True, None, False, False)
    monkeypatch.setenv("CDISCOUNT_REREAD", "0")
    assert BuildOptions.resolve(2, False) == BuildOptions(2, False, False, False, False)
    assert BuildOptions.resolve(2, False, True, True) == BuildOptions(2, False, True, True, False)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("NUM_PROCESSES", "many", "CDISCOUNT_NUM_PROCESSES must be a whole number.*'many'"),
        ("NUM_PROCESSES", "0", r"`num_processes` must be 1 or more. Received: 0\."),
        ("KEEP_GOING", "yes", r"CDISCOUNT_KEEP_GOING must be 0 or 1. Received: 'yes'\."),
    ],
)
def test_unusable_values(monkeypatch, name, value, message):
    monkeypatch.setenv("CDISCOUNT_" + name, value)
    with pytest.raises(BuildOptionError, match=message):
        BuildOptions.resolve()
