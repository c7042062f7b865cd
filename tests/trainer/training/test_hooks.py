"""Each hook by itself, with places instead of training."""

import pytest

from trainer.runs.state import CurveWindow
from trainer.terminal.signals import StopFlag
from trainer.training import hooks
from trainer.training.hooks import CheckpointClock
from trainer.training.loop import EpochPlan, run_steps
from trainer.training.step import MetricValues


def _places(first=0, steps=7, epoch=0):
    plan = EpochPlan(epoch, first, steps, batch_size=4, total_pictures=26, steps_before=100)
    return [plan.place(step) for step in range(first, steps)]


def test_a_place_counts_steps_and_pictures():
    places = _places(first=5)
    assert [place.pictures for place in places] == [20, 24]
    assert [place.global_step for place in places] == [105, 106]
    assert [place.is_first for place in places] == [True, False]
    plan = EpochPlan(0, 0, 7, batch_size=4, total_pictures=26)
    assert plan.place(7).pictures == 26  # the last batch is smaller


def _calls(make, places):
    """The steps at which a hook calls its function."""
    steps = []
    hook = make(lambda place: steps.append(place.step))
    for place in places:
        hook.before_step(place)
    return steps


def test_the_loss_is_looked_at_every_few_steps():
    assert _calls(lambda call: hooks.FiniteCheck(call, every=3), _places()) == [3, 6]
    assert _calls(lambda call: hooks.FiniteCheck(call, every=3), _places(first=3)) == [6]


def test_checkpoints_by_steps_and_by_minutes(monkeypatch):
    clock = CheckpointClock(minutes=10, steps=2)
    assert _calls(lambda call: hooks.Checkpoints(clock, call), _places()) == [2, 4, 6]
    assert not clock.minutes_are_over()
    now = [0.0]
    monkeypatch.setattr(hooks.time, "monotonic", lambda: now[0])
    clock = CheckpointClock(minutes=1, steps=0, last=0.0)
    steps = []

    def save(place):
        steps.append(place.step)
        clock.restart()

    hook = hooks.Checkpoints(clock, save)
    for place in _places():
        now[0] += 25
        hook.before_step(place)
    assert steps == [2, 5]  # after 75 s, and 75 s later


def test_a_raised_flag_stops_between_two_steps_but_not_before_the_first():
    flag = StopFlag()
    hook_of = lambda call: hooks.Stop(flag, call)  # noqa: E731
    assert _calls(hook_of, _places()) == []
    flag.signal = 15
    assert _calls(hook_of, _places(steps=3)) == [1, 2]


class _Events:
    def __init__(self):
        self.points = []

    def scalars(self, curve, values, step):
        self.points.append((curve, step, values))


def test_a_point_of_the_curves_is_the_mean_since_the_one_before():
    events = _Events()
    means = iter([MetricValues(2.0, 0.5, -1), MetricValues(1.5, 0.75, -1)])
    curves = hooks.Curves(events, lambda: next(means), lambda: 0.1, 3, CurveWindow())
    for place in _places():
        curves.before_step(place)
    # Means over 12 and 24 pictures: over the second 12 they are 1.0 and 1.0.
    assert events.points == [
        ("train", 103, {"loss": 2.0, "accuracy": 0.5, "learning_rate": 0.1}),
        ("train", 106, {"loss": 1.0, "accuracy": 1.0, "learning_rate": 0.1}),
    ]
    assert curves.window == CurveWindow(24, 36.0, 18.0)


class _Line:
    def __init__(self):
        self.shown, self.closed = [], False

    def due(self):
        return True

    def update(self, done, text):
        self.shown.append((done, text))

    def close(self):
        self.closed = True


def test_progress_shows_what_was_learnt():
    line = _Line()
    progress = hooks.Progress(line, lambda: MetricValues(1.25, 0.5, -1))
    for place in _places(steps=2):
        progress.before_step(place)
    progress.close()
    assert line.shown == [(4, "loss 1.250  accuracy 0.500")] and line.closed


def test_the_profiler_is_stopped_also_by_an_error(monkeypatch, tmp_path):
    seen = []
    profiler = hooks.tf.profiler.experimental
    monkeypatch.setattr(profiler, "start", lambda folder: seen.append(("start", folder)))
    monkeypatch.setattr(profiler, "stop", lambda: seen.append("stop"))
    profile = hooks.Profile(tmp_path, 2)
    for place in _places():
        profile.before_step(place)
    profile.close()
    assert seen == [("start", str(tmp_path)), "stop"]
    again = hooks.Profile(tmp_path, 99)
    for place in _places():
        again.before_step(place)
    again.close()
    assert seen[2:] == [("start", str(tmp_path)), "stop"]
    for place in _places(epoch=1):
        hooks.Profile(tmp_path, 2).before_step(place)
    assert len(seen) == 4


class _Step:
    """Stands for a training step."""

    def __init__(self, steps_per_call=1):
        self.trained, self.calls, self.steps_per_call = [], [], steps_per_call

    def iterator(self, batches):
        return iter(batches)

    def __call__(self, batches, steps=1, *, is_part=False):
        self.calls.append("part" if is_part else steps)
        self.trained += [next(batches) for _ in range(steps)]


class _Noted(hooks.Hook):
    def __init__(self, notes, name, fails_at=None):
        self._notes, self._name, self._fails_at = notes, name, fails_at

    def before_step(self, place):
        self._notes.append((self._name, place.step))
        if place.step == self._fails_at:
            raise KeyError

    def close(self):
        self._notes.append((self._name, "closed"))


def test_hooks_are_called_in_order_before_each_step_and_closed():
    step, notes = _Step(), []
    plan = EpochPlan(0, 5, 7, batch_size=4, total_pictures=26)
    run_steps(step, ["a", "b", "c"], plan, [_Noted(notes, 1), _Noted(notes, 2)])
    assert step.trained == ["a", "b"]
    assert notes == [(1, 5), (2, 5), (1, 6), (2, 6), (2, "closed"), (1, "closed")]


def test_the_device_takes_several_steps_until_a_hook_is_due():
    """Curves every 4 steps, checkpoints every 6, the loss every 10; then a smaller batch."""
    due = [
        hooks.Curves(None, None, None, every=4, window=None),
        hooks.Checkpoints(CheckpointClock(minutes=0, steps=6), None),
        hooks.FiniteCheck(None),
        hooks.Progress(None, None),
        hooks.Stop(None, None),
    ]
    for hook in due:
        hook.before_step = hook.close = lambda place=None: None
    step = _Step(steps_per_call=3)
    run_steps(step, range(20), EpochPlan(0, 1, 14, batch_size=4, total_pictures=54), due)
    assert step.calls == [3, 2, 2, 2, 2, 1, "part"]  # at 1, 4, 6, 8, 10, 12, 13
    step = _Step(steps_per_call=100)
    run_steps(step, range(20), EpochPlan(0, 1, 14, batch_size=4, total_pictures=56), due[1:])
    assert step.calls == [5, 4, 2, 2]  # at 1, 6, 10, 12
    step = _Step(steps_per_call=100)
    profile = hooks.Profile(None, 2)
    assert profile.steps_until_due(_places(epoch=0)[0]) == 1
    assert profile.steps_until_due(_places(epoch=1)[0]) > 100


def test_a_hook_that_does_not_say_is_called_before_every_step():
    step, notes = _Step(steps_per_call=100), []
    run_steps(step, range(9), EpochPlan(0, 0, 5, 4, 20), [_Noted(notes, 1)])
    assert step.calls == [1] * 5


def test_hooks_are_closed_after_an_error():
    notes = []
    plan = EpochPlan(0, 0, 7, batch_size=4, total_pictures=26)
    with pytest.raises(KeyError):
        run_steps(_Step(), ["a", "b"], plan, [_Noted(notes, 1), _Noted(notes, 2, fails_at=1)])
    assert notes[-2:] == [(2, "closed"), (1, "closed")]


def test_an_epoch_that_is_over_takes_no_step():
    step, notes = _Step(), []
    plan = EpochPlan(0, 7, 7, batch_size=4, total_pictures=26)
    run_steps(step, [], plan, [_Noted(notes, 1)])
    assert (step.trained, notes) == ([], [(1, "closed")])
