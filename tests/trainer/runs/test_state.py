import dataclasses
import json

import pytest

from trainer.runs.state import (
    Checkpoint,
    CheckpointFile,
    CurveWindow,
    DataIdentity,
    EpochRow,
    Position,
    RunState,
    StateError,
    WeightsFile,
)

ROW = EpochRow(0, "all", 1.5, 0.25, 1.25, 0.5, 0.625, 0.75, 0.001, 100.0, 20.5)
WEIGHTS = WeightsFile("epoch-0000.weights.h5", "5" * 64, 0, 1.25)
CHECKPOINT = Checkpoint(
    position=Position(0, 1, 7, 40, 3.5, CurveWindow(64, 1.5, 0.5)),
    training_state=CheckpointFile("state-0-0001-00000007.npy", "6" * 64),
    best=WEIGHTS,
    last=WEIGHTS,
    history=(ROW,),
    events={"train/events.out.tfevents.1": 88},
)
STATE = RunState((CHECKPOINT, Checkpoint()), DataIdentity("a" * 64, "b" * 64), "c" * 64)


def test_json_round_trip():
    assert RunState.from_json(STATE.to_json()) == STATE
    assert STATE.weights("best") == STATE.weights("last") == WEIGHTS


@pytest.mark.parametrize(
    ("before", "after"),
    [('"epoch": 1', '"epoch": 2'), ('"val_loss": 1.25', '"val_loss": 0.25'), ('"cc', '"dc')],
)
def test_an_edited_state_is_given_away(before, after):
    text = STATE.to_json()
    assert before in text
    with pytest.raises(StateError, match=r"^state.json is not as it was written: its SHA-256 diff"):
        RunState.from_json(text.replace(before, after))


def test_a_newer_format_is_named():
    with pytest.raises(StateError, match="up to format 2. state.json has format 3: a newer") as e:
        RunState.from_json(json.dumps({"format": 3}))
    assert e.value.newer


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', '{"entries": []'])
def test_what_cannot_be_read_is_a_sentence(text):
    with pytest.raises(StateError, match=r"^run/state.json cannot be read as a run's state \("):
        RunState.from_json(text, "run/state.json")


def test_the_state_of_version_0_1():
    """It had no format and no digests, and the position's values beside the others."""
    position = dataclasses.asdict(CHECKPOINT.position)
    entry = dataclasses.asdict(CHECKPOINT)
    del entry["position"]
    content = {"finished": False, "best": entry["best"], "last": entry["last"]}
    content["entries"] = [entry | position]
    state = RunState.from_json(json.dumps(content))
    assert state.newest == CHECKPOINT
    assert (state.format, state.data, state.settings_sha256) == (1, None, None)
