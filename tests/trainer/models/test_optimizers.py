import keras
import numpy as np
import pytest

from trainer.models import optimizers
from trainer.models.optimizers import LinearWarmup, build_optimizer, build_schedule


@pytest.fixture(autouse=True)
def _policy():
    yield
    keras.config.set_dtype_policy("float32")


def _problem():
    """Three classes that a dense layer can tell apart."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 96)
    inputs = rng.normal(size=(96, 8), scale=0.3)
    inputs[np.arange(96), labels] += 1
    return inputs.astype(np.float32), labels


def _model(optimizer):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input([8]),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(3, dtype="float32"),
        ]
    )
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.parametrize(
    ("name", "policy"),
    [(name, "float32") for name in optimizers.OPTIMIZERS]
    + [("adam", "mixed_bfloat16"), ("adam", "mixed_float16")],
)
def test_each_optimizer_lowers_the_loss_at_its_default_rate(name, policy):
    keras.config.set_dtype_policy(policy)
    model = _model(build_optimizer(name, policy=policy))
    inputs, labels = _problem()
    losses = model.fit(inputs, labels, batch_size=8, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_default_learning_rates_are_those_of_the_studys_keras():
    """Keras 1 and 2: https://keras.io/api/optimizers, versions of 2017."""
    rates = {name: entry.learning_rate for name, entry in optimizers.OPTIMIZERS.items()}
    assert rates["rmsprop"] == 0.001
    assert rates["adam"] == 0.001
    assert rates["adadelta"] == 1.0
    assert rates["sgd"] == 0.01


@pytest.mark.parametrize("name", [n for n in optimizers.OPTIMIZERS if n != "adadelta"])
def test_the_other_default_learning_rates_are_kerass_own(name):
    entry = optimizers.OPTIMIZERS[name]
    assert entry.learning_rate == pytest.approx(
        float(getattr(keras.optimizers, entry.class_name)().learning_rate)
    )


def test_unknown_optimizers_are_refused_with_those_that_exist():
    with pytest.raises(
        optimizers.OptimizerError,
        match="`optimizer` must be one of rmsprop, adam, adadelta, sgd, nadam, adamw. Received: "
        "'lion'",
    ):
        build_optimizer("lion")


# Schedules.


def _rates(schedule, steps):
    return [float(schedule(step)) for step in steps]


def test_cosine_rises_evenly_then_falls_to_zero():
    schedule = build_schedule(0.4, "cosine", total_steps=104, warmup_steps=4)
    np.testing.assert_allclose(_rates(schedule, range(5)), [0.1, 0.2, 0.3, 0.4, 0.4], rtol=1e-6)
    # A quarter, half, all of the hundred steps after the warm-up, and beyond.
    expected = [0.4 * (1 + np.cos(np.pi / 4)) / 2, 0.2, 0, 0]
    np.testing.assert_allclose(_rates(schedule, [29, 54, 104, 200]), expected, atol=1e-7)


def test_cosine_without_warmup_starts_at_the_peak():
    schedule = build_schedule(0.4, "cosine", total_steps=100)
    np.testing.assert_allclose(_rates(schedule, [0, 50, 100]), [0.4, 0.2, 0], atol=1e-7)


def test_step_drops_by_ten_after_half_and_again_after_three_quarters():
    schedule = build_schedule(1.0, "step", total_steps=104, warmup_steps=4)
    steps = [0, 3, 4, 53, 54, 78, 79, 103]
    expected = [0.25, 1, 1, 1, 0.1, 0.1, 0.01, 0.01]
    np.testing.assert_allclose(_rates(schedule, steps), expected, rtol=1e-6)


def test_constant_is_a_plain_number_or_stays_at_the_peak_after_its_warmup():
    assert build_schedule(0.3) == 0.3
    schedule = build_schedule(0.4, "constant", warmup_steps=4)
    np.testing.assert_allclose(_rates(schedule, [0, 3, 4, 10_000]), [0.1, 0.4, 0.4, 0.4], rtol=1e-6)


@pytest.mark.parametrize("schedule", ["cosine", "step"])
def test_schedules_are_restored_from_their_config(schedule):
    before = build_schedule(0.4, schedule, total_steps=50, warmup_steps=5)
    after = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(before))
    assert isinstance(after, LinearWarmup)
    assert _rates(after, range(60)) == _rates(before, range(60))


def test_the_rate_depends_on_the_optimizers_step_alone():
    """As a continued run needs: a new optimizer with the old counter goes on at the old rate."""
    first, second = (
        build_optimizer("sgd", 0.4, schedule="cosine", total_steps=20, warmup_steps=4)
        for _ in range(2)
    )
    inputs, labels = _problem()
    _model(first).fit(inputs, labels, batch_size=8, verbose=0)
    second.iterations.assign(first.iterations)
    assert float(second.learning_rate) == float(first.learning_rate)
    assert float(second.learning_rate) == pytest.approx(0.4 * (1 + np.cos(np.pi / 2)) / 2)


def test_impossible_schedules_are_refused():
    with pytest.raises(
        optimizers.OptimizerError,
        match="`schedule` must be one of constant, cosine, step. Received: 'linear'",
    ):
        build_schedule(0.1, "linear")
    with pytest.raises(
        optimizers.OptimizerError,
        match="The schedule 'cosine' needs more steps in all than warm-up steps. Received: "
        "total_steps=5, warmup_steps=5. Train for more epochs, or warm up for fewer.",
    ):
        build_schedule(0.1, "cosine", total_steps=5, warmup_steps=5)
    with pytest.raises(optimizers.OptimizerError, match="Received: total_steps=None"):
        build_optimizer("adam", schedule="step")


# Decay, averages, loss scaling.


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_weight_decay_shrinks_kernels_and_nothing_else(name):
    optimizer = build_optimizer(name, 0.1, weight_decay=0.5)
    kernel, bias, beta = (
        keras.Variable(np.ones(3, np.float32), name=n) for n in ("kernel", "bias", "beta")
    )
    optimizer.build([kernel, bias, beta])
    optimizer.apply([np.zeros(3, np.float32)] * 3)
    np.testing.assert_allclose(kernel, 1 - 0.1 * 0.5, rtol=1e-6)
    np.testing.assert_array_equal(bias, np.ones(3))
    np.testing.assert_array_equal(beta, np.ones(3))


def test_adamw_alone_decays_by_default_and_can_be_told_not_to():
    decays = {name: build_optimizer(name).weight_decay for name in optimizers.OPTIMIZERS}
    assert decays.pop("adamw") == 0.004
    assert set(decays.values()) == {None}
    assert build_optimizer("adamw", weight_decay=0.0).weight_decay == 0


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_the_moving_average_is_kept_by_the_optimizer_itself(policy):
    optimizer = build_optimizer("adam", ema_momentum=0.9, policy=policy)
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    assert (inner.use_ema, inner.ema_momentum) == (True, 0.9)
    assert not build_optimizer("adam").use_ema


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_only_float16_scales_the_loss(policy):
    assert not isinstance(
        build_optimizer("adam", policy=policy), keras.optimizers.LossScaleOptimizer
    )
    scaled = build_optimizer("adam", 0.25, policy="mixed_float16")
    assert isinstance(scaled, keras.optimizers.LossScaleOptimizer)
    assert float(scaled.learning_rate) == 0.25
