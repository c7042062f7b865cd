import dataclasses
import json

import pytest

from tests.helpers.fake_runs import example, guesses_of, history, write_evaluation, write_run
from tests.helpers.small_data import SmallData, make_products
from trainer.runs.calibration_file import Calibration
from trainer.runs.category_file import CategoryRow
from trainer.runs.evaluation_file import EvaluationFileError, EvaluationResult, file_name
from trainer.runs.evaluation_parts import (
    Acceptance,
    FrequencyGroup,
    KnownPictures,
    Reliability,
    ReliabilityBin,
)
from trainer.runs.prediction_method import MeanChoice, MemberRun, Mixture, WeightFit
from trainer.runs.state import DataIdentity


@pytest.fixture
def path(tmp_path):
    data = SmallData(tmp_path)
    data.add("train", make_products([0, 1]))
    run = write_run(tmp_path / "run", data, history([0.5]))
    write_evaluation(run, examples=[example(7, 1, 2, 0.5)], data_digest="d" * 64)
    return run.evaluation / "validation.json"


def test_round_trip(path, tmp_path):
    result = EvaluationResult.read(path)
    assert result.counts.examples == [example(7, 1, 2, 0.5)]
    result.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_the_file_of_version_0_1(path):
    """It wrote `top5`, and named neither weights nor data."""
    expected = EvaluationResult.read(path)
    content = json.loads(path.read_text())
    for name in ("format", "epoch", "weights_sha256", "data_digest"):
        del content[name]
    for name in ("picture", "product", "level1", "level2", "deduplicated"):
        content[name] = {
            key.replace("top5_accuracy", "top5"): value for key, value in content[name].items()
        }
    assert "top5" in content["product"] and "picture_top5" in content["level1"]
    path.write_text(json.dumps(content))
    result = EvaluationResult.read(path)
    assert result.counts == expected.counts
    assert result.method == dataclasses.replace(
        expected.method, weights_sha256=None, data_digest=None
    )


def test_the_file_of_version_0_2(path):
    """It had fewer fields."""
    expected = EvaluationResult.read(path)
    content = json.loads(path.read_text()) | {"format": 2}
    for name in ("reliability", "groups", "known_pictures"):
        del content[name]
    for name in ("mean_choice", "mixture", "scales", "calibration"):
        del content[name]
    path.write_text(json.dumps(content))
    assert EvaluationResult.read(path) == expected


def test_every_part_is_read_back(path):
    result = EvaluationResult.read(path)
    choice = MeanChoice("vote", "arithmetic", "validation", 9, 0.1, 0.05)
    member = MemberRun("run", "best", 3, "5" * 64, 1.0, "vote", choice, DataIdentity("6", "7"))
    full = EvaluationResult(
        dataclasses.replace(
            result.method,
            mean_choice=choice,
            mixture=Mixture("geometric", (member,), WeightFit("validation", 9, 0.5, 0.6)),
            scales=(1.0, 1.15),
            calibration=Calibration(1.5, 1.25, "validation", 9, 20, 1.0, 0.9),
        ),
        dataclasses.replace(
            result.counts,
            reliability=Reliability(
                0.1,
                0.2,
                (ReliabilityBin(3, 0.5, 0.6),),
                (Acceptance(0.9, 0.7, 0.5, 0.91), Acceptance(0.99, None, 0.0, 0.0)),
            ),
            groups=(FrequencyGroup("head", 1, 2, 0.5, 0.5, None, None),),
            known_pictures=KnownPictures(3, 2, 1, 0.5, 0.6),
        ),
        (CategoryRow(3, 1000, "A > x > a", "head", 7, 4, 5, 3),),
        guesses_of([0, 1], [1, 1]),
    )
    full.write(path)
    assert EvaluationResult.read(path) == full
    path.with_name("validation.categories.csv").write_text("level\n")
    assert EvaluationResult.read(path) == dataclasses.replace(full, categories=())
    path.with_name("validation.guesses.npy").unlink()
    assert EvaluationResult.read(path) == dataclasses.replace(full, categories=(), guesses=None)


def test_the_file_of_format_3(path):
    """It named no file of first guesses."""
    expected = EvaluationResult.read(path)
    content = json.loads(path.read_text()) | {"format": 3}
    assert "guesses_sha256" not in content
    path.write_text(json.dumps(content))
    assert EvaluationResult.read(path) == expected


def test_rows_of_the_classes(path):
    rows = [CategoryRow(level, None, "a", None, None, 1, 1, 1) for level in (2, 2, 1)]
    result = EvaluationResult.read(path)
    assert result.class_rows == ()
    assert dataclasses.replace(result, categories=tuple(rows)).class_rows == tuple(rows[:2])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", r"cannot be read as an evaluation \(JSONDecodeError"),
        ("[]", r"cannot be read as an evaluation \(AttributeError"),
        ("{}", r"cannot be read as an evaluation \(.*Delete it, or evaluate the run again"),
        ('{"format": 5}', "up to format 4. .* has format 5: a newer version"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(path, content, text):
    path.write_text(content)
    with pytest.raises(EvaluationFileError, match=text):
        EvaluationResult.read(path)


def test_file_names():
    assert file_name("train[80%:]") == "train[80%:].json"
    assert file_name("a/b") == "a-b.json"
    long = "+".join(f"train[{start}:{start + 1}]" for start in range(99))
    assert len(file_name(long)) <= 125 and "/" not in file_name(long)
    assert file_name(long) != file_name(long + "+test")
