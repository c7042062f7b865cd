import io

import pytest

from cdisc_tfds import progress_line as progress
from cdisc_tfds.progress_line import ProgressLine, duration


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3723, "1:02:03")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_rate_and_eta_leave_out_what_was_done_before(clock):
    stream = io.StringIO()
    line = ProgressLine("epoch 1/2", 1000, "pictures", done=400, stream=stream)
    clock[0] += 50
    line.update(500, "loss 1.0")
    assert stream.getvalue() == "epoch 1/2  500/1,000  2 pictures/s  ETA 4:10  loss 1.0\n"


def test_a_file_gets_a_line_now_and_then(clock):
    stream = io.StringIO()
    line = ProgressLine("reading", None, "products", stream=stream)
    for done in range(100):
        clock[0] += 1
        line.update(done)
    assert stream.getvalue().count("\n") == 3


def test_a_terminal_line_is_rewritten_and_cleared(clock):
    stream = io.StringIO()
    stream.isatty = lambda: True
    line = ProgressLine("reading", 10, "products", stream=stream)
    clock[0] += 1
    line.update(5)
    line.close("done")
    assert stream.getvalue().endswith("\rdone\n")
    assert stream.getvalue().count("\n") == 1
