"""The data sets that these tests look at, each built once."""

import pytest

from cdisc_tfds.built_dataset import BuiltDataset, newest_version
from tests.helpers.odd_data import build_odd_data


@pytest.fixture(scope="package")
def data_dir(tmp_path_factory):
    return build_odd_data(tmp_path_factory.mktemp("odd"))


@pytest.fixture
def data(data_dir):
    return BuiltDataset(newest_version(data_dir))
