"""What all splits of a build share; the rest is tested through the builder."""

import concurrent.futures.process

import pytest
import tensorflow_datasets as tfds

import cdisc_tfds
from cdisc_tfds.build import dataset_build
from cdisc_tfds.build.split_build import BuildError


def test_a_process_that_is_ended_from_outside_is_explained(tmp_path, competition, monkeypatch):
    def ended(*_):
        raise concurrent.futures.process.BrokenProcessPool

    monkeypatch.setattr(dataset_build, "build_split", ended)
    builder = cdisc_tfds.Builder(data_dir=tmp_path / "data")
    config = tfds.download.DownloadConfig(manual_dir=competition)
    with pytest.raises(
        BuildError,
        match=r"A process of the build was ended from outside: .* The build used 1; use fewer with "
        r"CDISCOUNT_NUM_PROCESSES\. Started again, it continues\.",
    ):
        builder.download_and_prepare(download_config=config)
    assert not (tmp_path / "data" / "cdiscount" / "1.0.0").exists()

    monkeypatch.undo()
    builder.download_and_prepare(download_config=config)
    assert builder.info.splits["train"].num_examples == 20
