"""benchmarks.ingredients: which runs it makes and keeps, and its table."""

import json

import pytest

from benchmarks import ingredients
from benchmarks.ingredients import BASE, INGREDIENTS, Result
from tests.helpers.small_data import SmallData
from trainer.settings.resolve import resolve
from trainer.settings.settings import Settings


@pytest.fixture
def measured(monkeypatch):
    """The runs that were asked for; each gains 2% per letter of its first change, 1% per seed."""
    runs = []

    def measure(changes, seed, data):
        runs.append((dict(changes), seed))
        return Result(0.5 + 0.02 * len("".join(list(changes)[:1])) + 0.01 * seed, 10.0)

    monkeypatch.setattr(ingredients, "measure", measure)
    monkeypatch.setattr(ingredients, "open_dataset", lambda path: path)
    return runs


def test_finished_runs_are_kept_and_compared_by_seed(measured, tmp_path, capsys):
    file = tmp_path / "runs.json"
    flags = ["--data_dir=d", "--only=erase 0.25,mixup 0.2", f"--json={file}"]
    assert ingredients.main([*flags, "--seeds=1"]) == 0
    assert measured == [({}, 0), ({"erase": 0.25}, 0), ({"mixup": 0.2}, 0)]
    assert ingredients.main([*flags, "--seeds=2"]) == 0
    assert measured[3:] == [({}, 1), ({"erase": 0.25}, 1), ({"mixup": 0.2}, 1)]
    assert json.loads(file.read_text())["base"]["1"]["accuracy"] == pytest.approx(0.51)
    # Means of 50 and 51%; their standard error is 1 / sqrt(2) / sqrt(2); the gains are equal.
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "| base | 50.50 ± 0.50 |  | 10 |",
        "| erase 0.25 | 60.50 ± 0.50 | 10.00 ± 0.00 | 10 |",
        "| mixup 0.2 | 60.50 ± 0.50 | 10.00 ± 0.00 | 10 |",
    ]


def test_unknown_ingredients_are_refused(capsys):
    with pytest.raises(SystemExit):
        ingredients.main(["--data_dir=d", "--only=luck"])
    assert "--only must name some of base, " in capsys.readouterr().err


@pytest.mark.parametrize("name", INGREDIENTS)
def test_each_ingredient_is_a_setting_that_differs_from_the_base(name, tmp_path):
    data = SmallData(tmp_path)
    data.add("train[:80%]", [])
    base = resolve(Settings.of(**BASE), data)
    changed = resolve(Settings.of(**(BASE | INGREDIENTS[name])), data)
    assert (changed == base) == (name == "base")
