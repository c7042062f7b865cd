"""What mixtures and fused runs are made of."""

import pytest

from tests.helpers.fake_runs import (
    WEIGHTS_SHA256,
    evaluation_of,
    history,
    write_evaluation,
    write_run,
)
from tests.helpers.html_checks import assert_well_formed
from tests.helpers.mixed_evaluations import mixture_of
from tests.helpers.small_data import small_config
from trainer.reporting.reported_evaluations import evaluations
from trainer.reporting.reported_runs import load_runs
from trainer.reporting.together_section import together
from trainer.runs.prediction_method import WeightFit
from trainer.settings.fusion import FusedMember, Fusion

OTHER = "7" * 64


@pytest.fixture
def run(tmp_path, data):
    run = write_run(tmp_path / "a", data, history([0.5]))
    write_evaluation(run)
    return run


def rows_of(html):
    return html.split("<tr>")[2:]


def test_a_mixture_shows_its_runs(tmp_path, run):
    fit = WeightFit("train[80%:]", 1500, 0.5, 0.625)
    mixture = mixture_of({"a": WEIGHTS_SHA256, "<gone>": OTHER}, fit)
    evaluation_of(run, mixture=mixture).write(tmp_path / "mixed.json")
    runs = load_runs([run.path])
    html = together(evaluations(runs, [tmp_path / "mixed.json"]), runs)
    assert_well_formed(html)
    assert "The geometric mean of 2 runs, by product. Weights fitted on 1,500 products of" in html
    assert "loss 0.5000, with equal weights 0.6250. Together, accuracy 0.5625." in html
    ours, gone = rows_of(html)
    assert "</span>a<" in ours and "0.5000" in ours and '0.5625<div class="note">±' in ours
    assert "&lt;gone&gt;" in gone and "not in this report" in gone and "0.5625" not in gone


def test_the_accuracy_alone_is_of_the_same_weights_and_products(tmp_path, run):
    evaluation_of(run, mixture=mixture_of({"a": WEIGHTS_SHA256})).write(tmp_path / "mixed.json")
    for changes in ({"weights_sha256": OTHER}, {"data_digest": "d"}):
        write_evaluation(run, **changes)
        runs = load_runs([run.path])
        html = together(evaluations(runs, [tmp_path / "mixed.json"]), runs)
        (row,) = rows_of(html)
        assert "0.5625" not in row


def test_a_fused_run_shows_its_members(tmp_path, data, run):
    write_run(tmp_path / "b", data, history([0.5]))
    members = tuple(
        FusedMember(f"../{name}", sha256, 4, "", "cnn", "train[:9]", 1234)
        for name, sha256 in (("a", WEIGHTS_SHA256), ("b", OTHER), ("c", OTHER))
    )
    fusion = Fusion(members, 256, "gated", 0.1, True)
    config = small_config(model="fusion", fusion=fusion)
    fused = write_run(tmp_path / "fused", data, history([0.6]), config=config)
    runs = load_runs([run.path, tmp_path / "b", fused.path])
    html = together(evaluations(runs), runs)
    assert_well_formed(html)
    assert (
        "a network of 256 units over all pictures of a product (--join=gated), on the features "
        "that these runs give each picture and its mirror image."
    ) in html
    first, second, third = rows_of(html)
    assert "</span>a<" in first and "1,234" in first and "train[:9]" in first
    assert "weights now" not in first and "not in this report" not in first
    assert "</span>b<" in second and "has other weights now" in second
    assert ">c<" in third and "not in this report" in third


def test_nothing_to_show(run):
    runs = load_runs([run.path])
    assert together(evaluations(runs), runs) == ""
