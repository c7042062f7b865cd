import dataclasses
import json

from tests.helpers.fake_runs import WEIGHTS_SHA256, history, write_run, write_two_stage
from tests.helpers.small_data import SmallData
from trainer.runs.folder import RunFolder
from trainer.runs.output_file import write_made_from
from trainer.runs.run_weights import RunWeights
from trainer.runs.state import DataIdentity, RunState


def test_of_one_network(tmp_path):
    data = SmallData(tmp_path)
    run = write_run(tmp_path / "run", data, history([0.5, 0.4]))
    assert RunWeights.of(run, "best") == RunWeights("run", "best", 0, WEIGHTS_SHA256)
    assert RunWeights.of(run, "last") == RunWeights("run", "last", 1, WEIGHTS_SHA256)
    data = DataIdentity("1" * 64, "2" * 64)
    run.state_path.write_text(dataclasses.replace(run.state, data=data).to_json())
    assert RunWeights.of(run, "last") == RunWeights("run", "last", 1, WEIGHTS_SHA256, data)


def test_of_two_stages_it_follows_every_network(tmp_path):
    data = SmallData(tmp_path)
    run = write_two_stage(tmp_path / "run", data, {0: 0.5, 1: 0.6})
    one = RunWeights.of(run, "best")
    assert one.epoch is None
    level1 = RunFolder(run.path / "level1")
    newest = level1.state.newest
    best = dataclasses.replace(newest.best, sha256="6" * 64)
    level1.state_path.write_text(RunState((dataclasses.replace(newest, best=best),)).to_json())
    assert RunWeights.of(run, "best").sha256 != one.sha256


def test_what_is_written_beside(tmp_path):
    data = DataIdentity("1" * 64, "2" * 64)
    weights = RunWeights("run", "best", 3, WEIGHTS_SHA256, data)
    facts = dataclasses.asdict(weights) | {"split": "test"}
    path = write_made_from(tmp_path / "submission.csv.gz", facts)
    assert path.name == "submission.csv.gz.made_from.json"
    assert json.loads(path.read_text()) == {
        "run": "run",
        "checkpoint": "best",
        "epoch": 3,
        "sha256": WEIGHTS_SHA256,
        "trained_on": {"train": "1" * 64, "validation": "2" * 64},
        "split": "test",
    }
