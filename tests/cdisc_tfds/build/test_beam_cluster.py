"""The build on Beam in several processes, and with some of them killed."""

import functools

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from cdisc_tfds.build import beam_build, merged_shards, split_job
from cdisc_tfds.build.split_build import BuildError
from tests.cdisc_tfds.build.test_split_build import files, odd_competition
from tests.cdisc_tfds.test_dataset_builder import build
from tests.helpers.dying_workers import dies_once

__all__ = ["odd_competition"]
CONFIG = {"num_shards": 3}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts of about three products, so that tiny files have many."""
    monkeypatch.setattr(split_job, "MIN_PART_BYTES", 3000)
    monkeypatch.setattr(split_job, "MAX_PART_BYTES", 3000)
    monkeypatch.setattr(merged_shards, "PIECE_BYTES", 1500)


@pytest.fixture(scope="module")
def cluster():
    """A scheduler, and two workers in processes of their own; a killed one is replaced."""
    distributed = pytest.importorskip("distributed", reason="needs the extra `dask`")
    options = {"host": "127.0.0.1", "dashboard_address": None, "threads_per_worker": 1}
    with distributed.LocalCluster(n_workers=2, processes=True, **options) as cluster:
        yield cluster


def on(cluster):
    flags = [
        "--runner=apache_beam.runners.dask.dask_runner.DaskRunner",
        f"--dask_client_address={cluster.scheduler_address}",
        "--dask_partition_size=1",
    ]
    return CONFIG | {"beam_options": PipelineOptions(flags=flags)}


@pytest.mark.parametrize("killed", [False, True], ids=["undisturbed", "killed in each stage"])
def test_equal_to_the_local_build(tmp_path, odd_competition, cluster, monkeypatch, killed):
    """Nothing is doubled or lost, whichever worker ends."""
    here = build(tmp_path / "here", odd_competition, config=CONFIG, num_processes=1)
    marks = [tmp_path / name for name in ("make_one_part", "write_one_shard")]
    for mark in marks if killed else []:
        function = functools.partial(dies_once, mark, getattr(beam_build, mark.name))
        monkeypatch.setattr(beam_build, mark.name, function)
    there = build(tmp_path / "there", odd_competition, config=on(cluster))
    assert [mark.exists() for mark in marks] == [killed, killed]
    assert files(there) == files(here)


@pytest.mark.parametrize("stage", ["make_one_part", "write_one_shard"])
def test_beams_own_runner_does_not_replace_a_killed_worker(
    tmp_path, odd_competition, monkeypatch, stage
):
    """It would wait forever: the build ends, keeps what is finished, and can be repeated."""
    flags = ["--runner=DirectRunner", "--direct_running_mode=multi_processing"]
    config = CONFIG | {"beam_options": PipelineOptions(flags=[*flags, "--direct_num_workers=2"])}
    with monkeypatch.context() as patch:
        function = functools.partial(dies_once, tmp_path / stage, getattr(beam_build, stage))
        patch.setattr(beam_build, stage, function)
        with pytest.raises(BuildError, match=r"lost a worker and does not replace it: .*continues"):
            build(tmp_path / "there", odd_competition, config=config)
    assert (tmp_path / "there" / "cdiscount" / "1.0.0.building").exists()
    there = build(tmp_path / "there", odd_competition, config=config)
    assert files(there) == files(build(tmp_path / "here", odd_competition, config=CONFIG))
