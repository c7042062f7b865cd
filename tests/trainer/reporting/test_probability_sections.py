import io

import numpy as np
import pytest
from PIL import Image

from cdisc_tfds.pages.page_figures import Figures
from tests.helpers.fake_runs import history, write_evaluation, write_run
from tests.helpers.small_data import SmallData, make_products
from trainer.reporting import probability_sections
from trainer.reporting.reliability_chart import reliability_chart
from trainer.reporting.reported_runs import load_runs
from trainer.runs.calibration_file import Calibration
from trainer.runs.category_file import CategoryRow
from trainer.runs.evaluation_parts import Acceptance, FrequencyGroup, Reliability, ReliabilityBin

RELIABILITY = Reliability(
    0.0213,
    0.0789,
    (ReliabilityBin(50, 0.25, 0.2), ReliabilityBin(50, 0.75, 0.85)),
    (Acceptance(0.9, 0.6125, 0.4567, 0.9012), Acceptance(0.99, None, 0.0, 0.0)),
)
CALIBRATION = Calibration(1.25, 1.5, "train[80%:]", 100, 200, 1.0, 0.9)
GROUPS = (
    FrequencyGroup("head", 2, 1200, 0.9, 0.8, 0.95, 0.92),
    FrequencyGroup("tail", 4, 0, None, None, None, None),
)
ROWS = (
    CategoryRow(3, 1, "A > x > often missed", "head", 700, 100, 60, 50),
    CategoryRow(3, 2, "A > x > never missed", "tail", 7, 5, 5, 5),
    CategoryRow(3, 3, "A > x > most missed", "tail", 6, 90, 9, 9),
    CategoryRow(1, None, "A", None, None, 105, 65, 55),
)


@pytest.fixture
def folder(tmp_path):
    data = SmallData(tmp_path)
    data.add("train", make_products([0, 1]))
    return write_run(tmp_path / "run", data, history([0.5]))


def test_the_thresholds_that_a_shop_asks_for(folder):
    write_evaluation(folder, reliability=RELIABILITY, calibration=CALIBRATION)
    figures = Figures()
    html = probability_sections.probabilities(load_runs([folder.path]), figures)
    assert list(figures.pngs) == ["reliability-run-validation.png"]
    assert (
        "Calibration error 0.0213 with temperature 1.250, fitted on train[80%:]; 0.0789 without."
    ) in html
    for row in (("90%", "0.6125", "45.7%", "90.1%"), ("99%", "–", "–", "–")):
        assert "\n".join(f'<td class="number">{cell}</td>' for cell in row) in html


def test_without_temperature(folder):
    plain = Reliability(0.0789, None, RELIABILITY.bins, ())
    write_evaluation(folder, reliability=plain)
    html = probability_sections.probabilities(load_runs([folder.path]), Figures())
    assert "Calibration error 0.0789.</figcaption>" in html


def test_groups_and_the_most_missed_classes(folder):
    write_evaluation(folder, groups=GROUPS, categories=ROWS)
    html = probability_sections.classes(load_runs([folder.path]))
    for row in (
        ("2", "1,200", "0.9000", "0.9200", "0.9500", "0.8000"),
        ("4", "0", "–", "–", "–", "–"),
        ("6", "90", "81", "0.1000", "1.0000"),
    ):
        assert "\n".join(f'<td class="number">{cell}</td>' for cell in row) in html
    assert html.index("A &gt; x &gt; most missed") < html.index("A &gt; x &gt; often missed")
    assert "never missed" not in html and ">A<" not in html


def test_evaluations_of_earlier_versions_have_neither(folder):
    write_evaluation(folder)
    runs = load_runs([folder.path])
    assert probability_sections.probabilities(runs, Figures()) == ""
    assert probability_sections.classes(runs) == ""


def test_the_chart_follows_the_bins():
    charts = [
        reliability_chart([ReliabilityBin(5, 0.5, accuracy)], "#0072B2") for accuracy in (0.2, 0.9)
    ]
    assert charts[0] != charts[1]
    first, second = (np.asarray(Image.open(io.BytesIO(chart)).convert("L")) for chart in charts)
    # The marker of the second is higher on the page.
    assert np.argmax(np.abs(first.astype(int) - second).max(axis=1) > 50) < first.shape[0] / 2
