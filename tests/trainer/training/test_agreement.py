"""When workers ask each other, and that all do the same afterwards."""

import pytest

from trainer.terminal.signals import StopFlag
from trainer.training.agreement import AgreedClock, AgreedLine, AgreedStop, Agreement
from trainer.training.hooks import CheckpointClock
from trainer.training.loop import EpochPlan


class TwoWorkers:
    """The second of two workers; the first says `chief`: (checkpoint due, line due, seconds)."""

    is_chief = False

    def __init__(self):
        self.chief = (0.0, 0.0, 0.1)
        self.asked = 0

    def sums(self, values):
        self.asked += 1
        assert values[1:].tolist() == [0, 0, 0]  # the chief's to say
        return values + [0, *self.chief]


class Line:
    shown = ()

    def due(self):
        return True

    def update(self, done, text=""):
        self.shown = (*self.shown, (done, text))

    def close(self):
        self.shown = (*self.shown, "closed")


@pytest.fixture
def parts():
    """(agreement, workers, the signal's flag, own clock)."""
    workers, stop = TwoWorkers(), StopFlag()
    clock = CheckpointClock(minutes=1e-9, steps=0)
    return Agreement(workers, stop, clock, Line()), workers, stop, clock


def asked_at(asked: Agreement, workers: TwoWorkers, first: int, steps: int) -> list[int]:
    plan, found = EpochPlan(0, first, 100, 4, 400), []
    for step in range(first, first + steps):
        before = workers.asked
        asked.before_step(plan.place(step))
        found += [step] * (workers.asked - before)
    return found


def test_they_ask_after_the_first_step_and_then_about_once_a_second(parts):
    """The chief's step of 0.25 s: every four steps; never more than ten apart."""
    asked, workers, *_ = parts
    workers.chief = (0, 0, 0.25)
    assert asked_at(asked, workers, 3, 10) == [4, 8, 12]
    workers.chief = (0, 0, 1e-4)
    assert asked_at(asked, workers, 20, 30) == [21, 31, 41]
    workers.chief = (0, 0, 7.0)
    assert asked_at(asked, workers, 60, 4) == [61, 62, 63]


def test_they_say_how_many_steps_need_no_asking(parts):
    asked, workers, *_ = parts
    plan = EpochPlan(0, 0, 100, 4, 400)
    asked.before_step(plan.place(0))
    assert asked.steps_until_due(plan.place(0)) == 1
    asked.before_step(plan.place(1))
    assert asked.steps_until_due(plan.place(1)) == 10


def test_the_chiefs_clock_and_everybodys_signals_count(parts):
    asked, workers, stop, clock = parts
    chiefs_line = Line()
    agreed_stop, agreed_clock = AgreedStop(asked), AgreedClock(asked, clock)
    others, chiefs = AgreedLine(asked, None), AgreedLine(asked, chiefs_line)
    assert clock.minutes_are_over()  # on this worker, which is not asked
    asked_at(asked, workers, 0, 2)
    assert not (agreed_stop.raised or agreed_clock.is_due(1) or others.due())
    workers.chief = (1, 1, 7.0)
    stop.signal = 15
    asked_at(asked, workers, 10, 2)
    assert agreed_stop.raised and agreed_clock.is_due(11) and others.due()
    for line in (others, chiefs):
        line.update(8, "loss 1")
        line.close()
    assert chiefs_line.shown == ((8, "loss 1"), "closed")


def test_an_agreement_holds_for_one_step(parts):
    asked, workers, stop, _ = parts
    stop.signal = 15
    workers.chief = (0, 0, 0.2)
    asked_at(asked, workers, 0, 2)
    assert asked.stop_asked
    asked.before_step(EpochPlan(0, 0, 100, 4, 400).place(2))
    assert not asked.stop_asked
