"""The build on Beam: the same files as the local build, by real runners in several processes."""

import functools
import os
import pathlib
import shutil
import subprocess
import sys

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from cdisc_tfds.bson_file import BsonError
from cdisc_tfds.build import beam_build, beam_units, merged_shards, split_job
from cdisc_tfds.build.beam_runner import BeamOptionsError, BeamRunner
from cdisc_tfds.build.split_build import BuildError
from tests.cdisc_tfds.build.test_split_build import decoy, files, odd_competition
from tests.cdisc_tfds.test_dataset_builder import build
from tests.conftest import write_bson

__all__ = ["odd_competition"]
THREE_SHARDS = {"num_shards": 3}


def on_beam(*flags):
    """What TFDS passes to the builder for --beam_pipeline_options."""
    return THREE_SHARDS | {"beam_options": PipelineOptions(flags=[f"--{flag}" for flag in flags])}


HERE = on_beam("runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts of about three products and pieces of about two, so that tiny files have many."""
    monkeypatch.setattr(split_job, "MIN_PART_BYTES", 3000)
    monkeypatch.setattr(split_job, "MAX_PART_BYTES", 3000)
    monkeypatch.setattr(merged_shards, "PIECE_BYTES", 1500)
    monkeypatch.setattr(beam_build, "PATIENCE", 0.1)
    monkeypatch.setattr(beam_build, "_POLL", 0.01)


@pytest.mark.parametrize("reread", [None, True])
def test_equal_to_the_local_build(tmp_path, odd_competition, reread):
    here = build(tmp_path / "here", odd_competition, config=THREE_SHARDS, num_processes=1)
    there = build(tmp_path / "there", odd_competition, config=HERE, reread=reread)
    assert files(there) == files(here)
    assert len(list(pathlib.Path(there.data_dir).glob("*.tfrecord-*"))) == 6
    assert [path.name for path in (tmp_path / "there" / "cdiscount").iterdir()] == ["1.0.0"]


def test_the_first_products(tmp_path, odd_competition):
    """Each part depends on those before it, so the build makes them itself."""
    here = build(tmp_path / "here", odd_competition, max_examples=5, config=THREE_SHARDS)
    there = build(tmp_path / "there", odd_competition, max_examples=5, config=HERE)
    assert files(there) == files(here)


def test_false_starts_are_found_out(tmp_path, competition, monkeypatch):
    write_bson(competition / "train.bson", [decoy(number) for number in range(8)])
    monkeypatch.setattr(split_job, "MIN_PART_BYTES", 732)
    monkeypatch.setattr(split_job, "MAX_PART_BYTES", 732)
    here = build(tmp_path / "here", competition, config=THREE_SHARDS)
    there = build(tmp_path / "there", competition, config=HERE)
    assert files(there) == files(here)


def test_damage_is_told_as_by_the_local_build(tmp_path, competition):
    path = competition / "train.bson"
    data = bytearray(path.read_bytes())
    data[20000:20400] = bytes(400)
    path.write_bytes(data)
    told = []
    for config in (THREE_SHARDS, HERE):
        with pytest.raises(BsonError) as caught:
            build(tmp_path / "data", competition, config=config)
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert "is damaged. Expected: " in told[0]


# Workers that fail, repeat themselves, or see other files.


class Broken(RuntimeError):
    """An error that is not the project's own."""


@pytest.mark.parametrize(
    ("stage", "function", "piece"),
    [("parts", "make_part", "part 2 of train"), ("shards", "partial_path", "cdiscount-t")],
)
def test_a_failed_build_is_told_and_goes_on(
    tmp_path, odd_competition, monkeypatch, stage, function, piece
):
    """What is finished is kept; the next build makes the rest."""
    here = build(tmp_path / "here", odd_competition, config=THREE_SHARDS)
    calls = []
    original = getattr(beam_units, function)

    def fails(argument):
        calls.append(argument)
        if len(calls) == 3:
            raise Broken("no more")
        return original(argument)

    with monkeypatch.context() as patch:
        patch.setattr(beam_units, function, fails)
        with pytest.raises(
            BuildError,
            match=rf"Beam's workers could not make all {stage}\. On .*: Broken: no more "
            r"What is finished is kept: started again, the build continues\.",
        ) as caught:
            build(tmp_path / "there", odd_competition, config=HERE)
    assert piece[:6] in str(caught.value)
    again = []
    monkeypatch.setattr(beam_units, function, lambda one: again.append(one) or original(one))
    there = build(tmp_path / "there", odd_competition, config=HERE)
    assert files(there) == files(here)
    finished = {getattr(one, "table", one) for one in calls[:2]}
    assert again and not finished & {getattr(one, "table", one) for one in again}


def test_pieces_that_are_made_twice_at_the_same_time(tmp_path, odd_competition, monkeypatch):
    """A runner may have given up a worker that goes on: the files are whole all the same."""
    here = build(tmp_path / "here", odd_competition, config=THREE_SHARDS)
    make_part, partial_path = beam_units.make_part, beam_units.partial_path

    def twice(task):
        first = make_part(task)
        assert make_part(task) == first
        return first

    def another_first(path):
        """Another worker is half-way through the same shard."""
        partial_path(path).write_bytes(b"half")
        return partial_path(path)

    monkeypatch.setattr(beam_units, "make_part", twice)
    monkeypatch.setattr(beam_units, "partial_path", another_first)
    there = build(tmp_path / "there", odd_competition, config=HERE)
    assert files(there) == files(here)


def test_workers_of_an_earlier_build_do_no_harm(tmp_path, competition, monkeypatch):
    """They go on when the build is killed. Their input, and so their folder, is another one."""
    stale = []
    original = beam_units.make_part
    with monkeypatch.context() as patch:
        patch.setattr(beam_units, "make_part", lambda task: stale.append(task) or original(task))
        patch.setattr(beam_build, "_write_shards", lambda *_: (_ for _ in ()).throw(Broken))
        with pytest.raises(Broken):
            build(tmp_path / "there", competition, config=HERE)
    csv = competition / "category_names.csv"
    csv.write_text(csv.read_text().replace("TASSE", "BOL"))

    def with_stale_worker(task):
        for left in stale:
            with pytest.raises(FileNotFoundError):
                original(left)
        return original(task)

    monkeypatch.setattr(beam_units, "make_part", with_stale_worker)
    there = build(tmp_path / "there", competition, config=HERE)
    assert files(there) == files(build(tmp_path / "here", competition, config=THREE_SHARDS))


def test_workers_that_do_not_see_the_folder(tmp_path, competition, monkeypatch):
    """Like those on a machine where --data_dir is another disk: nothing comes back from them."""
    monkeypatch.setattr(beam_build, "make_one_part", _elsewhere)
    with pytest.raises(
        BuildError,
        match=r"All machines of a build must see its folder at the same path, here .*1\.0\.0\."
        r"building\. Received: the workers of Beam finished, but 15 of their 15 parts are not here",
    ):
        build(tmp_path / "data", competition, config=HERE)


def _elsewhere(plans, piece):
    """A worker whose disk is its own."""


def test_a_worker_says_what_it_does_not_see(tmp_path, competition, monkeypatch):
    functions = []
    monkeypatch.setattr(
        BeamRunner, "run", lambda self, name, function, pieces: functions.append(function)
    )
    with pytest.raises(BuildError):
        build(tmp_path / "data", competition, config=HERE)
    (plans,) = functions[0].args
    make = functools.partial(functions[0], ("train", 1))
    train = competition / "train.bson"
    shutil.copyfile(train, tmp_path / "other.bson")
    with open(tmp_path / "other.bson", "r+b") as file:
        file.seek(1000)
        file.write(b"other")
    for received, change in (
        ("other contents", lambda: shutil.copyfile(tmp_path / "other.bson", train)),
        ("100 bytes", lambda: os.truncate(train, 100)),
        ("No such file or directory", train.unlink),
    ):
        change()
        with pytest.raises(
            beam_units.WorkerError,
            match=r"Every worker must see .*train\.bson at this path, with 33,558 bytes, as the "
            rf"machine of the build does\. Received: {received}\. Choose a --manual_dir on storage",
        ):
            make()
        (note,) = beam_units.failures(pathlib.Path(plans["train"].folder))
        assert (note.piece, received in note.reason) == ("part 1 of train", True)
    shutil.rmtree(plans["train"].folder)
    with pytest.raises(beam_units.WorkerError, match=r"Received: no such folder\. Choose a --data"):
        make()


# Runner options.


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["runner=Nothing"], r"Beam refuses them: Unexpected pipeline runner: Nothing\."),
        (["direct_num_workers=x"], r"Beam refuses them: argument --direct_num_workers: invalid"),
        (["runner=nothing.at.All"], r"Beam refuses them: .*Install what this runner needs; for"),
        (["runner=DataflowRunner", "region=x"], r"Beam refuses them: Pipeline has validations e"),
        (["runner=DirectRunner", "direct_workers=2"], r"Received also: direct_workers\. Check"),
    ],
)
def test_options_that_beam_refuses(tmp_path, competition, flags, message):
    with pytest.raises(BeamOptionsError, match=rf"^--beam_pipeline_options must .*{message}"):
        build(tmp_path / "data", competition, config=on_beam(*flags))
    assert not (tmp_path / "data" / "cdiscount" / "1.0.0.building").exists()


def test_an_existing_data_set_survives_a_refusal(tmp_path, competition):
    from tensorflow_datasets import GenerateMode

    before = files(build(tmp_path / "data", competition))
    overwrite = {"download_mode": GenerateMode.REUSE_CACHE_IF_EXISTS}
    with pytest.raises(BeamOptionsError):
        build(tmp_path / "data", competition, config=on_beam("runner=Nothing") | overwrite)
    assert files(build(tmp_path / "data", competition)) == before


def test_beam_with_tfds_own_writer_is_refused(tmp_path, competition):
    with pytest.raises(BeamOptionsError, match=r"Received, with runner options of Beam: another"):
        build(tmp_path / "data", competition, config=HERE, stock_writer=True)


def test_without_apache_beam(tmp_path, competition, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(
        BeamOptionsError,
        match=r"needs Apache Beam, which cannot be imported here .*pip install 'apache-beam>=2\.70",
    ):
        build(tmp_path / "data", competition, config=THREE_SHARDS | {"beam_runner": object()})


def test_a_runner_object(tmp_path, competition):
    """As a script passes one: `DownloadConfig(beam_runner=...)`."""
    runner = beam.runners.portability.fn_api_runner.FnApiRunner()
    there = build(tmp_path / "there", competition, config=THREE_SHARDS | {"beam_runner": runner})
    assert files(there) == files(build(tmp_path / "here", competition, config=THREE_SHARDS))


# The command.

OPTIONS = "runner=DirectRunner,direct_running_mode=multi_processing,direct_num_workers=2"


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (OPTIONS, 0, ""),
        ("runner=Nothing", 1, "The data set was not built. --beam_pipeline_options must name"),
    ],
)
def test_the_command(tmp_path, competition, options, status, said):
    """With workers in processes of their own, and one sentence where it cannot begin."""
    result = subprocess.run(
        [
            pathlib.Path(sys.executable).with_name("tfds"),
            "build",
            "cdiscount",
            "--imports=cdisc_tfds",
            "--num_shards=3",
            f"--beam_pipeline_options={options}",
            f"--manual_dir={competition}",
            f"--data_dir={tmp_path / 'there'}",
        ],
        cwd=tmp_path,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == status, result.stderr
    assert said in result.stderr
    if status:
        assert "Traceback" not in result.stderr
        return
    here = build(tmp_path / "here", competition, config=THREE_SHARDS)
    there = tmp_path / "there" / "cdiscount" / "1.0.0"
    assert {path.name: path.read_bytes() for path in there.iterdir()} == files(here)
