"""Workers that each do a part tell each other how far they are, and when one fails."""

import pytest

from tests.helpers.thread_workers import together
from trainer.cluster import shared_work
from trainer.cluster.shared_work import work_of
from trainer.cluster.workers import ALONE, WorkersError
from trainer.terminal.command import Preempted
from trainer.terminal.signals import StopAsked


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(shared_work, "_SECONDS", 0.001)


def test_all_leave_when_all_are_finished():
    finished = []

    def do(workers):
        with work_of(workers, "counting", 6, "items") as work:
            for _ in range(workers.this.index):
                work.did(1)
            finished.append(workers.this.index)
        assert sorted(finished) == [0, 1, 2]

    assert together(3, do) == [None] * 3


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ValueError("it is cold"), WorkersError, "worker 1 cannot go on: it is cold"),
        (StopAsked(), StopAsked, ""),
        (Preempted("Stopped."), Preempted, "worker 1 was stopped. All workers end"),
    ],
)
def test_all_end_when_one_does(error, kind, text):
    """Also those that would work on for ever, or are finished."""

    def do(workers):
        with work_of(workers, "counting", 6, "items") as work:
            if workers.this.index == 1:
                raise error
            while workers.this.index == 0:
                work.did(1)

    first, second, third = together(3, do)
    assert second is error
    for other in (first, third):
        assert type(other) is kind and str(other).startswith(text)


def test_the_progress_is_that_of_all(monkeypatch):
    shown = []
    monkeypatch.setattr(
        shared_work.ProgressLine, "update", lambda line, done, text="": shown.append(done)
    )

    def do(workers):
        with work_of(workers, "counting", 60, "items", done=7) as work:
            work.did(10 * (workers.this.index + 1))

    assert together(2, do) == [None, None]
    assert shown[-1] == 7 + 10 + 20


def test_a_worker_alone_shows_its_own(capsys, monkeypatch):
    shown = []
    monkeypatch.setattr(
        shared_work.ProgressLine, "update", lambda line, done, text="": shown.append(done)
    )
    with work_of(ALONE, "counting", 6, "items", done=1) as work:
        work.did(2)
        work.did(3)
    assert shown == [3, 6]
