import numpy as np
import pytest
import tensorflow as tf

from cdisc_tfds.built_dataset import DatasetError
from cdisc_tfds.records import Product
from tests.helpers.network_runs import write_network_run
from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer.data.label_map import LabelMapError
from trainer.data.tf_decoding import decode_jpeg
from trainer.prediction.format_pictures import file_pictures, first_pictures
from trainer.prediction.format_table import FormatOptions


def _decoded(products, number):
    jpegs = [jpeg for product in products for jpeg in product.images]
    return np.stack([decode_jpeg(tf.constant(jpeg), SIZE).numpy() for jpeg in jpegs[:number]])


@pytest.fixture
def data(tmp_path):
    data = SmallData(tmp_path)
    data.add("train", make_products([5, 4, 3, 2, 1, 0] * 12, seed=1))
    data.add("validation", make_products([0, 1, 2, 3, 4, 5], seed=2))
    return data


def test_the_check_sees_validation_and_the_calibration_sees_training(data, tmp_path):
    run = write_network_run(tmp_path / "run", data)
    options = FormatOptions(format="litert", int8=True, check_pictures=5, calibration_pictures=70)
    pictures = file_pictures(run, data, options, SIZE)
    assert pictures.split == "validation"
    validation, train = (
        make_products([0, 1, 2, 3, 4, 5], seed=2),
        make_products([5, 4, 3, 2, 1, 0] * 12, seed=1),
    )
    np.testing.assert_array_equal(pictures.checked, _decoded(validation, 5))
    np.testing.assert_array_equal(pictures.calibrating, _decoded(train, 70))  # three batches
    plain = file_pictures(run, data, FormatOptions(format="onnx"), SIZE)
    assert plain.calibrating is None
    assert len(plain.checked) == sum(len(product.images) for product in validation) < 200


def test_a_data_set_of_other_categories_is_refused(data, tmp_path):
    run = write_network_run(tmp_path / "run", data)
    data.categories.category_ids[0] += 1
    with pytest.raises(LabelMapError):
        file_pictures(run, data, FormatOptions(format="onnx"), SIZE)


def test_a_split_without_readable_pictures(data):
    split = data.add("broken", [Product(1, [b"no picture"], 0), Product(2, [], 1)], shards=1)
    with pytest.raises(DatasetError, match="'broken' has no readable one.*--data_dir"):
        first_pictures(split, 3, SIZE)
