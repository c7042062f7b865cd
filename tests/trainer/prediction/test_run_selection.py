import os

import pytest

from trainer.prediction.run_selection import RunSelection
from trainer.terminal.option import OptionError


def test_one_run():
    selection = RunSelection(run_dir="a")
    assert (selection.folders, selection.weights) == (("a",), (1.0,))


def test_several_runs():
    selection = RunSelection(run_dirs="a, ~/b,c", run_weights="2,1,1")
    assert selection.folders == ("a", os.path.expanduser("~/b"), "c")
    assert selection.weights == (0.5, 0.25, 0.25)
    assert RunSelection(run_dirs="a,b,c,d").weights == (0.25,) * 4
    assert RunSelection(run_dirs="a,b", run_weights="fit").weights is None


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({}, "with --run_dirs=A,B,C. Received: neither."),
        ({"run_dir": "a", "run_dirs": "a,b"}, "with --run_dirs=A,B,C. Received: both."),
        ({"run_dir": "a", "run_weights": "1"}, "Received: --run_weights=1 with --run_dir. Leave"),
        ({"run_dirs": "a"}, "at least two folders.* Received: 'a'. Name a single run with --run_d"),
        ({"run_dirs": "a,,b"}, "nothing left out. Received: 'a,,b'"),
        ({"run_dirs": "a,b,./a"}, "each run once. Received twice: a."),
        ({"run_dirs": "a,gs:/b"}, "--run_dirs must be a path, or an address such as gs://BUCKET"),
        ({"run_dirs": "gs://b/a,gs://b/c/../a/"}, "each run once. Received twice: gs://b/a."),
    ],
)
def test_contradictions_are_sentences(flags, text):
    with pytest.raises(OptionError, match=text):
        _ = RunSelection(**flags).folders, RunSelection(**flags).weights


@pytest.mark.parametrize("weights", ["1", "1,2,3", "0,0", "1,-1", "1,x", "1,nan", "inf,1", ""])
def test_wrong_weights_are_a_sentence(weights):
    with pytest.raises(OptionError, match="each of the 2 runs in --run_dirs, not all 0, .*Rec"):
        _ = RunSelection(run_dirs="a,b", run_weights=weights).weights
