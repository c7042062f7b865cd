import pytest

from tests.helpers.small_data import SmallData
from trainer.reporting import pictures


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data set without splits, which every run of the test finds."""
    (tmp_path / "data").mkdir()
    data = SmallData(tmp_path / "data")
    monkeypatch.setattr(pictures, "open_dataset", lambda data_dir: data)
    return data
