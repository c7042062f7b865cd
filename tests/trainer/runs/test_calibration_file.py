import dataclasses

import pytest

from trainer.runs.calibration_file import (
    CalibratedMethod,
    Calibration,
    CalibrationFileError,
    keep_calibration,
    picture_temperature,
    read_calibrations,
)
from trainer.runs.folder import RunFolder

CALIBRATION = Calibration(1.5, 1.25, "train[80%:]", 100, 200, 1.0, 0.9)
METHOD = CalibratedMethod("5" * 64, False, (1.0, 1.15), "arithmetic")


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path)


def test_each_method_has_its_own_temperatures(run):
    assert read_calibrations(run) == {}
    keep_calibration(run, METHOD, CALIBRATION)
    other = dataclasses.replace(METHOD, mean="max")
    keep_calibration(run, other, dataclasses.replace(CALIBRATION, product=2.0))
    better = dataclasses.replace(CALIBRATION, product=1.75)
    keep_calibration(run, METHOD, better)  # replaces the first
    assert read_calibrations(run) == {
        METHOD: better,
        other: dataclasses.replace(CALIBRATION, product=2.0),
    }


def test_pictures_have_a_temperature_for_any_rule(run):
    keep_calibration(run, dataclasses.replace(METHOD, mean="vote"), CALIBRATION)
    assert picture_temperature(run, "5" * 64, False, (1.0, 1.15)) == 1.25
    assert picture_temperature(run, "6" * 64, False, (1.0, 1.15)) is None
    assert picture_temperature(run, "5" * 64, True, (1.0, 1.15)) is None
    assert picture_temperature(run, "5" * 64, False, (1.0,)) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1, "calibrations": [{}]}'])
def test_a_damaged_file_is_a_sentence(run, content):
    (run.path / "calibration.json").write_text(content)
    with pytest.raises(CalibrationFileError, match="cannot be read .* evaluate the run with --cal"):
        read_calibrations(run)


def test_a_newer_file_is_a_sentence(run):
    (run.path / "calibration.json").write_text('{"format": 2, "new": []}')
    with pytest.raises(CalibrationFileError, match="of format 1. .* has format 2: a newer version"):
        read_calibrations(run)
