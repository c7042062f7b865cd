import numpy as np
import tensorflow as tf

from tests.helpers.small_data import SmallData, make_products, small_config
from trainer.training.profile_input import profile_input, rate_of, verdict


def test_both_rates_and_the_limit_are_named(tmp_path):
    data = SmallData(tmp_path)
    data.add("train", make_products(np.arange(40) % 6))
    text = profile_input(small_config(), data, seconds=0.2)
    assert "pictures/s when it runs alone" in text and "is the limit" in text


def test_the_slower_one_is_the_limit():
    config = small_config(model="cnn", batch_size=20)
    assert "The network is the limit." in verdict(1200.0, 1000.0, config)
    assert "The input is the limit" in verdict(1100.0, 1000.0, config)
    assert "1,100 pictures/s" in verdict(1100.0, 1000.0, config)


def test_rate_counts_pictures_not_batches():
    batches = tf.data.Dataset.from_tensors((tf.zeros([64, 2]), tf.zeros([64]))).repeat()
    assert rate_of(batches, 0.1) > 64 * 50


def test_cached_features_need_neither():
    config = small_config(model="inception", trainable="staged")
    assert "computed once and read from disk" in verdict(1200.0, 1000.0, config)
    assert "computed once" not in verdict(1200.0, 1000.0, small_config(model="inception"))
