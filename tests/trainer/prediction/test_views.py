import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.small_data import SIZE, SmallData
from trainer.data.label_map import LabelMap
from trainer.models.networks import build_model
from trainer.prediction.predictor import Predictor, view_of
from trainer.prediction.views import Views, parsed_scales
from trainer.terminal.option import OptionError


def test_the_views_of_a_picture():
    assert Views().all == ((1.0, False),)
    assert Views(flip=True).all == ((1.0, False), (1.0, True))
    assert Views(True, (1.0, 1.2)).all == ((1.0, False), (1.0, True), (1.2, False), (1.2, True))


def test_scales_are_parsed():
    assert parsed_scales("1") == (1.0,)
    assert parsed_scales("1, 1.15,0.5") == (1.0, 1.15, 0.5)


@pytest.mark.parametrize("text", ["", "1,", "x", "1,1.0", "0.4", "2.5", "nan", "1;2"])
def test_wrong_scales_are_a_sentence(text):
    with pytest.raises(OptionError, match="different numbers from 0.5 to 2, .* Received: "):
        parsed_scales(text)


def _square(size, inner):
    """A black square of `inner` pixels in the middle of a grey picture."""
    picture = np.full([1, size, size, 3], 100, np.uint8)
    edge = (size - inner) // 2
    picture[:, edge : size - edge, edge : size - edge] = 0
    return picture


def test_a_picture_grows_about_its_centre():
    view = view_of(tf.constant(_square(41, 11)), 2.0, False).numpy()
    assert view.shape == (1, 41, 41, 3) and view.dtype == np.uint8
    expected = _square(41, 21)
    assert (view != expected).mean() < 0.1  # but for the interpolated edge
    assert view[0, 20, 20, 0] == 0 and view[0, 0, 0, 0] == 100
    assert np.array_equal(view, view[:, ::-1]) and np.array_equal(view, view[:, :, ::-1])


def test_a_picture_that_shrinks_gets_white_margins():
    view = view_of(tf.constant(_square(41, 21)), 0.5, False).numpy()
    assert (view[0, :10] == 255).all() and (view[0, -10:] == 255).all()
    assert view[0, 20, 20, 0] == 0 and (view[0, 11:30, 11:30] <= 100).all()
    assert np.array_equal(view, view[:, ::-1]) and np.array_equal(view, view[:, :, ::-1])


def test_probabilities_are_averaged_over_the_views(tmp_path):
    model = build_model("logistic", 6, image_size=SIZE, weights="none")
    label_map = LabelMap(SmallData(tmp_path).categories)
    views = Views(True, (1.0, 1.25))
    pictures = np.random.default_rng(0).integers(0, 256, [3, SIZE, SIZE, 3]).astype(np.uint8)
    larger = view_of(tf.constant(pictures), 1.25, False).numpy()
    seen = [pictures, pictures[:, :, ::-1], larger, larger[:, :, ::-1]]
    expected = np.mean([keras.ops.softmax(model(one)).numpy() for one in seen], axis=0)
    predictor = Predictor(model, label_map, image_size=SIZE, views=views)
    np.testing.assert_allclose(predictor.probabilities(tf.constant(pictures)), expected, rtol=1e-5)


def test_a_temperature_is_applied_to_the_mean_of_the_views(tmp_path):
    model = build_model("logistic", 6, image_size=SIZE, weights="none")
    label_map = LabelMap(SmallData(tmp_path).categories)
    pictures = tf.zeros([2, SIZE, SIZE, 3], tf.uint8)
    plain, hot = (
        Predictor(model, label_map, image_size=SIZE, views=Views(True), temperature=t)
        for t in (1.0, 2.0)
    )
    expected = plain.probabilities(pictures) ** 0.5
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(hot.probabilities(pictures), expected, rtol=1e-5)
