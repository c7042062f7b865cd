import numpy as np

from trainer.models.metrics import FirstNonFiniteStep


def test_names_the_first_bad_step_and_forgets_at_reset():
    metric = FirstNonFiniteStep()
    good, bad = np.zeros([2, 3], np.float32), np.array([[0, np.inf, 0], [0, 0, np.nan]], np.float32)
    for outputs in (good, good):
        metric.update_state(None, outputs)
    assert metric.result() == -1
    for outputs in (bad, good, bad):
        metric.update_state(None, outputs)
    assert metric.result() == 2
    metric.reset_state()
    assert metric.result() == -1
    metric.update_state(None, bad)
    assert metric.result() == 0
