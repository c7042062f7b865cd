"""The build on a cluster that consists of several processes: Beam's Dask runner."""

import functools
import os
import signal

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from cdisc_tfds.build import beam_build, merged_shards, split_job
from tests.cdisc_tfds.build.test_split_build import files, odd_competition
from tests.cdisc_tfds.test_dataset_builder import build

distributed = pytest.importorskip("distributed", reason="needs the extra `dask`")
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


def dies_once(mark, function, plans, piece):
    """Runs in a worker: the first one that gets there is gone just before it renames its file."""
    if piece[0] == "train" and not mark.exists():
        mark.touch()
        os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    function(plans, piece)


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
