import dataclasses
import json

import pytest

from tests.helpers.fake_runs import example, history, write_evaluation, write_run
from tests.helpers.small_data import SmallData, make_products
from trainer.runs.evaluation_file import EvaluationFileError, EvaluationResult, file_name


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


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", r"cannot be read as an evaluation \(JSONDecodeError"),
        ("[]", r"cannot be read as an evaluation \(AttributeError"),
        ("{}", r"cannot be read as an evaluation \(.*Delete it, or evaluate the run again"),
        ('{"format": 3}', "up to format 2. .* has format 3: a newer version"),
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
